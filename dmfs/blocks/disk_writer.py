"""Writes of the disk tier: what waits, two at a time, and what is given up.

A save that waits costs its reader nothing: whoever wants its memory has it given up. Only what is
being written holds its memory, a bounded part of all. A disk that is slower than what is read gets
what it can take; of one that hangs nothing is expected.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import trio

from dmfs.blocks.extents import CachedObject, Extent, Stage
from dmfs.blocks.group_commit import GroupCommit
from dmfs.blocks.save_queue import SaveQueue, worth_of
from dmfs.blocks.store.block_store import SMALL_WRITE_BYTES, BlockStore, SmallWrite
from dmfs.blocks.store.sparse_file import DirectIoPolicy
from dmfs.blocks.store.stored_object import StoredObject
from dmfs.errors import DriveError
from dmfs.spans import BLOCK_BYTES, MIB
from dmfs.system.concurrency import in_thread

log = logging.getLogger(__name__)

BROKEN = (
    OSError, sqlite3.Error, ValueError, TypeError, ArithmeticError, MemoryError, DriveError,
)  # fmt: skip
"""What a broken disk raises, or an index that another program wrote."""
THREADS = 2
STUCK_S = 5.0
LEAST_BYTES_PER_S = MIB
"""A write that takes longer than STUCK_S and its bytes at this rate hangs: nothing more is handed
to such a disk."""
GROUPED_BYTES = 256 * 1024
"""Writes up to here share a transaction with others: a small file, a random read."""
UNSAVED_SHARE = 0.5
"""Of the memory, for what waits for the disk: a stream's own window comes first."""
WRITING_SHARE = 0.25
"""Of the memory, for what is being written and cannot be given up; a single write may be more."""


class _Save:
    """An extent on its way to the disk; ``done`` also if it was given up."""

    def __init__(
        self, extent: Extent, stored: StoredObject, size_bytes: int, missed: set[int]
    ) -> None:
        self.extent = extent
        self.stored = stored
        self.size_bytes = size_bytes
        self.missed = missed
        """Of the object: where it goes if it is given up."""
        self.done = trio.Event()

    def write(self) -> SmallWrite:
        """What the store is to write; holds the buffer."""
        assert self.extent.buffer is not None
        data = self.extent.buffer[: self.size_bytes].toreadonly()
        return self.stored, self.extent.blocks.start, data


_Waiting = tuple[_Save, int, bool]
"""A save, the size of its object in bytes, and whether it is read a second time."""


@dataclass(frozen=True, eq=False)
class _Turn:
    """A write under way, since when (trio's clock)."""

    began: float
    size_bytes: int


def _write_small(store: BlockStore, writes: list[SmallWrite]) -> bool:
    return any(store.write_small(writes))


