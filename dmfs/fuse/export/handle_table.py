"""Where each inode is that an exported mount ever gave out, in ``<state>/export/….db``.

    handles(number, parent, name, item, version, directory, used)

``parent`` is a number too, 1 for the root of the mount. ``item`` is a hash of the id that all
versions of a file share, and ``version`` the number of this one; 0 for all else. ``used``: the day
of the last new reference. What is not in the table is ESTALE for a client that comes back with it;
nothing else is lost with it. All methods block, as those of ``StateDatabase``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dmfs.system.sqlite.state_database import StateDatabase

ROWS_MAX = 4_000_000
"""Some 360 MB: 91 bytes a row, with names of 24."""
ROOM_MADE_TO = 0.9
"""Of a full table: making room is done for many at once."""
ROWS_A_STEP = 10_000
"""Deleted in one transaction (16 ms): others get a turn in between."""
COUNT_EVERY = 50_000
"""Rows written between two counts (6 ns a row)."""
WAY_MAX = 64
"""Levels of a tree: parents may form a circle while folders are moved about."""

_STEPS = (
    """
CREATE TABLE handles (
    number INTEGER PRIMARY KEY, parent INTEGER NOT NULL, name BLOB NOT NULL,
    item INTEGER NOT NULL, version INTEGER NOT NULL, directory INTEGER NOT NULL,
    used INTEGER NOT NULL);
CREATE INDEX by_use ON handles (directory, used)
""",
)
_PUT = """
INSERT INTO handles (number, parent, name, item, version, directory, used)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (number) DO UPDATE SET parent = excluded.parent, name = excluded.name,
    version = excluded.version, directory = excluded.directory, used = excluded.used
WHERE used != excluded.used OR parent != excluded.parent OR name != excluded.name
    OR version != excluded.version OR directory != excluded.directory
"""
_OLDEST = "SELECT number FROM handles ORDER BY directory, used LIMIT ?"
"""Folders last: all that is in them would be ESTALE."""


class Handle(NamedTuple):
    """Where an inode is."""

    number: int
    parent: int
    name: str
    item: int
    version: int
    is_directory: bool


class HandleTable:
    """See above."""

    def __init__(self, path: Path, rows_max: int = ROWS_MAX) -> None:
        self._db = StateDatabase(
            path, _STEPS, tables="handles", rest="handles do not outlive a restart",
            lost="NFS clients find files anew by their names", outlives_power_cuts=False,
        )  # fmt: skip
        self._rows_max = rows_max
        self._count_in = 0
        self.dropped = 0
        """Rows that made room for others."""

    def close(self) -> None:
        self._db.close()

    def put(self, handles: Iterable[Handle], day: int) -> None:
        """Add or replace rows, all or none; the oldest of too many go."""
        rows = [
            (number, parent, _blob(name), item, version, is_directory, day)
            for number, parent, name, item, version, is_directory in handles
        ]
        with self._db.writing() as db:
            db.executemany(_PUT, rows)
        self._count_in -= len(rows)
        if self._count_in <= 0:
            self._make_room()
            self._count_in = min(COUNT_EVERY, max(1, self._rows_max // 20))

    def way(self, number: int) -> list[Handle]:
        """The row of a number, that of its parent, and so on, as far as they are known."""
        found: list[Handle] = []
        with self._db.used(make=False) as db:
            while db is not None and len(found) < WAY_MAX:
                row = db.execute(
                    "SELECT number, parent, name, item, version, directory FROM handles"
                    " WHERE number = ?", (number,),
                ).fetchone()  # fmt: skip
                if row is None:
                    break
                this, number, name, item, version, directory = row
                found.append(Handle(this, number, _text(name), item, version, bool(directory)))
        return found

    def count(self) -> int:
        with self._db.used(make=False) as db:
            return (
                0 if db is None else int(db.execute("SELECT count(*) FROM handles").fetchone()[0])
            )

    def _make_room(self) -> None:
        excess = self.count() - self._rows_max
        if excess <= 0:
            return
        excess += round(self._rows_max * (1 - ROOM_MADE_TO))
        while excess > 0:
            step = min(excess, ROWS_A_STEP)
            with self._db.writing() as db:
                db.execute(f"DELETE FROM handles WHERE number IN ({_OLDEST})", (step,))  # noqa: S608
            excess -= step
            self.dropped += step


def _blob(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
