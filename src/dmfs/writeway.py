"""Whether the next write goes past the page cache or through it. Floor 0, pure.

Past it is cheaper, but takes as long as the disk takes. Through it may be faster, as long as the
kernel has room for pages that wait; on a virtual machine that hands free pages back to its host it
is not even that (0.4 against 2 GB/s). So while the disk keeps up nothing else is tried, and when
writes pile up the way that was faster lately is taken: memory is wanted for what comes next.
"""

from __future__ import annotations

PATIENT_BYTES = 64 * 1024 * 1024
"""While no more than that waits to be written, the disk keeps up: a third of the memory budget."""
COUNTS_FROM_BYTES = 1024 * 1024
"""Small writes tell more about their transaction than about the disk."""
WEIGHT = 0.2
"""Of the newest of the figures: a handful of writes decides, one hiccup does not."""


class WriteWay:
    """Remembers how fast each way was."""

    def __init__(self) -> None:
        self._bytes_per_s: dict[bool, float] = {}

    def is_direct(self, waiting_bytes: int) -> bool:
        """``waiting_bytes`` are to be written, this write included."""
        if waiting_bytes <= PATIENT_BYTES:
            return True
        cached = self._bytes_per_s.get(False)
        return cached is not None and self._bytes_per_s.get(True, 0.0) >= cached

    def took(self, size_bytes: int, duration_s: float, *, direct: bool) -> None:
        """A write is done."""
        if size_bytes < COUNTS_FROM_BYTES or duration_s <= 0:
            return
        rate = size_bytes / duration_s
        before = self._bytes_per_s.get(direct, rate)
        self._bytes_per_s[direct] = before + WEIGHT * (rate - before)