class DiskWriter:
    """``save`` extents in tasks of the nursery. ``usable`` gives the store, or None while its disk
    is not to be written to; ``worked`` and ``failed`` hear of each write."""

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        memory_bytes: int,
        usable: Callable[[], BlockStore | None],
        worked: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Of ``memory_bytes`` a part may wait for the disk, and a smaller one be written."""
        self._nursery = nursery
        self._usable, self._worked, self._failed = usable, worked, failed
        self._unsaved_max_bytes = int(memory_bytes * UNSAVED_SHARE)
        self._writing_max_bytes = int(memory_bytes * WRITING_SHARE)
        self._saves: dict[Extent, _Save] = {}
        """Those that wait, and those that are being written."""
        self._queue = SaveQueue()
        self._turns: set[_Turn] = set()
        """Writes under way."""
        self._writers = 0
        self._dropped_extents = self._dropped_bytes = 0
        self._warned = False
        self._direct_io = DirectIoPolicy()
        self._idle = trio.lowlevel.ParkingLot()
        self._small: GroupCommit[_Waiting] = GroupCommit(self._enqueue_group)

    @property
    def hangs(self) -> bool:
        """Whether a write hangs: then no other waits for the disk."""
        now = trio.current_time()
        return any(
            now - turn.began > STUCK_S + turn.size_bytes / LEAST_BYTES_PER_S for turn in self._turns
        )

    def gauges(self) -> dict[str, int]:
        """Extents on their way to the disk, and what was given up so far."""
        return {
            "saving": len(self._saves),
            "disk.dropped_extents": self._dropped_extents,
            "disk.dropped_bytes": self._dropped_bytes,
        }

    async def save(self, extent: Extent, opened: CachedObject, stored: StoredObject) -> None:
        """Write the whole blocks of an extent. Returns when they are written, or given up."""
        filled = self._savable_bytes(extent, opened)
        if not filled:
            return
        if self.hangs:
            self._count_given_up(extent, filled)
            return
        self._saves[extent] = save = _Save(extent, stored, filled, opened.missed)
        again = extent.again or extent.blocks.start in opened.missed
        try:
            if filled <= GROUPED_BYTES:
                await self._small.put((save, opened.size_bytes, again))
            else:
                self._enqueue([(save, opened.size_bytes, again)])
                await save.done.wait()
        finally:
            self._queue.remove(extent)
            del self._saves[extent]
            if not self._saves:
                self._idle.unpark_all()

    @staticmethod
    def _savable_bytes(extent: Extent, opened: CachedObject) -> int:
        filled = extent.filled
        if extent.span.start + filled < opened.size_bytes:
            filled -= filled % BLOCK_BYTES
        return 0 if extent.buffer is None else filled

    def give_up(self, need_bytes: int, may_go: Callable[[Extent], bool]) -> list[Extent]:
        """Saves whose write has not begun, so that ``need_bytes`` come free (or as many as there
        are): their extents are CLEAN at once, and not at rest."""
        extents = self._queue.victims(need_bytes, may_go)
        for extent in extents:
            save = self._saves[extent]
            self._queue.remove(extent)
            extent.stage = Stage.CLEAN
            save.missed.add(extent.blocks.start)
            self._count_given_up(extent, save.size_bytes)
            save.done.set()
        return extents

    def _count_given_up(self, extent: Extent, size_bytes: int) -> None:
        extent.given_up = True
        self._dropped_extents += 1
        self._dropped_bytes += size_bytes
        if not self._warned:
            self._warned = True
            log.info(
                "the disk of the cache is slower than what is read: not all of it is kept"
                " (disk.dropped_bytes counts what is not)"
            )

    async def _enqueue_group(self, saves: list[_Waiting]) -> None:
        self._enqueue(saves)
        for save, _, _ in saves:
            await save.done.wait()

    def _enqueue(self, saves: list[_Waiting]) -> None:
        for save, object_bytes, again in saves:
            worth = worth_of(save.extent.span, object_bytes, again=again)
            self._queue.add(save.extent, save.size_bytes, worth)
        self.give_up(self._queue.size_bytes - self._unsaved_max_bytes, lambda _extent: True)
        while self._writers < THREADS and len(self._queue) > self._writers:
            self._writers += 1
            self._nursery.start_soon(self._write_on)

    async def _write_on(self) -> None:
        """Write what waits, until nothing does that may be begun."""
        try:
            while batch := self._next_batch():
                await self._write(batch)
        finally:
            self._writers -= 1

    def _next_batch(self) -> list[_Save]:
        """The next save, or as many small ones as go into one short transaction. What is being
        written cannot be given up, so it is a small part of the memory."""
        batch: list[_Save] = []
        size_bytes = 0
        room_bytes = self._writing_max_bytes - sum(turn.size_bytes for turn in self._turns)
        for extent, more_bytes in self._queue.next():
            small = more_bytes <= GROUPED_BYTES
            if batch and (not small or size_bytes + more_bytes > SMALL_WRITE_BYTES):
                break
            if self._turns and more_bytes > room_bytes:
                break
            batch.append(self._saves[extent])
            size_bytes += more_bytes
            if not small:
                break
        for save in batch:
            self._queue.remove(save.extent)
            save.extent.stage = Stage.SAVING
        return batch

    async def _write(self, batch: list[_Save]) -> None:
        """Write in a thread, past the page cache or through it."""
        size_bytes = sum(save.size_bytes for save in batch)
        turn = _Turn(trio.current_time(), size_bytes)
        self._turns.add(turn)
        try:
            store = self._usable()
            writes = [save.write() for save in batch if save.extent.buffer is not None]
            if store is None or not writes:
                return
            waiting_bytes = self._queue.size_bytes + size_bytes
            direct = self._direct_io.begin(size_bytes, waiting_bytes)
            if len(writes) == 1 and size_bytes > GROUPED_BYTES:
                work = partial(store.write, *writes[0], direct=direct)
            else:
                work = partial(_write_small, store, writes)
            # cancelled only when the drive ends: until then the buffers are the thread's
            if await in_thread(work):
                self._worked()
            self._direct_io.record(size_bytes, trio.current_time() - turn.began, direct=direct)
        except BROKEN as error:
            self._failed(error)
        except Exception:  # a bug of ours must not end the drive
            log.exception("writing to the disk cache failed")
        finally:
            self._turns.discard(turn)
            for save in batch:
                save.done.set()

    async def drain(self, patience_s: float) -> bool:
        """Wait until everything that came is at rest, but not longer than that: what waits then is
        given up. Whether all of it is at rest."""
        with trio.move_on_after(patience_s) as scope:
            while self._saves:
                await self._idle.park()
        if scope.cancelled_caught:
            before_bytes = self._dropped_bytes
            self.give_up(self._queue.size_bytes, lambda _extent: True)
            log.info(
                "%d bytes were not kept: the disk takes its time",
                self._dropped_bytes - before_bytes,
            )
        return not scope.cancelled_caught
