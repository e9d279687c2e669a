"""Whether the next write goes past the page cache or through it. Floor 0, pure.

Past it is cheaper, but takes as long as the disk takes. Through it may be faster, as long as the
kernel has room for pages that wait; on a virtual machine that hands free pages back to its host it
is not even that (0.4 against 2 GB/s). So while the disk keeps up nothing else is tried, and when
writes pile up the way that was faster lately is taken: memory is wanted for what comes next.

The page cache is tried by one write. When all that had piled up tried it at once, 10 to 70 MiB of
each stream's first half second went that way, at 24 to 55 ms a part where the disk took 6.
"""

from __future__ import annotations

PATIENT_BYTES = 64 * 1024 * 1024
"""While no more than that waits to be written, the disk keeps up: a third of the memory budget."""
COUNTS_FROM_BYTES = 1024 * 1024
"""Small writes tell more about their transaction than about the disk."""
WORTH_IT = 2.0
"""So much faster the page cache has to be: it costs more, and the disk is shared by all the writes
past it that are under way, of which each counts only what it got itself."""
WEIGHT = 0.2
"""Of the newest of the figures: a handful of writes decides, one hiccup does not."""


class DirectIoPolicy:
    """Remembers how fast each way was."""

    def __init__(self) -> None:
        self._bytes_per_s: dict[bool, float] = {}
        self._tried = False
        """The page cache, by a write that may still be under way (or has failed: not again)."""

    def begin(self, size_bytes: int, waiting_bytes: int) -> bool:
        """Whether a write that begins now goes past the page cache; ``waiting_bytes`` are to be
        written, this write included."""
        if waiting_bytes <= PATIENT_BYTES or size_bytes < COUNTS_FROM_BYTES:
            return True
        cached = self._bytes_per_s.get(False)
        if cached is not None:
            return self._bytes_per_s.get(True, 0.0) * WORTH_IT >= cached
        trial, self._tried = not self._tried, True
        return not trial

    def took(self, size_bytes: int, duration_s: float, *, direct: bool) -> None:
        """A write is done."""
        if size_bytes < COUNTS_FROM_BYTES or duration_s <= 0:
            return
        rate = size_bytes / duration_s
        before = self._bytes_per_s.get(direct, rate)
        self._bytes_per_s[direct] = before + WEIGHT * (rate - before)
