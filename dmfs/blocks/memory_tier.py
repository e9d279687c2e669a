"""One byte budget for all buffers: windows, demand, what was read last, and idle ones.

A fresh buffer costs more than the bytes that go through it: its pages are zeroed and faulted in
(1.2 CPU-s a GiB on a virtual machine that gives free pages back to its host, against 0.06 for
writing into pages that are there). So buffers stay when their extent is gone, and count against the
same budget as those in use.

Extents go in the order of ``_evictable``; only those that are CLEAN, and never one that a reader
has been woken for.

Touched on the loop alone, between awaits.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator

import trio

from dmfs.blocks.extents import CachedObject, Extent, Stage
from dmfs.blocks.readahead import MAX_CURSORS
from dmfs.spans import MIB
from dmfs.system.shared_memory import Arena

LEAST_SHARE = 0.5
"""Of the budget, for extents: readers go on, however much of the tree is known, with less ahead."""
DEMAND_SHARE = 1 / 6
"""Of that, what speculation leaves to demand. Eight streams that had filled all of the memory with
what they were to read next took it from each other: 1 to 5 % was fetched twice, and is not so."""
AHEAD_BYTES = 16 * MIB
"""But so much is for speculation first: with less than four parts under way a stream waits for each
(of 8 to 16 MiB a sixth less cost a fifth to a half of its speed)."""
BEING_READ = MAX_CURSORS
"""Of an object: that many extents may have a reader in their middle. Who has read of more of them
reads here and there, and is done with the others."""
LANDING_S = 1.0
"""For bytes that a reader has and whose end was not told yet."""
STEP_BYTES = 128 * 1024
"""Sizes of buffers are multiples of a block, as extents are. Smaller ones are bytearrays."""


def buffer_bytes(size_bytes: int) -> int:
    """What a buffer for so many bytes takes."""
    if size_bytes < STEP_BYTES:
        return size_bytes
    return -(-size_bytes // STEP_BYTES) * STEP_BYTES


class BufferPool:
    """Buffers from two arenas: page-aligned, as O_DIRECT wants them. A buffer returns by itself
    when the last view of it is gone."""

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
        """Memory of idle buffers."""
        own_bytes = 0 if self._own is None else self._own.idle_bytes
        return own_bytes if self._shared is None else own_bytes + self._shared.idle_bytes

    def acquire(self, size_bytes: int, *, for_disk: bool = False) -> memoryview:
        """A buffer of ``buffer_bytes(size_bytes)`` with undefined content."""
        size_bytes, piece = buffer_bytes(size_bytes), None
        arena = self._own if for_disk and self._own is not None else self._shared
        if arena is not None and size_bytes >= STEP_BYTES:
            # (None: no piece so long. There is more room than the budget, so next to never.)
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


class MemoryTier:
    """Extents with a buffer, and the room they take. ``elsewhere_bytes`` is what else of the drive
    grows with use: the budget is for both."""

    def __init__(
        self,
        budget_bytes: int,
        arena: Arena | None = None,
        elsewhere_bytes: Callable[[], int] = lambda: 0,
        give_up: Callable[[int, Callable[[Extent], bool]], list[Extent]] = lambda *_: [],
    ) -> None:
        """``give_up(need_bytes, may_go)`` makes extents CLEAN that wait for the disk."""
        self._give_up = give_up
        self.budget_bytes = budget_bytes
        self._elsewhere_bytes = elsewhere_bytes
        self.used_bytes = 0
        self.evictions = self.evicted_bytes = 0
        self._extents: OrderedDict[Extent, CachedObject] = OrderedDict()
        self.buffers = BufferPool(arena)
        self._room = trio.lowlevel.ParkingLot()
        self._change = trio.lowlevel.ParkingLot()
        self.touch = self._extents.move_to_end
        """An extent was used just now."""

    def __iter__(self) -> Iterator[Extent]:
        return iter(self._extents)

    def allocate(self, extent: Extent, opened: CachedObject) -> None:
        """Give an extent its buffer; room was made before."""
        extent.buffer = self.buffers.acquire(extent.span.length, for_disk=extent.from_disk)
        self.used_bytes += len(extent.buffer)
        self.buffers.shrink(self._limit_bytes() - self.used_bytes)
        self._extents[extent] = opened

    def forget(self, extent: Extent, opened: CachedObject) -> None:
        """Let an extent's blocks be fetched again. Views of its buffer stay valid."""
        for number in range(extent.blocks.start, extent.blocks.stop):
            if opened.extents.get(number) is extent:
                del opened.extents[number]
        if self._extents.pop(extent, None) is not None:
            self.used_bytes -= buffer_bytes(extent.span.length)

    def drop(self, extent: Extent, opened: CachedObject) -> None:
        """Forget a landed extent and free its buffer, unless a reader is about to slice it."""
        self.forget(extent, opened)
        if not extent.pins:
            extent.buffer = None

    def make_room(self, need_bytes: int, *, speculative: bool) -> bool:
        """Evict until ``need_bytes`` fit; whether they do.

        Speculation evicts nothing that a reader is to have: under pressure all windows shrink
        instead of pushing out each other's unread bytes. (When demand took the least recently
        used, that was the part a stream was to read next, while consumed ones stayed: each block
        that it then had to ask for pushed out another one. 7 MB/s, with memory full.)
        """
        missing_bytes = self.used_bytes + buffer_bytes(need_bytes) - self._limit_bytes()
        if speculative:
            missing_bytes += self._reserve_bytes()
        victims: list[Extent] = []
        for extent in self._evictable(speculative=speculative) if missing_bytes > 0 else ():
            victims.append(extent)
            missing_bytes -= buffer_bytes(extent.span.length)
            if missing_bytes <= 0:
                break
        if missing_bytes > 0:
            for extent in self._unsaved(missing_bytes, speculative=speculative):
                victims.append(extent)
                missing_bytes -= buffer_bytes(extent.span.length)
        if speculative and missing_bytes > 0:
            return False  # and it takes nothing for nothing
        for extent in victims:
            self.evictions += 1
            self.evicted_bytes += extent.span.length
            self.drop(extent, self._extents[extent])
        return missing_bytes <= 0

    def _evictable(self, *, speculative: bool) -> Iterator[Extent]:
        """What may be evicted at once, what is of least use first: the consumed, least recently
        used first; what nobody has open, and what scattered reads have left; and for demand alone
        the unread, of the object that was used longest ago the last that came, and what is being
        read."""
        unread: dict[CachedObject, list[Extent]] = {}
        begun: dict[CachedObject, list[Extent]] = {}
        for extent, opened in self._extents.items():
            if extent.stage is not Stage.CLEAN or extent.pins:
                continue
            if extent.consumed >= extent.span.length or extent.from_disk:
                yield extent
                continue
            ours = begun if extent.consumed else unread
            extents = ours.pop(opened, [])
            extents.append(extent)
            ours[opened] = extents  # the object that was used last is the last one
        for opened in [*unread, *begun]:
            if not opened.users:
                yield from unread.pop(opened, ())
                yield from begun.pop(opened, ())
        for extents in begun.values():
            yield from extents[:-BEING_READ]
        if not speculative:
            for extents in unread.values():
                yield from reversed(extents)
            for extents in begun.values():
                yield from extents[-BEING_READ:]

    def _unsaved(self, need_bytes: int, *, speculative: bool) -> list[Extent]:
        """What waited for the disk and is given up: a reader does not wait for the disk. First what
        was given out, then (for demand only) what nobody has read yet."""

        def free(extent: Extent) -> bool:
            return not extent.pins and extent in self._extents

        def consumed(extent: Extent) -> bool:
            return free(extent) and extent.consumed >= extent.span.length

        found = self._give_up(need_bytes, consumed)
        need_bytes -= sum(buffer_bytes(extent.span.length) for extent in found)
        if need_bytes > 0 and not speculative:
            found += self._give_up(need_bytes, free)
        return found

    async def wait_for_room(self, need_bytes: int) -> None:
        """For demand: wait until other extents can be evicted."""
        while not self.make_room(need_bytes, speculative=False):
            await self._room.park()

    def changed(self) -> None:
        """An extent became evictable: those that wait for room try again."""
        self._room.unpark_all()
        self._change.unpark_all()

    async def change(self) -> None:
        """Wait for the next ``changed``; for speculation that need not be dropped."""
        await self._change.park()

    async def landed(self, patience_s: float) -> None:
        """Wait until extents with all their bytes have landed, but not longer than that: a reader
        sees these a moment before the process that fetches says that it is done."""
        with trio.move_on_after(patience_s):
            while any(
                not each.landed and each.buffer is not None and each.has(each.span)
                for each in self._extents
            ):
                await self.change()

    def waiting(self) -> int:
        """Tasks that wait for room."""
        return self._room.statistics().tasks_waiting

    def settle(self) -> None:
        """Give back what the budget no longer allows, as more of it is used elsewhere."""
        self.make_room(0, speculative=False)
        self.buffers.shrink(max(0, self._limit_bytes() - self.used_bytes))

    def gauges(self) -> dict[str, int]:
        """What is in memory now, under way, and held by readers; extents and bytes evicted so
        far."""
        extents = list(self)
        return {
            "memory_bytes": self.used_bytes,
            "flying": sum(not extent.landed for extent in extents),
            "pins": sum(extent.pins for extent in extents),
            "memory.evictions": self.evictions,
            "memory.evicted_bytes": self.evicted_bytes,
        }

    def _reserve_bytes(self) -> int:
        limit_bytes = self._limit_bytes()
        return min(int(limit_bytes * DEMAND_SHARE), max(0, limit_bytes - AHEAD_BYTES))

    def _limit_bytes(self) -> int:
        least = int(self.budget_bytes * LEAST_SHARE)
        return max(least, self.budget_bytes - self._elsewhere_bytes())
