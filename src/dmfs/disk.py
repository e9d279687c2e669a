"""The disk as the block cache sees it: in threads, best effort, never in the way. Floor 2.

A disk that fails is left alone for a while, with one warning; reads go on from the network.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from functools import partial

import trio

from dmfs.errors import DriveError
from dmfs.model import File
from dmfs.plan import BLOCK_BYTES, SMALL_FILE_BYTES, Span
from dmfs.runs import CachedObject, Run
from dmfs.store import BlockStore
from dmfs.writeway import WriteWay

log = logging.getLogger(__name__)

BROKEN = (OSError, sqlite3.Error, ValueError, TypeError, ArithmeticError, MemoryError)
"""What a disk can do to us, and an index that somebody else wrote."""
THREADS = 2
PAUSE_S = 60.0
"""A cache disk that failed is left alone for that long."""
STUCK_S = 5.0
"""A write of 8 MiB that takes longer is not slow but hangs. A disk that is merely slower than the
network slows the stream down instead: what waits for it fills the memory, so less is fetched."""
LOOK_AGAIN_S = 5.0
"""How often an open object is looked up for what other processes have put there: each look costs
a thread hop."""


class DiskTier:
    """A BlockStore (or none) behind threads."""

    def __init__(self, store: BlockStore | None, sha1_of: Callable[[File], str]) -> None:
        self._store = store
        self._sha1_of = sha1_of
        self._writing: dict[Run, float] = {}
        """Since when (trio's clock) each write is under way."""
        self._saving = 0
        self._unsaved_bytes = 0
        self._way = WriteWay()
        self._idle = trio.lowlevel.ParkingLot()
        # Readers do not queue behind writers.
        self._readers = trio.CapacityLimiter(THREADS)
        self._writers = trio.CapacityLimiter(THREADS)
        self._checkers = trio.CapacityLimiter(1)
        self._back_at = 0.0

    async def attach(self, opened: CachedObject) -> None:
        """Find what is at rest of an object."""
        store = self._usable()
        opened.looked_at = trio.current_time()
        if store is None or opened.size_bytes == 0:
            return
        try:
            opened.shelf = await trio.to_thread.run_sync(
                store.attach, opened.file.storage_id, opened.size_bytes, limiter=self._readers
            )
        except BROKEN as error:
            self._failed(error)

    async def release(self, opened: CachedObject) -> None:
        if opened.shelf is not None and self._store is not None:
            shelf, opened.shelf = opened.shelf, None
            await trio.to_thread.run_sync(self._store.release, shelf, limiter=self._readers)

    def peek(self, opened: CachedObject, span: Span) -> bytes | None:
        """Bytes that the page cache has; never waits."""
        if opened.shelf is None or self._store is None:
            return None
        return self._store.peek(opened.shelf, span)

    async def has_now(self, run: Run, opened: CachedObject) -> bool:
        """Whether another process has put the whole run on disk since we looked."""
        store, shelf, now = self._usable(), opened.shelf, trio.current_time()
        if store is None or shelf is None or now - opened.looked_at < LOOK_AGAIN_S:
            return False
        opened.looked_at = now
        try:
            await trio.to_thread.run_sync(store.refresh, shelf, run.blocks, limiter=self._readers)
        except BROKEN as error:
            self._failed(error)
            return False
        run.from_disk = run.saved = all(
            opened.on_disk(number) for number in range(run.blocks.start, run.blocks.stop)
        )
        return run.from_disk

    async def read(self, run: Run, opened: CachedObject) -> None:
        """Fill a run; DriveError means no more than "not on disk", and that the states know it."""
        store, shelf = self._usable(), opened.shelf
        assert run.buffer is not None
        try:
            if store is None or shelf is None:
                raise OSError("out of order")
            good = await trio.to_thread.run_sync(
                store.read, shelf, run.blocks, memoryview(run.buffer), limiter=self._readers
            )
        except BROKEN as error:
            if store is not None:
                self._failed(error)
            if shelf is not None:
                shelf.states[:] = bytes(len(shelf.states))
            raise DriveError("the disk cache failed") from error
        run.put(good)
        if good < run.span.length:
            raise DriveError("a block on disk was damaged")

    async def save(self, run: Run, opened: CachedObject) -> None:
        """Put the whole blocks of a run at rest, then it may be evicted."""
        store, shelf = self._usable(), opened.shelf
        filled = run.filled
        if run.span.start + filled < opened.size_bytes:
            filled -= filled % BLOCK_BYTES
        if store is None or shelf is None or run.buffer is None or not filled or self._stuck():
            run.saved = True
            return
        data = memoryview(run.buffer)[:filled].toreadonly()
        self._saving += 1
        self._unsaved_bytes += filled
        try:
            if await self._turn():
                try:
                    self._writing[run] = began = trio.current_time()
                    direct = self._way.is_direct(self._unsaved_bytes)
                    write = partial(store.write, shelf, run.blocks.start, data, direct=direct)
                    await trio.to_thread.run_sync(write)
                    self._way.took(filled, trio.current_time() - began, direct=direct)
                finally:
                    self._writers.release()
        except BROKEN as error:
            self._failed(error)
        finally:
            self._writing.pop(run, None)
            self._saving -= 1
            self._unsaved_bytes -= filled
            run.saved = True
            if not self._saving:
                self._idle.unpark_all()

    async def drain(self) -> None:
        """Wait until everything that came is at rest."""
        while self._saving:
            await self._idle.park()

    async def proves_wrong(self, opened: CachedObject) -> bool:
        """Compare a large file that has become complete with the service's sha1, where it gave one
        (small ones were compared before their first byte was handed out). Wrong blocks are gone."""
        store, shelf = self._usable(), opened.shelf
        sha1 = self._sha1_of(opened.file)
        if store is None or shelf is None or not sha1 or opened.size_bytes <= SMALL_FILE_BYTES:
            return False
        async with self._checkers:
            if shelf.checked or not shelf.complete():
                return False
            try:
                right = await trio.to_thread.run_sync(store.verify, shelf, sha1)
            except BROKEN as error:
                self._failed(error)
                return False
        if not right:
            name = opened.file.name
            log.warning("%r does not match the service's sha1; its blocks are dropped", name)
        return not right

    async def _turn(self) -> bool:
        """Wait for a writer's place; False once the disk hangs: who waits holds memory, and soon
        all of it."""
        while not self._stuck():
            with trio.move_on_after(STUCK_S / 5):
                await self._writers.acquire()
                return True
        return False

    def _stuck(self) -> bool:
        """Whether the disk hangs: then nothing more waits for it (and holds memory meanwhile)."""
        now = trio.current_time()
        return any(now - since > STUCK_S for since in self._writing.values())

    def _usable(self) -> BlockStore | None:
        return self._store if trio.current_time() >= self._back_at else None

    def _failed(self, error: Exception) -> None:
        if trio.current_time() >= self._back_at:
            log.warning("the disk cache fails (%s); reading on without it", error)
        self._back_at = trio.current_time() + PAUSE_S
