"""Large buffers, page-aligned and used again. Floor 2.

A fresh buffer costs more than the bytes that go through it: its pages are zeroed and faulted in
(1.2 CPU-s a GiB on a virtual machine that gives free pages back to its host, against 0.06 for
writing into pages that are there). So buffers stay when their run is gone, and count
against the same budget as those in use. They are pieces of an arena: on a page's edge, as O_DIRECT
wants them, and one that the fetching process can fill.
"""

from __future__ import annotations

import contextlib

from dmfs.system.shared_memory import Arena

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

    def __init__(self, shared: Arena | None) -> None:
        self._shared = shared
        # Not shared, it may be of huge pages, which a disk fills at 2600 instead of 1000 MB/s;
        # those of shared memory are small unless an administrator wants it otherwise.
        self._own: Arena | None = None
        if shared is not None:
            with contextlib.suppress(OSError):  # no address space: then all come from there
                self._own = Arena(shared.size_bytes, shared=False)

    @property
    def free_bytes(self) -> int:
        """What lies idle."""
        own_bytes = 0 if self._own is None else self._own.idle_bytes
        return own_bytes if self._shared is None else own_bytes + self._shared.idle_bytes

    def take(self, size_bytes: int, *, for_disk: bool = False) -> memoryview:
        """A buffer of ``room_for(size_bytes)``, to be filled by the disk or from the network."""
        size_bytes, piece = room_for(size_bytes), None
        arena = self._own if for_disk and self._own is not None else self._shared
        if arena is not None and size_bytes >= STEP_BYTES:
            # (None: no stretch so long. There is more room than the budget, so next to never.)
            piece = arena.allocate_space(size_bytes)
        return memoryview(bytearray(size_bytes)) if piece is None else piece

    def shrink(self, to_bytes: int) -> None:
        """Give idle buffers back to the system until at most that much lies idle."""
        excess_bytes = self.free_bytes - max(0, to_bytes)
        for arena in (self._own, self._shared):
            if arena is not None and excess_bytes > 0:
                before_bytes = arena.idle_bytes
                arena.shrink(before_bytes - excess_bytes)
                excess_bytes -= before_bytes - arena.idle_bytes
