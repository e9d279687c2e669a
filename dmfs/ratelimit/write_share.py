"""What uploads leave to readers of the quota that both live on (OSS). Pure.

Readers go first in the queue, and yet a queue is not enough: uploads that fill the whole window
before somebody opens a file would let it wait for the window's end. So while somebody reads, or did
a moment ago, uploads take a third.
"""

from __future__ import annotations

from collections import deque

from dmfs.ratelimit.limits import Priority, Rate

QUOTA = "oss"
PART = 1 / 3
READING_S = 30.0
"""So long after the last call of a reader somebody still counts as reading: people pause."""


class WriteShare:
    """The calls of this process for one quota."""

    def __init__(self) -> None:
        self._writes: deque[float] = deque()
        self._read_at = -float("inf")

    def seen(self, level: Priority, now: float) -> None:
        """A call of this urgency waits, or was let through, now."""
        if level < Priority.WRITE:
            self._read_at = now

    def wrote(self, now: float) -> None:
        """A call of an upload was let through."""
        self._writes.append(now)

    def wait_s(self, rate: Rate, now: float) -> float:
        """Seconds until an upload may call, as far as its share goes; 0 for now."""
        while self._writes and self._writes[0] <= now - rate.span_s:
            self._writes.popleft()
        reading_for_s = self._read_at + READING_S - now
        allowed = max(1, int(rate.limit * PART))
        if reading_for_s <= 0 or len(self._writes) < allowed:
            return 0.0
        free_at = self._writes[len(self._writes) - allowed] + rate.span_s
        return min(max(free_at - now, 0.0), reading_for_s)
