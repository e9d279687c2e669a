"""Which blocks of an object are to be fetched or read from disk, as spans of extents. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from dmfs.blocks.extents import CachedObject
from dmfs.blocks.readahead import DISK_PART_BYTES, PART_BYTES
from dmfs.spans import BLOCK_BYTES, SMALL_FILE_BYTES, Span

_DISK_PART_BLOCKS = DISK_PART_BYTES // BLOCK_BYTES


def missing_spans(
    opened: CachedObject, blocks: Span, extra: Span, part_bytes: int
) -> Iterator[Span]:
    """Blocks of ``blocks`` that no extent has, of one kind (network or disk) in each span, at most
    a part long. The last may grow into ``extra``, so that the first read of a stream and what is
    fetched ahead of it are one GET."""
    part_blocks = max(1, part_bytes // BLOCK_BYTES)
    small = opened.size_bytes <= SMALL_FILE_BYTES
    # (a backward stream's ahead may lie in the same block)
    covers = small and extra.start < blocks.start and extra.stop >= blocks.stop
    end = max(blocks.stop, extra.stop if extra.start <= blocks.stop else 0)
    number = blocks.start
    while number < blocks.stop:
        if number in opened.extents:
            number += 1
            continue
        disk = opened.on_disk(number)
        start = _start_of_small(opened, extra, number) if covers and not disk else number
        part = _DISK_PART_BLOCKS if disk else part_blocks
        whole = disk or part_bytes == PART_BYTES  # of full size: on multiples of it
        limit = min(end, start + (part - start % part if whole else part))
        stop = number + 1
        while stop < limit and stop not in opened.extents and opened.on_disk(stop) == disk:
            stop += 1
        yield Span(start, stop)
        number = stop


def _start_of_small(opened: CachedObject, extra: Span, number: int) -> int:
    """Where a small file's single GET starts when its first read is not at the top."""
    start = number
    while start > extra.start and start - 1 not in opened.extents and not opened.on_disk(start - 1):
        start -= 1
    return start
