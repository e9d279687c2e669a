"""Storage objects in the cache: open, lately closed, begun anew. Floor 2.

Runs on the trio loop; state changes only between awaits.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator

import cachetools
import trio

from dmfs.blocks.disk_tier import DiskTier
from dmfs.blocks.extents import CachedObject
from dmfs.blocks.memory_tier import MemoryTier
from dmfs.errors import ObjectChangedError
from dmfs.model import File, StorageId

log = logging.getLogger(__name__)

IDLE_OBJECTS = 64
"""Closed objects kept attached (a file descriptor each): viewers open and close all the time."""
LET_GO_AT_ONCE = 16
"""Once there are more, so many go in one call to the disk: each costs a thread, and with 1000
small files opened and closed in turn that was one for every file."""
ANEW_REMEMBERED = 4096


class OpenObjects:
    """The objects that somebody reads, and those that were read last."""

    def __init__(self, memory: MemoryTier, disk: DiskTier, nursery: trio.Nursery) -> None:
        self._memory = memory
        self._disk = disk
        self._nursery = nursery
        self._known: OrderedDict[StorageId, CachedObject] = OrderedDict()
        self._opening: dict[StorageId, trio.Event] = {}
        self._spoilt: list[CachedObject] = []
        self._anew: cachetools.LRUCache[StorageId, bool] = cachetools.LRUCache(ANEW_REMEMBERED)

    def __iter__(self) -> Iterator[CachedObject]:
        return iter([*self._known.values(), *self._spoilt])

    def __len__(self) -> int:
        return len(self._known) + len(self._spoilt)

    async def open(self, file: File, size_bytes: int) -> CachedObject:
        """The object of a version, of its authoritative size; to be closed once per open."""
        while (event := self._opening.get(file.storage_id)) is not None:
            await event.wait()
        known = self._known.get(file.storage_id)
        if known is not None and known.size_bytes == size_bytes:
            known.users += 1
            self._known.move_to_end(file.storage_id)
            return known
        event = self._opening[file.storage_id] = trio.Event()
        try:
            opened = CachedObject(file, size_bytes, users=1)
            await self._disk.attach(opened)
            # what is at rest may have been given out before it was closed
            opened.given = opened.shelf is not None and bool(opened.shelf.row)
            self._known[file.storage_id] = opened
            self._known.move_to_end(file.storage_id)
        finally:
            del self._opening[file.storage_id]
            event.set()
        self._trim()
        return opened

    async def look_up(self, storage_ids: Iterable[StorageId]) -> None:
        """These will be opened soon: see of which there is nothing on disk."""
        unknown = [each for each in storage_ids if each not in self._known]
        if unknown:
            await self._disk.look_up(unknown)

    def _trim(self) -> None:
        """Let go of what was closed longest ago, and of what is spoilt. Never waits."""
        idle = [known for known in self._known.values() if known.users <= 0]
        parted = [each for each in self._spoilt if each.users <= 0]
        for old in parted:
            self._spoilt.remove(old)
        more = len(idle) - IDLE_OBJECTS
        for known in idle[: more + LET_GO_AT_ONCE - 1] if more > 0 else ():
            del self._known[known.file.storage_id]
            for run in set(known.runs.values()):
                self._memory.drop(run, known)
            parted.append(known)
        if parted:
            self._memory.changed()
            # in a task of the cache's: an opener that is cancelled must not lose hold of a shelf
            self._nursery.start_soon(self._release, parted)

    async def _release(self, parted: list[CachedObject]) -> None:
        try:
            await self._disk.release(parted)
        except Exception:
            log.exception("letting go of %r and others failed", parted[0].file.name)

    # Another ETag

    def is_anew(self, storage_id: StorageId) -> bool:
        return storage_id in self._anew

    def begin_anew(self, storage_id: StorageId) -> None:
        """An object comes under another ETag, and that is the right one: let go of all that is
        kept of it. Who has had bytes of it is told to open it again; for others nothing happened.
        """
        self._anew[storage_id] = True
        opened = self._known.get(storage_id)
        if opened is None:
            return
        opened.era += 1
        for run in set(opened.runs.values()):
            run.stale = True
            if run.done:
                self._memory.forget(run, opened)
            else:  # let go of when it lands
                run.error = spoilt(opened)
            run.parking.unpark_all()
        opened.runs.clear()
        if opened.given:
            opened.spoilt = True
            del self._known[storage_id]
            self._spoilt.append(opened)
        self._disk.part_with(opened)
        self._memory.changed()
        event = None if storage_id in self._opening else trio.Event()
        if event is not None:  # who opens it meanwhile waits, or would find the old bytes on disk
            self._opening[storage_id] = event
        opened.users += 1
        self._nursery.start_soon(self._drop, opened, event)

    async def _drop(self, opened: CachedObject, event: trio.Event | None) -> None:
        try:
            await self._disk.drop(opened)
            if not opened.spoilt:
                await self._disk.attach(opened)
        except Exception:
            log.exception("dropping bytes of %r failed", opened.file.name)
        finally:
            opened.users -= 1
            if event is not None:
                del self._opening[opened.file.storage_id]
                event.set()


def spoilt(opened: CachedObject) -> ObjectChangedError:
    """What a reader of bytes that must not be mixed is told."""
    return ObjectChangedError(
        f"cannot read {opened.file.name!r}: it comes under another ETag than what was read before",
        hint="open it again",
    )
