"""One log line for what a kernel request did, and one for why it failed.

At debug level each request has a line: operation, path, hit or miss, bytes, time, errno, pid and
program of who asked. A request that failed has a line at any level, up to a rate that a log can
store.
"""

from __future__ import annotations

import errno as errnos
import logging
from contextvars import ContextVar

import trio

from dmfs.errors import DriveError
from dmfs.names import printable
from dmfs.telemetry.processes import Process

log = logging.getLogger("dmfs.access")
failures = logging.getLogger("dmfs.failed")

LINES_AT_ONCE = 100
LINES_PER_S = 10.0
"""`find` fails ten thousand times a second while the service is down; the log must not fill a
disk."""


class LogRateLimit:
    """A token bucket of lines: LINES_AT_ONCE at most, LINES_PER_S on average."""

    def __init__(self) -> None:
        self._left = float(LINES_AT_ONCE)
        self._at = 0.0
        self.skipped = 0
        """Lines refused since the last one; the writer of a line resets it."""

    def allow(self, now: float) -> bool:
        """Whether the log takes one more line now; a refused line counts as skipped."""
        self._left = min(LINES_AT_ONCE, self._left + max(0.0, now - self._at) * LINES_PER_S)
        self._at = now
        if self._left < 1:
            self.skipped += 1
            return False
        self._left -= 1
        return True


_failure_limit = LogRateLimit()


class AccessRecord:
    """Collects what one request does, then writes it as one line."""

    __slots__ = ("bytes", "hit", "operation", "path", "process", "started")

    def __init__(self, operation: str, process: Process) -> None:
        self.operation = operation
        self.path = ""
        self.process = process
        """Who asks."""
        self.hit = True
        self.bytes: int | None = None
        self.started = trio.current_time()

    def failed(self, error: DriveError, level: int) -> None:
        """Write operation, errno, cause, HTTP status, request id, duration, path and message."""
        if not failures.isEnabledFor(level) or not _failure_limit.allow(trio.current_time()):
            return
        skipped, _failure_limit.skipped = _failure_limit.skipped, 0
        failures.log(
            level,
            "op=%s errno=%s cause=%s http=%s request=%s ms=%.0f path=%r: %s%s",
            self.operation,
            errnos.errorcode.get(error.errno, str(error.errno)),
            type(error).__name__,
            error.status or "-",
            error.request_id or "-",
            (trio.current_time() - self.started) * 1000,
            printable(self.path),
            error.message,
            f" (and {skipped} more failed requests)" if skipped else "",
        )

    def done(self, errno: int = 0) -> None:
        """Write the line, at debug level."""
        if not log.isEnabledFor(logging.DEBUG):
            return
        duration_ms = (trio.current_time() - self.started) * 1000
        size = "-" if self.bytes is None else str(self.bytes)
        result = errnos.errorcode.get(errno, str(errno)) if errno else "ok"
        log.debug(
            "%s %s %s bytes=%s ms=%.2f %s by %s",
            self.operation,
            printable(self.path) or "-",
            "hit" if self.hit else "miss",
            size,
            duration_ms,
            result,
            printable(str(self.process)),
        )


access: ContextVar[AccessRecord] = ContextVar("access")
"""The record of the request that the current task serves, or for which it was started."""
