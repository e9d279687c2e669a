"""The disk tier of the block cache: in threads, best effort, never in the way.

After a failure of the disk there is a pause, with one warning until it works again; reads go on
from the network. A disk that cannot be written to is still read from.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import cachetools
import trio

from dmfs.blocks.disk_writer import BROKEN, THREADS, DiskWriter
from dmfs.blocks.extents import CachedObject, Extent
from dmfs.blocks.store.block_store import BlockStore
from dmfs.blocks.store.eviction import Evicted
from dmfs.blocks.store.held import AtRest, Room
from dmfs.blocks.store.inventory import Space
from dmfs.blocks.store.leases import Leases
from dmfs.blocks.store.stored_object import StoredObject
from dmfs.errors import DriveError
from dmfs.fetch.generation import Sample, sample_of
from dmfs.model import File, StorageId
from dmfs.spans import BLOCK_BYTES, SMALL_FILE_BYTES, Span
from dmfs.system.concurrency import in_thread
from dmfs.system.disk_health import DiskHealth, Kind
from dmfs.system.disk_threads import DiskHangsError, DiskThreads

log = logging.getLogger(__name__)

T = TypeVar("T")

STUCK_S = 5.0
"""A call that looks at what is at rest takes longer: the disk hangs."""
PATIENCE_SHARE = 0.25
"""Of a read's deadline, for a disk that hangs: the rest is for the network."""
LOOK_AGAIN_S = 5.0
"""How often the disk is searched for what other processes have put there: each look costs a thread
hop."""
IDLE_SHARE = 1 / 8
"""Of the cache. (20 files of 8 MB that had been read and closed filled a cache of 16 MiB for good:
nothing was evicted, and nothing more was kept, until 64 others had been read.)"""
ABSENT_MAX = 1024
"""Objects that are remembered to have nothing at rest: some windows of small files."""


def _is_right(store: BlockStore, stored: StoredObject | None, sha1: str) -> bool:
    if stored is None or not stored.complete():
        return False
    found = store.held.at_rest([stored.storage_id]).get(stored.storage_id)
    return (found is not None and found.checked) or store.verify(stored, sha1)


