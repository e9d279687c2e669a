"""Spans: half-open ranges of bytes and of block numbers, and the only arithmetic between the two.

Two conventions of "end" in one program are how caches come to fetch a block too many.
"""

from __future__ import annotations

from typing import NamedTuple

KIB = 1024


MIB = 1024 * KIB


BLOCK_BYTES = 128 * KIB
"""The kernel's usual read, so a stream touches each block once; fine enough that a random 4 KiB
read costs an eighth of a megabyte. At rest a finer block is nearly free in a sparse file (30 µs a
64 KiB put, against 459 µs in a file or row of its own)."""


SMALL_FILE_BYTES = 8 * MIB
"""Up to here a file is fetched by one GET: one call less to sign and check, and its checksum is
compared before the first byte is handed out."""


class Span(NamedTuple):
    """Half-open ``[start, stop)``, of bytes or of block numbers."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start if self.stop > self.start else 0


EMPTY = Span(0, 0)


def blocks_of(span: Span) -> Span:
    """The block numbers that a byte range touches."""
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
"""28 connections times 4 MiB, and what is asked for next: less leaves connections idle."""
