"""Spans: half-open ranges of bytes and of block numbers, and the only arithmetic between the two.

One convention of "end" for the whole program: two conventions make a cache fetch a block too many.
"""

from __future__ import annotations

from typing import NamedTuple

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

BLOCK_BYTES = 128 * KIB
"""The kernel's usual read: a stream touches each block once, and a random 4 KiB read fetches only
an eighth of a megabyte. Small blocks cost little in a sparse file (docs/performance.md)."""

SMALL_FILE_BYTES = 8 * MIB
"""One GET fetches a file up to this size: one call less, and the drive checks its checksum before a
reader gets the first byte."""


class Span(NamedTuple):
    """Half-open ``[start, stop)``, of bytes or of block numbers."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start if self.stop > self.start else 0


EMPTY = Span(0, 0)


def blocks_of(span: Span) -> Span:
    """The block numbers that a byte range overlaps."""
    if span.length == 0:
        return EMPTY
    return Span(span.start // BLOCK_BYTES, -(-span.stop // BLOCK_BYTES))


def bytes_of(blocks: Span, size_bytes: int) -> Span:
    """The byte range of a run of blocks in an object of that size (its last block may be short)."""
    start = min(blocks.start * BLOCK_BYTES, size_bytes)
    return Span(start, min(blocks.stop * BLOCK_BYTES, size_bytes))


def block_count(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_BYTES)


MAX_WINDOW_BYTES = 128 * MIB
"""28 connections times 4 MiB, and the next requests: a smaller window leaves connections idle."""
