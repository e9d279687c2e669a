"""An arena: memory that two processes (or one) map, allocated in pieces.

A piece is free again when its last view is gone, in any thread: an old view never shows the next
content. Address space costs nothing (the file behind it is sparse), so the arena is large, and
``shrink`` returns idle memory to the system.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import threading
from bisect import bisect_left, insort
from collections import deque
from functools import cache
from weakref import ref

_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
"""Most of the address space is never used: the kernel must not reserve memory for it."""


class FreeList:
    """Free ranges of whole numbers, in order; adjacent ranges are joined. Pure."""

    def __init__(self, size: int = 0) -> None:
        """One free range ``[0, size)``."""
        self._free = [(0, size)] if size else []
        self.total = size

    def allocate(self, size: int) -> int | None:
        """Allocate at the start of the first range that is long enough; None if there is none."""
        for at, (start, stop) in enumerate(self._free):
            if stop - start >= size:
                self._free[at : at + 1] = [(start + size, stop)] if stop - start > size else []
                self.total -= size
                return start
        return None

    def allocate_last(self, size_max: int) -> tuple[int, int]:
        """Allocate (start, stop) at the end of the last range, at most ``size_max``; there must be
        a range."""
        start, stop = self._free.pop()
        if stop - start > size_max:
            self._free.append((start, stop - size_max))
            start = stop - size_max
        self.total -= stop - start
        return start, stop

    def free(self, start: int, stop: int) -> None:
        """Free a range that is allocated."""
        self.total += stop - start
        at = bisect_left(self._free, (start, stop))
        if at < len(self._free) and self._free[at][0] == stop:
            stop = self._free.pop(at)[1]
        if at > 0 and self._free[at - 1][1] == start:
            start = self._free.pop(at - 1)[0]
        insort(self._free, (start, stop))


class Arena:
    """For one thread; only the end of a view may happen in any thread."""

    def __init__(self, size_bytes: int, *, shared: bool = True) -> None:
        """``size_bytes``: whole pages. OSError if there is no address space for it."""
        self.size_bytes = size_bytes
        self.fd = _shared_file(size_bytes) if shared else -1
        """For the other process to map; -1 if this system has no such shared memory."""
        flags = _PRIVATE if self.fd < 0 else mmap.MAP_SHARED
        self._mapping = mmap.mmap(self.fd, size_bytes, flags=flags)
        self._discard = mmap.MADV_DONTNEED if self.fd < 0 else mmap.MADV_REMOVE
        if self.fd < 0:
            with contextlib.suppress(OSError):  # a kernel without huge pages
                self._mapping.madvise(mmap.MADV_HUGEPAGE)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._mapping))
        self._empty = FreeList(size_bytes)
        self._idle = FreeList()
        """Free and with memory behind it: allocated first, because page faults of fresh memory cost
        (40 000 a GiB, with small pieces freed and large ones allocated)."""
        self._alive: dict[int, ref[ctypes.Array[ctypes.c_ubyte]]] = {}
        self._dead: deque[tuple[int, int]] = deque()

    @property
    def idle_bytes(self) -> int:
        """Memory that is free and not returned to the system."""
        self._collect()
        return self._idle.total

    def allocate_space(self, size_bytes: int) -> memoryview | None:
        """Allocate whole pages, with undefined content; None if no free range is long enough."""
        self._collect()
        start = self._idle.allocate(size_bytes)
        if start is None:
            start = self._empty.allocate(size_bytes)
        if start is None:
            return None
        piece, stop = start, start + size_bytes
        array = _bytes_type(size_bytes).from_buffer(self._mapping, piece)
        self._alive[piece] = ref(array, lambda _: self._dead.append((piece, stop)))
        return memoryview(array).cast("B")

    def shrink(self, to_bytes: int) -> None:
        """Return memory to the system until at most ``to_bytes`` are idle."""
        to_bytes = max(0, to_bytes - to_bytes % mmap.PAGESIZE)
        while self.idle_bytes > to_bytes:
            start, stop = self._idle.allocate_last(self._idle.total - to_bytes)
            self._mapping.madvise(self._discard, start, stop - start)
            self._empty.free(start, stop)

    def offset_of(self, view: memoryview) -> int | None:
        """The offset of a writable view in the arena; None if it lies elsewhere."""
        if not view:
            return None
        offset = ctypes.addressof(ctypes.c_char.from_buffer(view)) - self._address
        return offset if 0 <= offset < self.size_bytes else None

    def close(self) -> None:
        """End sharing; the last view of a piece frees its memory."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _collect(self) -> None:
        while self._dead:
            start, stop = self._dead.popleft()
            del self._alive[start]
            self._idle.free(start, stop)


class SharedNumbers:
    """Whole numbers that one process writes and another one reads, each in a slot of its own."""

    def __init__(self, slots: int, fd: int = -1) -> None:
        """``fd``: of the same numbers in the other process (taken over). OSError."""
        size_bytes = 8 * slots
        self.fd = _shared_file(size_bytes) if fd < 0 else fd
        if self.fd < 0:
            raise OSError("no memory can be shared here")
        try:
            # one aligned store or load of eight bytes each: never half a number
            self.values = memoryview(mmap.mmap(self.fd, size_bytes)).cast("q")
        except BaseException:
            self.close()
            raise
        self._free = list(range(slots))

    def take(self) -> int | None:
        """A slot, at 0; None if all are taken."""
        if not self._free:
            return None
        slot = self._free.pop()
        self.values[slot] = 0
        return slot

    def give_back(self, slot: int) -> None:
        """Nobody writes there any more."""
        self._free.append(slot)

    def close(self) -> None:
        """Close the descriptor; the numbers stay as long as somebody has their ``values``."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class MemoryFence:
    """What this thread wrote before ``order()`` is seen by who sees what it writes afterwards.

    Some processors (ARM) show the stores of one core to another in any order; a lock that is freed
    and taken again keeps them apart, and costs 50 ns.
    """

    def __init__(self) -> None:
        lock = threading.Lock()
        lock.acquire()
        self._release, self._acquire = lock.release, lock.acquire

    def order(self) -> None:
        self._release()
        self._acquire()


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