class DiskTier:
    """A BlockStore (or none) behind threads."""

    def __init__(
        self,
        store: BlockStore | None,
        sha1_of: Callable[[File], str],
        nursery: trio.Nursery,
        *,
        timeout_s: float,
        memory_bytes: int,
    ) -> None:
        """``memory_bytes`` are those of all extents."""
        self._store = store
        self.sha1_of = sha1_of
        """The service's sha1 of a file, '' while none is known."""
        self._unreleased: list[StoredObject] = []
        self._nursery = nursery
        self._tidying = False
        self._absent: cachetools.TTLCache[StorageId, tuple[float, int]] = cachetools.TTLCache(
            ABSENT_MAX, LOOK_AGAIN_S, timer=trio.current_time
        )
        """When (trio's clock, and by the count of ``Leases``) it was found that nothing is at rest
        of each."""
        # Readers do not queue behind writers.
        patience_s = min(STUCK_S, timeout_s * PATIENCE_SHARE)
        self._readers = DiskThreads(THREADS, patience_s)
        # Nor does an open behind reads of 4 MiB.
        self._lookups = DiskThreads(THREADS, patience_s)
        self._checkers = trio.CapacityLimiter(1)
        self._health = DiskHealth(log, "the disk cache", "reading on without it")
        self.writer = DiskWriter(
            nursery,
            memory_bytes=memory_bytes,
            usable=partial(self._usable, "write"),
            worked=partial(self._health.worked, "write"),
            failed=partial(self._failed, "write"),
        )

    @property
    def idle_bytes_max(self) -> float:
        """What is attached without a reader keeps others from evicting it: so much at most."""
        return math.inf if self._store is None else self._store.limit_bytes * IDLE_SHARE

    async def attach(self, opened: CachedObject) -> None:
        """Find what is at rest of an object."""
        self._looks(opened)
        store = self._usable()
        if store is None or opened.size_bytes == 0:
            return
        looked_at = self._absent.pop(opened.file.storage_id, None)
        if looked_at is not None:
            opened.looked_at, opened.looked_count = looked_at
            if opened.stored is None:
                opened.stored = store.attach_absent(
                    opened.file.storage_id, opened.size_bytes, opened.generation
                )
            return
        try:
            attach = partial(
                store.attach, opened.file.storage_id, opened.size_bytes, opened.generation
            )
            stored = await self._lookups.run(attach, store.release)
        except BROKEN as error:
            self._failed("read", error)
            return
        self._tidy_if_due(store)
        if opened.stored is None:
            opened.stored = stored
        else:  # another read was faster
            self._unreleased.append(stored)

    async def look_up(self, storage_ids: Sequence[StorageId]) -> None:
        """Learn of which objects nothing is at rest, all at once: to attach one of those in the
        next seconds needs no thread. Best effort; not for objects that are attached."""
        store = self._usable()
        if store is None:
            return
        looked_at = trio.current_time()
        counts = {} if self.leases is None else {i: self.leases.count(i) for i in storage_ids}
        try:
            absent = await self._lookups.run(partial(store.absent, storage_ids))
        except BROKEN as error:
            self._failed("read", error)
            return
        self._absent.update({each: (looked_at, counts.get(each, -1)) for each in absent})

    async def release(self, parted: Iterable[CachedObject]) -> None:
        """Close objects: now or, while the disk hangs, with the next ones."""
        store = self._store
        if store is None:
            return
        stored_objects, self._unreleased = self._unreleased, []
        for opened in parted:
            if opened.stored is not None:
                stored_objects.append(opened.stored)
                opened.stored = None
        if not stored_objects:
            return

        def close_all() -> None:
            for each in stored_objects:
                store.release(each)

        try:
            await self._lookups.run(close_all)
        except BROKEN as error:
            self._unreleased += stored_objects  # releasing twice does no harm
            self._failed("read", error)

    async def sample(self, opened: CachedObject) -> Sample | None:
        """A piece of a block at rest; None if there is none. DriveError if the disk fails."""
        store, stored = self._usable(), opened.stored
        try:
            if store is None:
                raise DiskHangsError
            if stored is None or not stored.row:
                return None
            found = await self._readers.run(partial(store.sample, stored))
        except BROKEN as error:
            if store is not None:
                self._failed("read", error)
            raise DriveError("the disk cache failed") from error
        return None if found is None else sample_of(found[0] * BLOCK_BYTES, memoryview(found[1]))

    def peek(self, opened: CachedObject, span: Span) -> bytes | None:
        """Bytes that the page cache has; never waits."""
        if opened.stored is None or self._store is None:
            return None
        return self._store.peek(opened.stored, span)

    async def has_now(self, extent: Extent, opened: CachedObject) -> bool:
        """Whether the whole extent is on disk since the last look: another process has put it
        there, or the disk is back."""
        if trio.current_time() - opened.looked_at < LOOK_AGAIN_S:
            return False
        await self.look(extent, opened)
        return extent.from_disk

    @property
    def leases(self) -> Leases | None:
        """Of the store; None if there is none, or it cannot have any."""
        return None if self._store is None else self._store.leases

    @property
    def may_write(self) -> bool:
        """Whether what is fetched is going to be at rest, as far as is known."""
        return self._usable("write") is not None

    def came_since(self, opened: CachedObject) -> bool:
        """Whether another process may have put bytes of it to rest since the last look."""
        leases = self.leases
        return leases is not None and leases.count(opened.file.storage_id) != opened.looked_count

    def _looks(self, opened: CachedObject) -> None:
        opened.looked_at = trio.current_time()
        if self.leases is not None:
            opened.looked_count = self.leases.count(opened.file.storage_id)

    def came(self, opened: CachedObject) -> None:
        """Bytes of it are at rest by our doing: tell the others."""
        if self.leases is not None:
            known = not self.came_since(opened)
            self.leases.came(opened.file.storage_id)
            if known:
                opened.looked_count = self.leases.count(opened.file.storage_id)

    async def look(self, extent: Extent, opened: CachedObject) -> None:
        """Learn what of an extent is at rest by now; ``from_disk`` says whether all of it is."""
        opened.looked_at = trio.current_time()  # the count is of a look at all of the object
        if opened.stored is None:
            await self.attach(opened)
        store, stored = self._usable(), opened.stored
        if store is None or stored is None:
            return
        try:
            await self._lookups.run(partial(store.refresh, stored, extent.blocks))
        except BROKEN as error:
            self._failed("read", error)
            return
        extent.from_disk = all(
            opened.on_disk(number) for number in range(extent.blocks.start, extent.blocks.stop)
        )

    async def read(self, extent: Extent, opened: CachedObject) -> None:
        """Fill an extent. DriveError means "not on disk", which the states say then as well."""
        store, stored = self._usable(), opened.stored
        assert extent.buffer is not None
        try:
            if store is None or stored is None:
                raise DiskHangsError
            # a thread that was given up still looks at the buffer: so it is not used again
            read = partial(store.read, stored, extent.blocks, extent.buffer)
            good = await self._readers.run(read)
        except BROKEN as error:
            if store is not None:
                self._failed("read", error)
            if stored is not None:
                stored.states[:] = bytes(len(stored.states))
            raise DriveError("the disk cache failed") from error
        if good:
            self._health.worked("read")
        extent.put(good)
        if good < extent.span.length:
            self._tidy_if_due(store)
            raise DriveError("a block on disk was damaged")

    async def read_blocks(self, opened: CachedObject, blocks: Span, buffer: memoryview) -> int:
        """Fill ``buffer`` with blocks at rest; how many bytes of it are good."""
        store, stored = self._usable(), opened.stored
        if store is None or stored is None:
            return 0
        try:
            return await self._readers.run(partial(store.read, stored, blocks, buffer))
        except BROKEN as error:
            self._failed("read", error)
            return 0

    async def save(self, extent: Extent, opened: CachedObject) -> None:
        """Put the whole blocks of an extent at rest; errors of the disk only count. Returns when
        they are there, or were given up."""
        if self._usable("write") is None or opened.stored is None:
            return
        await self.writer.save(extent, opened, opened.stored)
        self._absent.pop(opened.file.storage_id, None)

    def gauges(self) -> dict[str, int]:
        """Calls to the disk now (0 on an idle drive), and what was given up for the disk and what
        the store counted so far."""
        checking = self._checkers.borrowed_tokens
        calls = self._readers.under_way + self._lookups.under_way + checking
        now = {
            "disk_calls": calls,
            **self.writer.gauges(),
        }
        return now if self._store is None else now | self._store.gauges()

    async def proves_wrong(self, opened: CachedObject) -> bool:
        """Whether a large file that has become complete does not match the service's sha1, if there
        is one (small ones were compared before their first byte was given out). Its blocks are gone
        then."""
        store, stored = self._usable(), opened.stored
        sha1 = self.sha1_of(opened.file)
        if store is None or stored is None or not sha1 or opened.size_bytes <= SMALL_FILE_BYTES:
            return False
        if stored.checked or not stored.complete():
            return False  # and not in the queue: 120 tasks stood there while one file was checked
        async with self._checkers:
            if stored.checked or not stored.complete():
                return False
            try:
                right = await in_thread(partial(store.verify, stored, sha1))
            except BROKEN as error:
                self._failed("write", error)  # the mark, most likely; a read finds out by itself
                return False
        if not right:
            name = opened.file.name
            log.warning("%r does not match the service's sha1; its blocks are dropped", name)
        return not right

    async def evict(self, storage_ids: Sequence[StorageId]) -> Evicted:
        """Let go of what is at rest of objects that nobody has open. DriveError if the disk
        fails."""
        self._absent.clear()
        if self._store is None:
            return Evicted()
        return await self._keep(lambda store: store.inventory.evict(storage_ids))

    async def rests(self, storage_ids: Sequence[StorageId]) -> dict[StorageId, int]:
        """Bytes at rest, to the byte, of those objects of which there are any. DriveError if the
        disk fails."""
        return await self._keep(lambda store: store.inventory.at_rest(storage_ids))

    async def touch(self, storage_ids: Sequence[StorageId]) -> None:
        """They are wanted: others go before them. DriveError if the disk fails."""
        await self._keep(lambda store: store.inventory.touch(storage_ids))

    async def space(self, used_before: float) -> Space:
        """See ``Inventory.space``. DriveError if the disk fails."""
        return await self._keep(lambda store: store.inventory.space(used_before))

    # Whole objects

    async def at_rest(self, storage_ids: Sequence[StorageId]) -> Mapping[StorageId, AtRest]:
        """Of those objects of which something is at rest. DriveError if the disk fails."""
        return await self._keep(lambda store: store.held.at_rest(storage_ids))

    async def hold(self, hold: Iterable[StorageId] = (), let_go: Iterable[StorageId] = ()) -> None:
        """No process may evict some, and others as all are. DriveError if the disk fails."""
        await self._keep(lambda store: store.held.change([*hold], [*let_go]))

    async def held(self) -> set[StorageId]:
        """What no process may evict. DriveError if the disk fails."""
        return await self._keep(lambda store: store.held.ids())

    async def room(self) -> Room:
        """What may be held in all. DriveError if the disk fails."""
        return await self._keep(lambda store: store.held.room())

    async def is_right(self, opened: CachedObject, sha1: str) -> bool:
        """Whether all of an object is at rest and matches the service's sha1: read once, whoever
        asks how often. If it does not match, its blocks are gone. DriveError if the disk fails."""
        async with self._checkers:
            return await self._keep(lambda store: _is_right(store, opened.stored, sha1))

    async def _keep(self, work: Callable[[BlockStore], T]) -> T:
        """In a thread, for as long as the disk takes."""
        store = self._usable("write")
        if store is None:
            raise DriveError("the disk cache is off, or does not answer")
        try:
            return await in_thread(partial(work, store))
        except BROKEN as error:
            self._failed("write", error)
            raise DriveError(f"the disk cache failed: {error}") from error

    def _tidy_if_due(self, store: BlockStore) -> None:
        """What reading found out is written down, beside the readers."""
        if store.untidy and not self._tidying and not self.writer.hangs:
            self._tidying = True
            self._nursery.start_soon(self._tidy, store)

    async def _tidy(self, store: BlockStore) -> None:
        try:
            await in_thread(store.tidy)
        except BROKEN as error:
            self._failed("write", error)
        except Exception:  # a bug of ours must not end the drive
            log.exception("writing to the disk cache failed")
        finally:
            self._tidying = False

    def _usable(self, kind: Kind = "read") -> BlockStore | None:
        hangs = self._readers.hangs or self._lookups.hangs
        return self._store if self._health.usable(kind) and not hangs else None

    def _failed(self, kind: Kind, error: Exception) -> None:
        self._health.failed(kind, error)
