"""A stretch of memory that two processes can see (or one), given out in pieces. Floor 0.

A piece returns by itself when the last view of it is gone, whoever held it: so its next content is
never seen through an old view. Address space costs nothing (the file behind it is sparse), so there
is plenty of it, and what lies idle can be given back to the system piece by piece.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from bisect import bisect_left, insort
from collections import deque
from functools import cache
from weakref import ref

_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
"""Without a word to the kernel's accounting of what might be used: most of it never is."""


class FreeList:
    """A set of stretches of whole numbers, in order; no two touch. Pure."""

    def __init__(self, size: int = 0) -> None:
        """``[0, size)``."""
        self._free = [(0, size)] if size else []
        self.total = size

    def take(self, size: int) -> int | None:
        """Take the start of the first stretch that is long enough; None if there is none."""
        for at, (start, stop) in enumerate(self._free):
            if stop - start >= size:
                self._free[at : at + 1] = [(start + size, stop)] if stop - start > size else []
                self.total -= size
                return start
        return None

    def take_last(self, size_max: int) -> tuple[int, int]:
        """Take the end of the last stretch, (start, stop), as far as it goes. There must be one."""
        start, stop = self._free.pop()
        if stop - start > size_max:
            self._free.append((start, stop - size_max))
            start = stop - size_max
        self.total -= stop - start
        return start, stop

    def give(self, start: int, stop: int) -> None:
        """Put in a stretch that is not in it."""
        self.total += stop - start
        at = bisect_left(self._free, (start, stop))
        if at < len(self._free) and self._free[at][0] == stop:
            stop = self._free.pop(at)[1]
        if at > 0 and self._free[at - 1][1] == start:
            start = self._free.pop(at - 1)[0]
        insort(self._free, (start, stop))


class Arena:
    """Touched by one thread, except that views may die in any."""

    def __init__(self, size_bytes: int, *, shared: bool = True) -> None:
        """Whole pages; OSError where not even address space is to be had."""
        self.size_bytes = size_bytes
        self.fd = _shared_file(size_bytes) if shared else -1
        """To be mapped by the other process; -1 where this system does not share memory so."""
        flags = _PRIVATE if self.fd < 0 else mmap.MAP_SHARED
        self._mapping = mmap.mmap(self.fd, size_bytes, flags=flags)
        self._discard = mmap.MADV_DONTNEED if self.fd < 0 else mmap.MADV_REMOVE
        if self.fd < 0:
            with contextlib.suppress(OSError):  # a kernel without them
                self._mapping.madvise(mmap.MADV_HUGEPAGE)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._mapping))
        self._empty = FreeList(size_bytes)
        self._idle = FreeList()
        """Belongs to nobody and has memory behind it: it goes first, or small pieces given back
        and large ones taken cost 40 000 page faults a GiB."""
        self._alive: dict[int, ref[ctypes.Array[ctypes.c_ubyte]]] = {}
        self._dead: deque[tuple[int, int]] = deque()

    @property
    def idle_bytes(self) -> int:
        """Memory that belongs to nobody."""
        self._collect()
        return self._idle.total

    def allocate_space(self, size_bytes: int) -> memoryview | None:
        """A piece with undefined content, whole pages; None when there is no stretch so long."""
        self._collect()
        start = self._idle.take(size_bytes)
        if start is None:
            start = self._empty.take(size_bytes)
        if start is None:
            return None
        piece, stop = start, start + size_bytes
        array = _bytes_type(size_bytes).from_buffer(self._mapping, piece)
        self._alive[piece] = ref(array, lambda _: self._dead.append((piece, stop)))
        return memoryview(array).cast("B")

    def shrink(self, to_bytes: int) -> None:
        """Give memory back to the system until at most so much is idle."""
        to_bytes = max(0, to_bytes - to_bytes % mmap.PAGESIZE)
        while self.idle_bytes > to_bytes:
            start, stop = self._idle.take_last(self._idle.total - to_bytes)
            self._mapping.madvise(self._discard, start, stop - start)
            self._empty.give(start, stop)

    def offset_of(self, view: memoryview) -> int | None:
        """Where in the arena a writable view lies; None if it does not."""
        if not view:
            return None
        offset = ctypes.addressof(ctypes.c_char.from_buffer(view)) - self._address
        return offset if 0 <= offset < self.size_bytes else None

    def close(self) -> None:
        """Nothing more is shared; the memory goes with the last view of it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _collect(self) -> None:
        while self._dead:
            start, stop = self._dead.popleft()
            del self._alive[start]
            self._idle.give(start, stop)


@cache
def _bytes_type(size_bytes: int) -> type[ctypes.Array[ctypes.c_ubyte]]:
    return ctypes.c_ubyte * size_bytes


def _shared_file(size_bytes: int) -> int:
    fd = -1
    try:
        fd = os.memfd_create("dmfs-blocks", os.MFD_CLOEXEC)
        os.ftruncate(fd, size_bytes)
    except OSError:  # a sandbox, or a limit on the size of files
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)
        return -1
    return fd
