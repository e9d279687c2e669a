"""What one kernel request did, for its access line. Floor 3.

One rich line per request at debug level: operation, path, hit or miss, bytes, time, errno.
"""

from __future__ import annotations

import errno as errnos
import logging

import trio

from dmfs.tree import printable

log = logging.getLogger(__name__)


class Access:
    """Collects while a request runs, then says it in one line."""

    __slots__ = ("bytes", "hit", "operation", "path", "started")

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.path = ""
        self.hit = True
        self.bytes: int | None = None
        self.started = trio.current_time()

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
