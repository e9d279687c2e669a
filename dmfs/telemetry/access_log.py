"""What one kernel request did, for its access line, and why it failed. Floor 3.

One rich line per request at debug level: operation, path, hit or miss, bytes, time, errno. One
line for each that failed, at any level, but never more than the log can bear.
"""

from __future__ import annotations

import errno as errnos
import logging

import trio

from dmfs.errors import DriveError
from dmfs.names import printable

log = logging.getLogger("dmfs.access")
trouble = logging.getLogger("dmfs.failed")

LINES_AT_ONCE = 100
LINES_PER_S = 10.0
"""`find` over a drive whose service is down fails ten thousand times a second; the log tells of it
without becoming the next thing that is full."""


class _LogRateLimit:
    """A bucket of lines; what does not fit is counted."""

    def __init__(self) -> None:
        self._left = float(LINES_AT_ONCE)
        self._at = 0.0
        self.skipped = 0

    def admits(self, now: float) -> bool:
        """Whether one more line may be said now."""
        self._left = min(LINES_AT_ONCE, self._left + max(0.0, now - self._at) * LINES_PER_S)
        self._at = now
        if self._left < 1:
            self.skipped += 1
            return False
        self._left -= 1
        return True


_bound = _LogRateLimit()


class AccessRecord:
    """Collects while a request runs, then says it in one line."""

    __slots__ = ("bytes", "hit", "operation", "path", "started")

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.path = ""
        self.hit = True
        self.bytes: int | None = None
        self.started = trio.current_time()

    def failed(self, error: DriveError, level: int) -> None:
        """Say why: operation, errno, cause, HTTP status, request id, duration, path, message."""
        if not trouble.isEnabledFor(level) or not _bound.admits(trio.current_time()):
            return
        skipped, _bound.skipped = _bound.skipped, 0
        trouble.log(
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
        """Say the line, at debug level."""
        if not log.isEnabledFor(logging.DEBUG):
            return
        took_ms = (trio.current_time() - self.started) * 1000
        size = "-" if self.bytes is None else str(self.bytes)
        result = errnos.errorcode.get(errno, str(errno)) if errno else "ok"
        log.debug(
            "%s %s %s bytes=%s ms=%.2f %s",
            self.operation,
            printable(self.path) or "-",
            "hit" if self.hit else "miss",
            size,
            took_ms,
            result,
        )
