"""Storage objects in the cache: open, or lately closed. Each belongs to one generation.

Runs on the trio loop; state changes only between awaits.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import cachetools
import trio

from dmfs.blocks.disk_tier import DiskTier
from dmfs.blocks.extents import CachedObject
from dmfs.blocks.memory_tier import MemoryTier
from dmfs.blocks.store.eviction import Evicted
from dmfs.fetch.generation import Generation
from dmfs.model import File, StorageId
from dmfs.system.concurrency import SingleFlight

log = logging.getLogger(__name__)

IDLE_OBJECTS = 64
"""Closed objects that stay attached (a file descriptor each): viewers open and close repeatedly."""
RELEASED_AT_ONCE = 16
"""Once there are more, so many go in one call to the disk: each costs a thread, and with 1000
small files opened and closed in turn that was one for every file."""
GENERATIONS_REMEMBERED = 4096
"""Of objects that are closed: the kernel may have pages of them."""


class OpenObjects:
    """The objects that have readers, and those that were read last."""

    def __init__(self, memory: MemoryTier, disk: DiskTier, nursery: trio.Nursery) -> None:
        self._memory = memory
        self._disk = disk
        self._nursery = nursery
        self._known: dict[StorageId, CachedObject] = {}
        self._idle: OrderedDict[StorageId, CachedObject] = OrderedDict()
        """Those known that nobody uses, closed longest ago first. (To look for them among all cost
        each open 1.5 µs for every file that was open.)"""
        self._detached: dict[int, CachedObject] = {}
        """By ``id``: another object took their place; they wait for their last user."""
        self._over: dict[int, CachedObject] = {}
        """Those detached that lost their last user."""
        self._attaching: SingleFlight[StorageId, None] = SingleFlight(nursery)
        self._generations: cachetools.LRUCache[StorageId, Generation] = cachetools.LRUCache(
            GENERATIONS_REMEMBERED
        )

    def __iter__(self) -> Iterator[CachedObject]:
        return iter([*self._known.values(), *self._detached.values()])

    def __len__(self) -> int:
        return len(self._known) + len(self._detached)

    async def open(self, file: File, size_bytes: int) -> CachedObject:
        """The object of a version, of its authoritative size; to be closed once per open."""
        while (opened := self._usable(file.storage_id, size_bytes)) is None:
            attach = partial(self._attach, file, size_bytes)
            await self._attaching.join(file.storage_id, attach).wait()
        self.hold(opened)
        return opened

    def hold(self, opened: CachedObject) -> None:
        """Count one more user of an object."""
        opened.users += 1
        if self._idle.get(opened.file.storage_id) is opened:
            del self._idle[opened.file.storage_id]

    def let_go(self, opened: CachedObject) -> None:
        """Count one user less. Never waits: what nobody uses goes with a later open."""
        opened.users -= 1
        if opened.users > 0:
            return
        if self._known.get(opened.file.storage_id) is opened:
            self._idle[opened.file.storage_id] = opened
        elif id(opened) in self._detached:
            self._over[id(opened)] = opened

    def attached(self, storage_id: StorageId) -> CachedObject | None:
        """The object that is open or was closed lately. Never waits; counts no user."""
        return self._known.get(storage_id)

    async def look_up(self, storage_ids: Iterable[StorageId]) -> None:
        """These will be opened soon: find those of which there is nothing on disk."""
        unknown = [each for each in storage_ids if each not in self._known]
        if unknown:
            await self._disk.look_up(unknown)

    async def evict(self, storage_ids: Sequence[StorageId]) -> Evicted:
        """Let go of the bytes of these, in memory and on disk, but for those that somebody reads.
        DriveError if the disk fails."""
        released = []
        for storage_id in storage_ids:
            known = self._idle.pop(storage_id, None)
            if known is not None:
                del self._known[storage_id]
                self.forget_extents(known)
                released.append(known)
        await self._release(released)
        return await self._disk.evict(storage_ids)

    def has_older(self, opened: CachedObject) -> bool:
        """Whether files are open that read an earlier content of the same storage object."""
        storage_id = opened.file.storage_id
        return any(
            each.users > 0 and each.file.storage_id == storage_id
            for each in self._detached.values()
        )

    def _usable(self, storage_id: StorageId, size_bytes: int) -> CachedObject | None:
        known = self._known.get(storage_id)
        if known is None or known.detached or known.size_bytes != size_bytes:
            return None
        return known

    async def _attach(self, file: File, size_bytes: int) -> None:
        if self._usable(file.storage_id, size_bytes) is not None:
            return
        generation = self._generation(file.storage_id, size_bytes)
        opened = CachedObject(file, generation, self._disk.sample)
        await self._disk.attach(opened)
        former = self._known.pop(file.storage_id, None)
        if former is not None:
            self._idle.pop(file.storage_id, None)
            self.forget_extents(former)
            self._detached[id(former)] = former
            if former.users <= 0:
                self._over[id(former)] = former
        self._known[file.storage_id] = opened
        self._trim()
        self._idle[file.storage_id] = opened  # until its opener, if that is not gone, goes on

    def _generation(self, storage_id: StorageId, size_bytes: int) -> Generation:
        """The one that a new open is of: the last one known, or its successor."""
        generation = self._generations.get(storage_id)
        if generation is None:
            generation = Generation(storage_id, size_bytes)
        while generation.successor is not None:
            generation = generation.successor
        if generation.size_bytes != size_bytes:
            generation = generation.detach(size_bytes=size_bytes)
        self._generations[storage_id] = generation
        return generation

    def _trim(self) -> None:
        """Release what was closed longest ago, and what is detached. Never waits."""
        released = [each for each in self._over.values() if each.users <= 0]
        self._over.clear()
        for old in released:
            self._detached.pop(id(old), None)
        for _ in range(self._too_many()):
            storage_id, known = self._idle.popitem(last=False)
            del self._known[storage_id]
            self.forget_extents(known)
            released.append(known)
        if released:
            # in a task of the cache's: an opener that is cancelled must not lose a stored object
            self._nursery.start_soon(self._release, released)

    def _too_many(self) -> int:
        """How many of those that nobody uses are to go, those closed longest ago."""
        count = len(self._idle)
        go = count - IDLE_OBJECTS + RELEASED_AT_ONCE - 1 if count > IDLE_OBJECTS else 0
        left_bytes = self._disk.idle_bytes_max
        for number, known in enumerate(reversed(self._idle.values())):
            left_bytes -= known.size_bytes
            if left_bytes < 0:
                return max(go, count - number)
        return go

    def forget_extents(self, opened: CachedObject) -> None:
        """Let what is in memory of an object be fetched again."""
        for extent in set(opened.extents.values()):
            if extent.landed:  # others are forgotten when they land
                self._memory.drop(extent, opened)
        self._memory.changed()

    async def _release(self, released: list[CachedObject]) -> None:
        try:
            await self._disk.release(released)
        except Exception:
            log.exception("releasing %r and others failed", released[0].file.name)
