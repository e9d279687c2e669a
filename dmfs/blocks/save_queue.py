"""What waits for the disk, and what of it is given up when the disk cannot keep up. Pure.

A reader never waits for its own cache: while a save waits, its memory may be had for something
else. What is kept of a stream that outruns its disk is chosen:

    RANDOM, EDGE, SMALL, AGAIN   written first; given up last, and of these the oldest first
    MIDDLE                       of a stream that is read once: given up first, the newest first,
                                 so that what is kept lies in long stretches
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum

from dmfs.blocks.extents import Extent
from dmfs.blocks.readahead import MIN_PART_BYTES
from dmfs.spans import MIB, SMALL_FILE_BYTES, Span

HEAD_BYTES = 8 * MIB
"""What programs look at first, and what a stream begins with."""
TAIL_BYTES = MIB
"""Where archives and documents have their directories."""


class Worth(IntEnum):
    """Of what is kept; the higher, the longer."""

    MIDDLE = 0
    RANDOM = 1
    """A read here and there: it costs a round trip for little."""
    EDGE = 2
    SMALL = 3
    AGAIN = 4
    """It was read a second time."""


def worth_of(span: Span, object_bytes: int, *, again: bool) -> Worth:
    """Of a stretch of an object of that size."""
    if again:
        return Worth.AGAIN
    if object_bytes <= SMALL_FILE_BYTES:
        return Worth.SMALL
    if span.start < HEAD_BYTES or span.stop > object_bytes - TAIL_BYTES:
        return Worth.EDGE
    return Worth.RANDOM if span.length < MIN_PART_BYTES else Worth.MIDDLE


class SaveQueue:
    """Extents whose write has not begun, each with its bytes to write and its worth."""

    def __init__(self) -> None:
        self._waiting: dict[Worth, dict[Extent, int]] = {worth: {} for worth in Worth}
        self.size_bytes = 0

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, extent: Extent, size_bytes: int, worth: Worth) -> None:
        """It came last."""
        self._waiting[worth][extent] = size_bytes
        self.size_bytes += size_bytes

    def remove(self, extent: Extent) -> bool:
        """It is being written, or given up; False if it was not here."""
        for waiting in self._waiting.values():
            if extent in waiting:
                self.size_bytes -= waiting.pop(extent)
                return True
        return False

    def next(self) -> Iterator[tuple[Extent, int]]:
        """In the order in which they are to be written, with their bytes."""
        for worth in reversed(Worth):
            yield from self._waiting[worth].items()

    def victims(
        self, need_bytes: int, may_go: Callable[[Extent], bool] = lambda _extent: True
    ) -> list[Extent]:
        """Which to give up so that ``need_bytes`` come free, as far as there are so many; nothing
        is that ``may_go`` refuses. Looks at what goes and at what is refused, not at the rest."""
        chosen: list[Extent] = []
        for worth, waiting in self._waiting.items():
            for extent in reversed(waiting) if worth is Worth.MIDDLE else waiting:
                if need_bytes <= 0:
                    return chosen
                if may_go(extent):
                    chosen.append(extent)
                    need_bytes -= waiting[extent]
        return chosen
