"""What a filesystem object has used, and what it was given of what another one had."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

import trio

from dmfs.drive import Drive
from dmfs.model import Child, Directory, File, Listing, Node, Root, Shortcut, WrittenFile
from dmfs.namespace.listing_codec import Record
from dmfs.spec.known.knowledge import Knowledge, record_of, unpack

DIRECTORIES_MAX = 4096
SNAPSHOTS_MAX = 8
CHAINS_AT_ONCE = 100
"""About a millisecond: so long the loop does nothing else."""


class Memory:
    """Paths of the directories that were used, the last ones at the end. On the loop alone."""

    def __init__(self) -> None:
        self._paths: OrderedDict[str, None] = OrderedDict()
        self._given: tuple[tuple[bytes, Knowledge], ...] = ()
        """The one that came last goes first. Replaced as a whole, so that any thread may look."""
        self._changed: frozenset[str] = frozenset()
        """Directories in which this object changed something: no snapshot tells what is below."""

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def given(self) -> bytes:
        """The snapshot that came last; b'' for none."""
        return self._given[0][0] if self._given and not self._changed else b""

    def give(self, packed: bytes) -> None:
        """Take a snapshot over: each task of an engine may bring the same one."""
        known = dict(self._given)
        knowledge = known.pop(packed, None) or unpack(packed)
        self._given = ((packed, knowledge), *list(known.items())[: SNAPSHOTS_MAX - 1])

    def forget(self) -> None:
        """Let go of all snapshots."""
        self._given = ()

    def changed(self, path: str) -> None:
        """Something was changed in a directory by this object."""
        self._changed |= {path}

    def _is_changed(self, path: str) -> bool:
        if not self._changed or not self._given:
            return False
        parts = path.split("/")
        above = ("/".join(parts[:end]) or "/" for end in range(1, len(parts) + 1))
        return not self._changed.isdisjoint(above)

    def node(self, path: str) -> Node | None:
        """What a path means by a snapshot; None if none tells."""
        if self._is_changed(path):
            return None
        found = (knowledge.node(path) for _, knowledge in self._given)
        return next((node for node in found if node is not None), None)

    def entries(self, directory: Directory, path: str) -> Mapping[str, Child] | None:
        """All that is in a directory by a snapshot; None if none tells."""
        if self._is_changed(path):
            return None
        found = (knowledge.entries(directory) for _, knowledge in self._given)
        return next((entries for entries in found if entries is not None), None)

    def used(self, path: str) -> None:
        """A directory was listed, or a name in it was resolved."""
        self._paths[path] = None
        self._paths.move_to_end(path)
        if len(self._paths) > DIRECTORIES_MAX:
            self._paths.popitem(last=False)

    async def chains(self, drive: Drive, paths: Iterable[str] | None = None) -> list[list[Record]]:
        """For each directory (those that were used, the last one first, if none are named) the
        listings from the root down that lead there and show it, as far as they are known: by a
        snapshot, in memory or on disk. Costs no call."""
        wanted = list(reversed(self._paths)) if paths is None else paths
        seen: dict[str, Record | None] = {}
        chains = []
        for number, path in enumerate(wanted):
            if number % CHAINS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            if chain := await self._chain(drive, path, seen):
                chains.append(chain)
        return chains

    async def _chain(self, drive: Drive, path: str, seen: dict[str, Record | None]) -> list[Record]:
        """``seen``: by their paths, records that were looked for; those of a hub are part of each
        chain, and it takes as long as it has entries to see whether one may travel."""
        node: Directory = Root()
        found: list[Record] = []
        at = ""
        for part in [*(each for each in path.split("/") if each), None]:
            if at not in seen:
                seen[at] = await self._record(drive, node, at or "/")
            record = seen[at]
            if record is None:
                return []
            found.append(record)
            if part is None:
                break
            child = record.entries.get(part)
            if child is None or isinstance(child, File | Shortcut):
                return []
            node, at = child, f"{at}/{part}"
        return found

    async def _record(self, drive: Drive, directory: Directory, path: str) -> Record | None:
        if not self._is_changed(path):
            found = (knowledge.record(directory) for _, knowledge in self._given)
            if (record := next((each for each in found if each is not None), None)) is not None:
                return record
        listing = await drive.recall(directory)
        if listing is None or listing.lost or _has_drafts(listing):
            return None
        return record_of(listing)


def _has_drafts(listing: Listing) -> bool:
    """Whether it shows what no other process can read."""
    return any(isinstance(each, WrittenFile) for each in listing.entries.values())
