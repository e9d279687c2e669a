"""Versions that were made here: each goes on as the inode and the time of what was written.

A new inode, or the service's own time, would tell an editor that somebody else changed the file.
Other machines show the version's own. Remembered for 30 days.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import cachetools

from dmfs.model import File, Listing, WrittenFile
from dmfs.system.clock import wall_time_s
from dmfs.write.overlay.merging import merged
from dmfs.write.records import Base, Change, Place, Row, folder_of, new_draft_id
from dmfs.write.spool.spool import Spool

KIND = "adopted"
REMEMBER_S = 30 * 86400.0
ADOPTED_MAX = 100_000
DRESSED_MAX = 64
"""Folders whose listing is remembered as it is shown."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What a version goes on as."""

    key: str
    mtime_ns: int
    at_s: float
    """Wall clock."""
    project_id: str
    folder_id: str

    def as_row(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


class AdoptedVersions:
    """By version id, the oldest first. Rows of the journal (kind ``adopted``)."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._by_version: dict[str, Adopted] = {}
        self._in_folder: Counter[str] = Counter()
        """How many of them are in each folder."""
        self._latest: dict[str, File] = {}
        """By key: the version that the inode stands for now, as far as it was made in this run."""
        self.changes = 0
        """How often anything of them changed."""
        self._dressed: cachetools.LRUCache[str, tuple[Listing, Listing]] = cachetools.LRUCache(
            DRESSED_MAX
        )

    def load(self, rows: Mapping[str, Row]) -> list[Change]:
        """Of the journal; the changes that drop what is too old or of no use."""
        drop, found = [], {}
        for version_id, row in rows.items():
            try:
                found[version_id] = Adopted(**row.record)
            except TypeError:
                drop.append(Change(KIND, version_id, None))
        for version_id in sorted(found, key=lambda each: found[each].at_s):
            self._put(version_id, found[version_id])
        return drop + self._drop_old()

    def __bool__(self) -> bool:
        return bool(self._by_version)

    def add(self, file: File, key: str, mtime_ns: int) -> list[Change]:
        """A version goes on as this; the rows to commit with it."""
        adopted = Adopted(key, mtime_ns, wall_time_s(), file.project_id, file.folder_id)
        self._remove(file.version_id)
        self._put(file.version_id, adopted)
        self._latest[key] = self.shown(file)
        return [Change(KIND, file.version_id, adopted.as_row()), *self._drop_old()]

    def parted(self, file: File) -> list[Change]:
        """A version goes on as an inode of its own: what it was here goes on as another file."""
        key = f"parted {new_draft_id()}"
        changes = self.add(plain(file), key, plain(file).mtime_ns)
        self._latest.pop(key, None)  # of a base that was truncated the size is not the version's
        return changes

    def left(self, base: Base | None, at: Place, key: str, file: File) -> list[Change]:
        """What was written to ``base`` became ``file``: if that is another item, the inode goes
        with it, and the version stays as another one."""
        if base is None or base.item_id == file.item_id:
            return []
        before = base.as_file(at)
        return self.parted(before) if self.shown(before).identity == key else []

    async def set_mtime(self, file: File, mtime_ns: int) -> None:
        """utimensat(2) on a version: this machine shows that time."""
        if file.version_id:
            await self._spool.commit(self.add(plain(file), file.identity, mtime_ns))

    def _put(self, version_id: str, adopted: Adopted) -> None:
        self.changes += 1
        self._by_version[version_id] = adopted
        self._in_folder[adopted.folder_id] += 1
        self._dressed.pop(adopted.folder_id, None)

    def _remove(self, version_id: str) -> None:
        adopted = self._by_version.pop(version_id, None)
        if adopted is None:
            return
        self.changes += 1
        self._dressed.pop(adopted.folder_id, None)
        self._in_folder[adopted.folder_id] -= 1
        if not self._in_folder[adopted.folder_id]:
            del self._in_folder[adopted.folder_id]
        latest = self._latest.get(adopted.key)
        if latest is not None and latest.version_id == version_id:
            del self._latest[adopted.key]

    def _drop_old(self) -> list[Change]:
        """Of a mount that lasts for months, too."""
        drop, oldest_s = [], wall_time_s() - REMEMBER_S
        while self._by_version:
            version_id, adopted = next(iter(self._by_version.items()))
            if len(self._by_version) <= ADOPTED_MAX and adopted.at_s >= oldest_s:
                break
            self._remove(version_id)
            drop.append(Change(KIND, version_id, None))
        return drop

    # What is seen

    def shown(self, file: File) -> File:
        """A version as this machine shows it."""
        adopted = self._by_version.get(file.version_id) if self._by_version else None
        if adopted is None or adopted.project_id != file.project_id:
            return file
        return under_key(file, adopted.key, adopted.mtime_ns)

    def dressed(self, listing: Listing) -> Listing:
        """A listing with all such versions as this machine shows them: its files are gone through
        once, and only in a folder that has any."""
        folder_id = folder_of(listing.directory)
        if folder_id is None or folder_id not in self._in_folder:
            return listing
        known = self._dressed.get(folder_id)
        if known is None or known[0] is not listing:
            files = (
                (name, child, self.shown(child))
                for name, child in listing.entries.items()
                if isinstance(child, File)
            )
            differs = {name: shown for name, child, shown in files if shown is not child}
            known = self._dressed[folder_id] = listing, merged(listing, differs)
        return known[1]

    def latest(self, file: File) -> File:
        """The version that the inode of a node stands for now."""
        return self._latest.get(file.identity, file)


def under_key(file: File, key: str, mtime_ns: int) -> WrittenFile:
    """A version as another inode, and of another time."""
    values = {each.name: getattr(file, each.name) for each in fields(File)}
    values["mtime_ns"] = mtime_ns
    return WrittenFile(**values, key=key)


def plain(file: File) -> File:
    """A version as the service has it."""
    if not isinstance(file, WrittenFile):
        return file
    return File(**{each.name: getattr(file, each.name) for each in fields(File)})
