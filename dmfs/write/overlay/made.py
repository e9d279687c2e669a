"""What the service has made, moved or deleted in a directory when it was called, until a listing
says the same; and folders that stay on this machine, which no listing ever shows.

Rows of the journal are of the kind ``made``: the disk's listing is older than they are.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

import trio

from dmfs.model import Child, File, Folder, own_id
from dmfs.namespace.listing_codec import BadRecordError, decode_node, encode_node
from dmfs.system.clock import wall_time_s
from dmfs.write.overlay.adopted import plain
from dmfs.write.settle.recording.name_table import LAG_S

KIND = "made"
_GONE = "/"
"""Before an id; no name has one."""


class Made:
    """Of one directory. Times are trio's."""

    def __init__(self) -> None:
        self.shown: dict[str, Folder | File] = {}
        self._made_at: dict[str, float] = {}
        self._gone: dict[str, float] = {}
        self._changed: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self.shown or self._gone)

    def hides(self, child: Child) -> bool:
        """Whether a listing's entry has gone meanwhile."""
        return own_id(child) in self._gone

    def shows(self, name: str, child: Folder | File) -> None:
        """What has been made here, or moved here."""
        self.shown[name] = plain(child) if isinstance(child, File) else child
        self._made_at[name] = trio.current_time()
        self._changed.add(name)
        if self._gone.pop(own_id(child), None) is not None:
            self._changed.add(_GONE + own_id(child))

    def removes(self, child: Folder) -> None:
        """What has been deleted, or moved away."""
        for name in [name for name, each in self.shown.items() if own_id(each) == child.id]:
            self._forget(name)
        if not child.is_local:
            self._gone[child.id] = trio.current_time()
            self._changed.add(_GONE + child.id)

    @property
    def gone(self) -> Iterable[str]:
        """Ids of what has been deleted, or moved away."""
        return self._gone.keys()

    @property
    def has_changes(self) -> bool:
        """Whether rows differ since the last ``take_changes``."""
        return bool(self._changed)

    def see(self, ids: Container[str], at: float) -> None:
        """Forget what a listing of that time agrees with, or has contradicted for too long."""
        for name, child in list(self.shown.items()):
            made_at = self._made_at[name]
            if isinstance(child, Folder) and child.is_local:
                continue
            if at > made_at and (own_id(child) in ids or at > made_at + LAG_S):
                self._forget(name)
        for each, gone_at in list(self._gone.items()):
            if at > gone_at and (each not in ids or at > gone_at + LAG_S):
                del self._gone[each]
                self._changed.add(_GONE + each)

    def _forget(self, name: str) -> None:
        del self.shown[name], self._made_at[name]
        self._changed.add(name)

    # The journal

    def take_changes(self) -> list[tuple[str, dict[str, Any] | None]]:
        """Rows that differ since the last call; None: the row goes."""
        now, wall_s, changes = trio.current_time(), wall_time_s(), []
        for key in sorted(self._changed):
            record: dict[str, Any] | None = None
            if key.startswith(_GONE):
                if (at := self._gone.get(key.removeprefix(_GONE))) is not None:
                    record = {"at_s": wall_s - (now - at)}
            elif key in self.shown:
                at_s = wall_s - (now - self._made_at[key])
                record = {"at_s": at_s, "node": encode_node(self.shown[key])}
            changes.append((key, record))
        self._changed.clear()
        return changes

    def row_keys(self) -> Iterable[str]:
        """Of all rows."""
        return [*self.shown, *(_GONE + each for each in self._gone)]

    def write_again(self, keys: Iterable[str]) -> None:
        """These rows are to be written, whether they differ or not."""
        self._changed.update(keys)

    def load(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """KeyError, TypeError, BadRecordError for rows of another shape."""
        now, wall_s = trio.current_time(), wall_time_s()
        for key, row in rows.items():
            at = now - max(0.0, wall_s - float(row["at_s"]))
            if key.startswith(_GONE):
                self._gone[key.removeprefix(_GONE)] = at
                continue
            node = decode_node(str(row["node"]))
            if not isinstance(node, Folder | File):
                raise BadRecordError(f"nobody makes a {type(node).__name__}")
            self.shown[key], self._made_at[key] = node, at


def path_in_made(folder_id: str, places: Iterable[tuple[str, Made]]) -> str:
    """Where a folder that was made here is in the whole drive, by the paths of the directories
    around it; '' if none of them has it, or that one's path is unknown."""
    for path, made in places:
        for name, child in made.shown.items():
            if path and isinstance(child, Folder) and child.id == folder_id:
                return f"{path.rstrip('/')}/{name}"
    return ""
