"""What a person asks of many objects at rest: how much there is of them, and to let go of them.

All methods block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dmfs.blocks.store.attached import AttachedObjects
from dmfs.blocks.store.eviction import BATCH_OBJECTS, Evicted, Evictor
from dmfs.blocks.store.index import Index
from dmfs.model import StorageId
from dmfs.system.clock import wall_time_s

IDS_IN_QUERY = 256


class Space(NamedTuple):
    """Of the cache, in bytes."""

    limit_bytes: int
    free_bytes: int
    """What may be written before anything has to go: by the limit, and by what stays free of the
    disk. Below 0 if it is too full."""
    old_bytes: int
    """What may go for something new: neither pinned nor used lately."""
    batch_bytes: int
    """So much may go at once beyond what is needed."""

    @property
    def for_new_bytes(self) -> int:
        """What may be written before anything has to go that is pinned or was used lately."""
        return max(0, self.free_bytes, self.free_bytes + self.old_bytes - self.batch_bytes)


class Inventory:
    """Questions about objects by their storage ids."""

    def __init__(self, index: Index, evictor: Evictor, attached: AttachedObjects) -> None:
        self._index = index
        self._evictor = evictor
        self._attached = attached

    def at_rest(self, storage_ids: Sequence[StorageId]) -> dict[StorageId, int]:
        """Bytes at rest by storage id; those without any are left out."""
        self._attached.recover()
        found: dict[StorageId, int] = {}
        for chosen in _portions(storage_ids, IDS_IN_QUERY):
            for rest in self._index.reading.rests_of(chosen):
                found[StorageId(rest.storage_id)] = rest.bytes
        return found

    def touch(self, storage_ids: Sequence[StorageId]) -> None:
        """They are wanted now: others go before them."""
        now = wall_time_s()
        self._attached.recover()
        with self._attached.writing([]):
            for chosen in _portions(storage_ids, IDS_IN_QUERY):
                self._index.touch((row, now) for row, _ in self._index.rows_of(chosen).values())

    def space(self, used_before: float) -> Space:
        """How full the cache is. ``used_before``: what was used since then (wall time) is not
        old."""
        self._attached.recover()
        return Space(
            self._evictor.limit_bytes,
            self._evictor.free_bytes(),
            self._index.reading.old_bytes(used_before),
            self._evictor.ahead_bytes,
        )

    def evict(self, storage_ids: Sequence[StorageId]) -> Evicted:
        """Let go of what is at rest of these, in batches of a transaction each. An object that any
        process reads stays, and so does what is pinned."""
        self._attached.recover()
        so_far = Evicted()
        for chosen in _portions(storage_ids, BATCH_OBJECTS):
            so_far = so_far.plus(self._evictor.evict(chosen, self._attached.rows()))
        return so_far


def _portions(ids: Sequence[StorageId], size: int) -> Iterator[Sequence[StorageId]]:
    return (ids[first : first + size] for first in range(0, len(ids), size))
