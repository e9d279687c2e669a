"""Intentions and what is whole of them, in ``<state>/pins.db``: all else can be had again.

    pins(id, scope, kind, project_id, node_id, label, since, node, chain, state, error, counts,
         export)
    files(scope, project_id, item_id, directory, whole, whole_id, coming, coming_id, error)
    leaving(storage_id)

``scope`` is the sign-in: pins of another one sleep. ``whole`` is the version that can always be
read, ``coming`` the one on its way to take its place; each is a text of ``listing_codec``.
``leaving`` are objects that are not wanted any more and may be held in the index still: written
with the change, deleted once they were let go, so that a kill in between leaves nothing held.

All methods block, as those of ``StateDatabase``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from dmfs.model import StorageId
from dmfs.namespace.listing_codec import encode_node
from dmfs.pins.records import (
    Contents,
    Key,
    Pin,
    PinnedFile,
    Progress,
    chain_text,
    clean,
    file_of,
    pin_of,
    row_of,
)
from dmfs.system.clock import wall_time_s
from dmfs.system.sqlite.state_database import StateDatabase

_STEPS = (
    """
CREATE TABLE pins (
    id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, kind TEXT NOT NULL,
    project_id TEXT NOT NULL, node_id TEXT NOT NULL, label TEXT NOT NULL, since REAL NOT NULL,
    node TEXT NOT NULL, chain TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'listing', error TEXT NOT NULL DEFAULT '',
    files INTEGER NOT NULL DEFAULT 0, files_done INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0, bytes_done INTEGER NOT NULL DEFAULT 0,
    UNIQUE (scope, project_id, node_id));
CREATE TABLE files (
    scope TEXT NOT NULL, project_id TEXT NOT NULL, item_id TEXT NOT NULL,
    directory TEXT NOT NULL, whole TEXT NOT NULL DEFAULT '', whole_id TEXT NOT NULL DEFAULT '',
    coming TEXT NOT NULL DEFAULT '', coming_id TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (scope, project_id, item_id)) WITHOUT ROWID;
CREATE TABLE leaving (storage_id TEXT PRIMARY KEY) WITHOUT ROWID
""",
    "ALTER TABLE pins ADD COLUMN export TEXT NOT NULL DEFAULT ''",
)
"""What leads from each version of the file to the next; pins of an earlier one stay."""
SCHEMA_VERSION = len(_STEPS)


class PinStore:
    """Opened at first use; there is no file before the first pin."""

    def __init__(self, state_directory: Path) -> None:
        self.path = state_directory / "pins.db"
        self._db = StateDatabase(
            self.path, _STEPS, tables="pins, files, leaving", rest="pins rest",
            lost="nothing is pinned now",
        )  # fmt: skip

    def close(self) -> None:
        self._db.close()

    def changed(self) -> bool:
        """Whether anybody wrote since the last call, other than through this object."""
        return self._db.changed()

    def load(self, scope: str) -> Contents:
        """Everything of one sign-in."""
        with self._db.used(make=False) as db:
            if db is None:
                return Contents()
            rows = db.execute("SELECT * FROM pins WHERE scope = ? ORDER BY id", (scope,)).fetchall()
            files = db.execute("SELECT * FROM files WHERE scope = ?", (scope,)).fetchall()
            others = db.execute(
                "SELECT whole_id, coming_id FROM files WHERE scope != ?", (scope,)
            ).fetchall()
            leaving = db.execute("SELECT storage_id FROM leaving").fetchall()
        pins = [pin for row in rows if (pin := pin_of(row)) is not None]
        found = [file for row in files if (file := file_of(row)) is not None]
        return Contents(
            pins,
            {file.key: file for file in found},
            frozenset(StorageId(each) for row in others for each in row if each),
            frozenset(StorageId(each) for (each,) in leaving),
            len(rows) - len(pins),
        )

    def add(self, scope: str, pins: Iterable[Pin]) -> None:
        """Intentions, all or none; one that is there already stays as it is, but for
        the format that its designs are exported to."""
        with self._db.writing() as db:
            for pin in pins:
                db.execute(
                    "INSERT INTO pins"
                    " (scope, kind, project_id, node_id, label, since, node, chain, export)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (scope, project_id, node_id) DO UPDATE"
                    " SET export = excluded.export WHERE excluded.export != ''",
                    (scope, pin.kind, pin.project_id, pin.node_id, clean(pin.label),
                     wall_time_s(), encode_node(pin.node), chain_text(pin.chain), pin.export),
                )  # fmt: skip

    def remove(self, scope: str, ids: Iterable[int]) -> None:
        """Take intentions back. Their files go when the keeper has seen it."""
        with self._db.writing() as db:
            db.executemany(
                "DELETE FROM pins WHERE scope = ? AND id = ?", [(scope, each) for each in ids]
            )

    def move(self, scope: str, pin: Pin) -> None:
        """A pinned node is elsewhere now, or has another name."""
        with self._db.writing() as db:
            db.execute(
                "UPDATE pins SET node = ?, chain = ?, label = ? WHERE scope = ? AND id = ?",
                (encode_node(pin.node), chain_text(pin.chain), clean(pin.label), scope, pin.id),
            )

    def report(self, scope: str, progress: Mapping[int, Progress]) -> None:
        """How far pins are, for who looks from another process."""
        with self._db.writing() as db:
            db.executemany(
                "UPDATE pins SET state = ?, error = ?, files = ?, files_done = ?, bytes = ?,"
                " bytes_done = ? WHERE scope = ? AND id = ?",
                [
                    (p.state, clean(p.error), p.files, p.files_done, p.bytes, p.bytes_done, scope,
                     each)
                    for each, p in progress.items()
                ],
            )  # fmt: skip

    def change(
        self,
        scope: str,
        put: Iterable[PinnedFile] = (),
        drop: Iterable[Key] = (),
        leaving: Iterable[StorageId] = (),
    ) -> None:
        """Files that are wanted as they are now, and files that are not; and what is therefore to
        be let go. One transaction."""
        with self._db.writing() as db:
            db.executemany(
                "DELETE FROM files WHERE scope = ? AND project_id = ? AND item_id = ?",
                [(scope, *key) for key in drop],
            )
            db.executemany(
                "REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [row_of(scope, each) for each in put],
            )
            db.executemany("INSERT OR IGNORE INTO leaving VALUES (?)", [(x,) for x in leaving])

    def left(self, storage_ids: Iterable[StorageId]) -> None:
        """They are held no more."""
        with self._db.writing() as db:
            db.executemany("DELETE FROM leaving WHERE storage_id = ?", [(x,) for x in storage_ids])
