"""Where something is listed of which only the service's id is known: no call, however old it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from dmfs.model import Child, Directory, LiveDirectory, Root
from dmfs.namespace.listing_cache import DEPTH_MAX, ListingCache
from dmfs.namespace.listing_store import ListingStore
from dmfs.system.clock import Moment
from dmfs.system.concurrency import computed

ROOT = Root().identity
Wanted = Callable[[Child], bool]


class Holder(NamedTuple):
    """A directory that listed it, under a name, at a moment."""

    child: Child
    name: str
    directory: Directory
    moment: Moment


class ById:
    """Looks in memory, then on disk."""

    def __init__(self, memory: ListingCache, store: ListingStore | None) -> None:
        self._memory = memory
        self._store = store

    async def holders(self, identifier: str, wanted: Wanted) -> list[Holder]:
        """The listings that show what is ``wanted``, the newest first: of an item that was moved,
        an older one may show it too. ``identifier``: a text that it has in it, by which the disk
        finds it; '' to look in memory alone."""
        known = [
            (each.listing.directory, each.listing.entries, each.moment)
            for each in self._memory.all()
        ]
        found = await computed(partial(_search, known, wanted))
        if self._store is not None and identifier:
            here = {directory.identity for directory, _, _ in known}
            stored = [
                (each.directory, each.entries, each.moment)
                for each in await self._store.holding(identifier)
                if each.directory.identity not in here
            ]
            found += _search(stored, wanted)
        return sorted(found, key=lambda each: each.moment, reverse=True)

    async def way(self, identity: str) -> str:
        """The path of a directory; '' where a part of the way is not known."""
        names: list[str] = []
        for _ in range(DEPTH_MAX):
            if identity == ROOT:
                return "/" + "/".join(reversed(names))
            parent = await self._parent(identity)
            entries = await self._entries(parent) if parent else {}
            name = next((n for n, child in entries.items() if child.identity == identity), "")
            if not name:
                return ""
            names.append(name)
            identity = parent
        return ""

    async def _parent(self, identity: str) -> str:
        parent = self._memory.parent_identity(identity)
        if parent or self._store is None:
            return parent
        record = await self._store.load(identity)
        return "" if record is None else record.parent

    async def _entries(self, identity: str) -> Mapping[str, Child]:
        cached = self._memory.get(identity)
        if cached is not None:
            return cached.listing.entries
        record = None if self._store is None else await self._store.load(identity)
        return {} if record is None else record.entries


def _search(
    known: Iterable[tuple[Directory, Mapping[str, Child], Moment]], wanted: Wanted
) -> list[Holder]:
    return [
        Holder(child, name, directory, moment)
        for directory, entries, moment in known
        if isinstance(directory, LiveDirectory)
        for name, child in entries.items()
        if wanted(child)
    ]
