"""Objects that no process may evict, and how much is at rest of an object.

Held by storage id, not by row: also before the first block is there, and again at once where the
cache was deleted. All methods block. OSError, sqlite3.Error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from dmfs.blocks.store.eviction import Evictor
from dmfs.blocks.store.index import Index
from dmfs.blocks.store.index_view import Rest
from dmfs.model import StorageId
from dmfs.spans import GIB

LEFT_BYTES, LEFT_SHARE = GIB, 8
"""What is held leaves a gigabyte of the cache to everything else, of a small cache an eighth."""


class AtRest(NamedTuple):
    """How much of an object is on disk."""

    at_rest_bytes: int
    size_bytes: int
    checked: bool
    """All of it was compared with the service's sha1."""

    @property
    def whole(self) -> bool:
        """Whether all of it is there."""
        return self.at_rest_bytes == self.size_bytes


class Room(NamedTuple):
    """Bytes of the cache for what is held."""

    most_bytes: int
    """In all, as the settings say."""
    disk_bytes: int
    """That the disk would still take, if everything went that is not held."""


def most_held_bytes(limit_bytes: int) -> int:
    """Of a cache of that size, what may be held in all."""
    return limit_bytes - min(LEFT_BYTES, limit_bytes // LEFT_SHARE)


class HeldObjects:
    """``hold`` and ``let_go`` of objects; ``at_rest`` tells of them."""

    def __init__(self, index: Index, evictor: Evictor, recover: Callable[[], None]) -> None:
        """``recover``: go on with the cache that stands in the place of one that was deleted."""
        self._index = index
        self._evictor = evictor
        self._recover = recover

    def change(self, hold: Iterable[StorageId] = (), let_go: Iterable[StorageId] = ()) -> None:
        """Hold some and let go of others, in one transaction."""
        self._recover()
        with self._index.transaction():
            self._index.let_go(let_go)
            self._index.hold(hold)

    def ids(self) -> set[StorageId]:
        """What is held."""
        self._recover()
        return {StorageId(each) for each in self._index.reading.held()}

    def at_rest(self, storage_ids: Sequence[StorageId]) -> Mapping[StorageId, AtRest]:
        """Of those objects of which something is at rest, or was."""
        self._recover()
        found: dict[StorageId, AtRest] = {}
        for storage_id in storage_ids:
            row = self._index.reading.find(storage_id)
            if row is None:
                continue
            rest = Rest(storage_id, row.size_bytes, *self._index.reading.block_count(row.id))
            found[storage_id] = AtRest(rest.bytes, row.size_bytes, bool(row.checked))
        return found

    def room(self) -> Room:
        """What may be held in all."""
        self._recover()
        most_bytes = most_held_bytes(self._evictor.limit_bytes)
        disk_bytes = self._evictor.disk_bytes() + self._index.reading.total_bytes()
        return Room(most_bytes, max(0, disk_bytes))
