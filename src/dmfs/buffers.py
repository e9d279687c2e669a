"""Large buffers, page-aligned and used again. Floor 2.

A fresh buffer costs more than the bytes that go through it: its pages are zeroed and faulted in
(1.2 CPU-s a GiB on a virtual machine that gives free pages back to its host, against 0.06 for
writing into pages that are there). So buffers come in few sizes, stay when their run is gone, and
count against the same budget as those in use. They are mappings of their own: on a page's edge, as
O_DIRECT wants them, and given back to the system whole.
"""

from __future__ import annotations

import contextlib
import mmap
from collections import defaultdict

STEP_BYTES = 128 * 1024
"""Sizes are multiples of this, a block: runs are, so their buffers fit each other, and nobody pays
for more than he asked for. What is smaller is a bytearray of its own."""
HUGE_FROM_BYTES = 2 * 1024 * 1024

Buffer = bytearray | mmap.mmap


def room_for(size_bytes: int) -> int:
    """What a buffer for so many bytes takes."""
    if size_bytes < STEP_BYTES:
        return size_bytes
    return -(-size_bytes // STEP_BYTES) * STEP_BYTES


class BufferPool:
    """``take`` a buffer with undefined content, ``give`` it back, ``shrink`` what lies idle."""

    def __init__(self) -> None:
        self._free: defaultdict[int, list[mmap.mmap]] = defaultdict(list)
        self.free_bytes = 0

    def take(self, size_bytes: int) -> Buffer:
        """A buffer of ``room_for(size_bytes)``."""
        size_bytes = room_for(size_bytes)
        if self._free[size_bytes]:
            self.free_bytes -= size_bytes
            return self._free[size_bytes].pop()
        return bytearray(size_bytes) if size_bytes < STEP_BYTES else _mapping(size_bytes)

    def give(self, buffer: Buffer) -> None:
        """Keep a buffer for the next ``take``, unless anybody still looks at it: then its next
        content would be seen through the old view, and wrong bytes handed out."""
        if isinstance(buffer, bytearray):
            return
        try:
            # refused while any view of it lives; otherwise the same size changes nothing
            buffer.resize(len(buffer))
        except BufferError:
            return  # it goes with its last view
        self._free[len(buffer)].append(buffer)
        self.free_bytes += len(buffer)

    def shrink(self, to_bytes: int) -> None:
        """Give idle buffers back to the system until at most that much lies idle."""
        for size in sorted(self._free, reverse=True) if self.free_bytes > to_bytes else ():
            while self.free_bytes > to_bytes and self._free[size]:
                self._free[size].pop().close()
                self.free_bytes -= size


def _mapping(size_bytes: int) -> mmap.mmap:
    mapping = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size_bytes >= HUGE_FROM_BYTES:
        with contextlib.suppress(OSError):  # a kernel without them
            mapping.madvise(mmap.MADV_HUGEPAGE)  # a half to a quarter of the faults
    return mapping
