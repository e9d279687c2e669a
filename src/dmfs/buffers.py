"""Large buffers, page-aligned and used again. Floor 2.

A fresh buffer costs more than the bytes that go through it: its pages are zeroed and faulted in
(1.2 CPU-s a GiB on a virtual machine that gives free pages back to its host, against 0.06 for
writing into pages that are there). So buffers stay when their run is gone, and count
against the same budget as those in use. They are pieces of one arena: on a page's edge, as O_DIRECT
wants them, and where the fetching process can fill them.
"""

from __future__ import annotations

from dmfs.arena import Arena

STEP_BYTES = 128 * 1024
"""Sizes are multiples of this, a block: runs are, so nobody pays for more than he asked for. What
is smaller is a bytearray of its own."""


def room_for(size_bytes: int) -> int:
    """What a buffer for so many bytes takes."""
    if size_bytes < STEP_BYTES:
        return size_bytes
    return -(-size_bytes // STEP_BYTES) * STEP_BYTES


class BufferPool:
    """``take`` a buffer with undefined content; it comes back when nobody looks at it any more.
    ``shrink`` what lies idle."""

    def __init__(self, arena: Arena | None) -> None:
        self._arena = arena

    @property
    def free_bytes(self) -> int:
        """What lies idle."""
        return 0 if self._arena is None else self._arena.idle_bytes

    def take(self, size_bytes: int) -> memoryview:
        """A buffer of ``room_for(size_bytes)``."""
        size_bytes, piece = room_for(size_bytes), None
        if self._arena is not None and size_bytes >= STEP_BYTES:
            # (None: no stretch so long. There is more room than the budget, so next to never.)
            piece = self._arena.allot(size_bytes)
        return memoryview(bytearray(size_bytes)) if piece is None else piece

    def shrink(self, to_bytes: int) -> None:
        """Give idle buffers back to the system until at most that much lies idle."""
        if self._arena is not None:
            self._arena.shrink(to_bytes)
