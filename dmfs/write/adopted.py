"""Versions that were made here: each goes on as the inode and the time of what was written.

A new inode, or the service's own time, would tell an editor that somebody else changed the file.
Other machines show the version's own. Remembered for 30 days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dmfs.model import File, WrittenFile
from dmfs.system.clock import wall_time_s
from dmfs.write.records import Base, Change, Place, Row, new_draft_id
from dmfs.write.spool.spool import Spool

KIND = "adopted"
REMEMBER_S = 30 * 86400.0
ADOPTED_MAX = 100_000


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
    """By version id. Rows of the journal (kind ``adopted``)."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._by_version: dict[str, Adopted] = {}
        self._folders: set[str] = set()
        self._latest: dict[str, File] = {}
        """By key: the version that the inode stands for now, as far as it was made in this run."""

    def load(self, rows: Mapping[str, Row]) -> list[Change]:
        """Of the journal; the changes that drop what is too old or of no use."""
        now_s = wall_time_s()
        drop = []
        for version_id, row in rows.items():
            try:
                adopted = Adopted(**row.record)
            except TypeError:
                drop.append(Change(KIND, version_id, None))
                continue
            if now_s - adopted.at_s > REMEMBER_S:
                drop.append(Change(KIND, version_id, None))
            else:
                self._by_version[version_id] = adopted
                self._folders.add(adopted.folder_id)
        return drop

    def is_in(self, folder_id: str) -> bool:
        """Whether a folder may hold any of them."""
        return folder_id in self._folders

    def __bool__(self) -> bool:
        return bool(self._by_version)

    def add(self, file: File, key: str, mtime_ns: int) -> Change:
        """A version goes on as this; the row to commit with it."""
        adopted = Adopted(key, mtime_ns, wall_time_s(), file.project_id, file.folder_id)
        while len(self._by_version) >= ADOPTED_MAX:
            del self._by_version[next(iter(self._by_version))]
        self._by_version[file.version_id] = adopted
        self._folders.add(file.folder_id)
        self._latest[key] = self.shown(file)
        return Change(KIND, file.version_id, adopted.as_row())

    def parted(self, file: File) -> Change:
        """A version goes on as an inode of its own: what it was here goes on as another file."""
        key = f"parted {new_draft_id()}"
        change = self.add(plain(file), key, plain(file).mtime_ns)
        del self._latest[key]  # of a base that was truncated the size is not the version's
        return change

    def left(self, base: Base | None, at: Place, key: str, file: File) -> list[Change]:
        """What was written to ``base`` became ``file``: if that is another item, the inode goes
        with it, and the version stays as another one."""
        if base is None or base.item_id == file.item_id:
            return []
        before = base.as_file(at)
        return [self.parted(before)] if self.shown(before).identity == key else []

    async def set_mtime(self, file: File, mtime_ns: int) -> None:
        """utimensat(2) on a version: this machine shows that time."""
        if file.version_id:
            await self._spool.commit([self.add(plain(file), file.identity, mtime_ns)])

    def shown(self, file: File) -> File:
        """A version as this machine shows it."""
        adopted = self._by_version.get(file.version_id) if self._by_version else None
        if adopted is None or adopted.project_id != file.project_id:
            return file
        values = {each.name: getattr(file, each.name) for each in fields(File)}
        values["mtime_ns"] = adopted.mtime_ns
        return WrittenFile(**values, key=adopted.key)

    def latest(self, file: File) -> File:
        """The version that the inode of a node stands for now."""
        return self._latest.get(file.identity, file)


def plain(file: File) -> File:
    """A version as the service has it."""
    if not isinstance(file, WrittenFile):
        return file
    return File(**{each.name: getattr(file, each.name) for each in fields(File)})
