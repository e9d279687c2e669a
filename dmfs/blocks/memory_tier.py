"""One byte budget for all runs: windows, demand, what was just read. Floor 2.

Least recently used first, but only runs that are done and safe on disk (or given up), and never
one that a reader has been woken for. Touched on the loop alone, between awaits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

import trio

from dmfs.blocks.buffers import BufferPool, room_for
from dmfs.blocks.extents import CachedObject, Extent
from dmfs.system.shared_memory import Arena

LEAST_SHARE = 0.5
"""Of the budget, for runs: readers go on, however much is known of the tree, with less ahead."""


class MemoryTier:
    """Runs with a buffer, and the room they take."""

    def __init__(self, budget_bytes: int, arena: Arena | None = None) -> None:
        self.budget_bytes = budget_bytes
        self.elsewhere_bytes: Callable[[], int] = lambda: 0
        """What else of the drive grows with use: the budget is for both."""
        self.used_bytes = 0
        self._runs: OrderedDict[Extent, CachedObject] = OrderedDict()
        self._buffers = BufferPool(arena)
        self._room = trio.lowlevel.ParkingLot()

    def __iter__(self) -> Iterator[Extent]:
        return iter(self._runs)

    def touch(self, run: Extent) -> None:
        """Used just now."""
        self._runs.move_to_end(run)

    def allocate(self, run: Extent, opened: CachedObject) -> None:
        """Give a run its buffer; room was made before."""
        run.buffer = self._buffers.take(run.span.length, for_disk=run.from_disk)
        self.used_bytes += len(run.buffer)
        self._buffers.shrink(self._limit_bytes() - self.used_bytes)
        self._runs[run] = opened

    def forget(self, run: Extent, opened: CachedObject) -> None:
        """Let a run's blocks be asked for again. The buffer stays with whoever still has it."""
        for number in range(run.blocks.start, run.blocks.stop):
            if opened.extents.get(number) is run:
                del opened.extents[number]
        if self._runs.pop(run, None) is not None:
            self.used_bytes -= room_for(run.span.length)

    def drop(self, run: Extent, opened: CachedObject) -> None:
        """Forget a finished run and use its buffer again, unless a reader is on its way to it."""
        self.forget(run, opened)
        if not run.pins:
            run.buffer = None

    def make_room(self, need_bytes: int, *, consumed_only: bool) -> bool:
        """Evict until ``need_bytes`` fit; whether they do.

        Speculation evicts only what its reader has used up: under pressure all windows shrink
        instead of pushing out each other's unread bytes.
        """
        missing_bytes = self.used_bytes + room_for(need_bytes) - self._limit_bytes()
        victims = []
        for run, opened in self._runs.items() if missing_bytes > 0 else ():
            used_up = run.consumed >= run.span.length or run.from_disk
            if run.done and run.saved and not run.pins and (used_up or not consumed_only):
                victims.append((run, opened))
                missing_bytes -= room_for(run.span.length)
                if missing_bytes <= 0:
                    break
        for run, opened in victims:
            self.drop(run, opened)
        return missing_bytes <= 0

    async def wait_for_room(self, need_bytes: int) -> None:
        """For demand: until runs of others are done."""
        while not self.make_room(need_bytes, consumed_only=False):
            await self._room.park()

    def changed(self) -> None:
        """A run became evictable: those who wait for room may try again."""
        self._room.unpark_all()

    def settle(self) -> None:
        """Give back what the budget no longer allows: others of its bytes are used elsewhere."""
        self.make_room(0, consumed_only=False)
        self._buffers.shrink(max(0, self._limit_bytes() - self.used_bytes))

    def _limit_bytes(self) -> int:
        least = int(self.budget_bytes * LEAST_SHARE)
        return max(least, self.budget_bytes - self.elsewhere_bytes())
