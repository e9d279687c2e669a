"""The SQLite index of the block store.

    objects(id, storage_id, size, bytes, used_at, checked)     blocks(object, number, crc)
    etags(object, start, stop, etag)     sizes(storage_id, size)     totals(bytes)

An object's ETags (one for the whole or one for each part that it is signed in) are written before
the first block that came under them, and never change: another ETag is another object. Objects of
version 2 have none. ``bytes`` counts what is at rest or reserved. Shared by threads (one
connection, one lock) and by processes (every change in BEGIN IMMEDIATE).
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

SCHEMA_VERSION = 3
_ETAGS = """
CREATE TABLE etags (
    object INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL, etag TEXT NOT NULL,
    PRIMARY KEY (object, start, stop)) WITHOUT ROWID
"""
_MIGRATIONS = {2: _ETAGS}
"""From each older version to the next; blocks at rest stay."""
_SCHEMA = (
    """
CREATE TABLE objects (
    id INTEGER PRIMARY KEY AUTOINCREMENT, storage_id TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL, bytes INTEGER NOT NULL DEFAULT 0, used_at REAL NOT NULL,
    checked INTEGER NOT NULL DEFAULT 0);
CREATE INDEX objects_by_use ON objects (used_at);
CREATE TABLE blocks (
    object INTEGER NOT NULL, number INTEGER NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (object, number)) WITHOUT ROWID;
CREATE TABLE sizes (storage_id TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE totals (bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (0);
"""
    + _ETAGS
)


class ObjectRow(NamedTuple):
    """A storage object at rest; ``id`` is never used again (AUTOINCREMENT)."""

    id: int
    size_bytes: int
    used_at: float
    checked: int
    """1 once all of it was compared with the service's sha1."""


class Index:
    """Rows of objects and blocks. Raises sqlite3.Error."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.lock = threading.RLock()
        self.db = self._open()
        self._identity = self._on_disk()

    def close(self) -> None:
        with self.lock:
            self.db.close()

    def replaced(self) -> bool:
        """Whether another index stands in our place: the cache was deleted, or made anew by a
        newer dmfs, under a running drive. Its files are not ours, whatever their numbers."""
        return self._on_disk() != self._identity

    def reopen(self) -> None:
        """Go on with the index that stands in the place of ours, or with a new one. sqlite3.Error
        where it cannot be opened: then nothing works until it can."""
        with self.lock:
            with contextlib.suppress(sqlite3.Error):
                self.db.close()
            self.db = self._open()
            self._identity = self._on_disk()

    def _on_disk(self) -> tuple[int, int] | None:
        try:
            status = (self._directory / "index.db").stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, alone among threads and processes."""
        with self.lock, self._watched():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # a full disk may have ended it already
                    self.db.execute("ROLLBACK")
                raise

    # Objects

    def find(self, storage_id: str) -> ObjectRow | None:
        row = self._one(
            "SELECT id, size, used_at, checked FROM objects WHERE storage_id = ?", storage_id
        )
        return None if row is None else ObjectRow(*row)

    def present(self, storage_ids: Sequence[str]) -> set[str]:
        """Those of some hundred objects that have a row."""
        places = ",".join("?" * len(storage_ids))
        with self.lock, self._watched():
            rows = self.db.execute(
                f"SELECT storage_id FROM objects WHERE storage_id IN ({places})",  # noqa: S608
                tuple(storage_ids),
            ).fetchall()
        return {storage_id for (storage_id,) in rows}

    def alive(self, row: int) -> bool:
        return self._one("SELECT 1 FROM objects WHERE id = ?", row) is not None

    def add_object(self, storage_id: str, size_bytes: int, now: float) -> int:
        cursor = self.db.execute(
            "INSERT INTO objects (storage_id, size, used_at) VALUES (?, ?, ?)",
            (storage_id, size_bytes, now),
        )
        return int(cursor.lastrowid or 0)

    def remove_object(self, row: int) -> None:
        """Forget an object, its blocks and the room that it took."""
        found = self._one("SELECT bytes FROM objects WHERE id = ?", row)
        if found is not None:
            self.db.execute("UPDATE totals SET bytes = bytes - ?", found)
        for table, column in (("objects", "id"), ("blocks", "object"), ("etags", "object")):
            self.db.execute(f"DELETE FROM {table} WHERE {column} = ?", (row,))  # noqa: S608 - ours

    def touch(self, row: int, now: float) -> None:
        self.db.execute("UPDATE objects SET used_at = ? WHERE id = ?", (now, row))

    def account(self, row: int, added_bytes: int) -> None:
        """Reserve (or give back) room for an object."""
        self.db.execute("UPDATE objects SET bytes = bytes + ? WHERE id = ?", (added_bytes, row))
        self.db.execute("UPDATE totals SET bytes = bytes + ?", (added_bytes,))

    def oldest(self) -> list[int]:
        """Objects that take room, least recently used first."""
        rows = self.db.execute("SELECT id FROM objects WHERE bytes > 0 ORDER BY used_at, id")
        return [row for (row,) in rows.fetchall()]

    def bytes_of(self, row: int) -> int:
        """What an object takes."""
        found = self._one("SELECT bytes FROM objects WHERE id = ?", row)
        return int(found[0]) if found is not None else 0

    def total_bytes(self) -> int:
        with self.lock:
            return int(self.db.execute("SELECT bytes FROM totals").fetchone()[0])

    # ETags

    def etags(self, row: int) -> dict[tuple[int, int], str]:
        """(start, stop) → ETag, of the stretches of an object that blocks came from."""
        with self.lock, self._watched():
            rows = self.db.execute(
                "SELECT start, stop, etag FROM etags WHERE object = ?", (row,)
            ).fetchall()
        return {(start, stop): str(etag) for start, stop, etag in rows}

    def add_etags(self, row: int, etags: Mapping[tuple[int, int], str]) -> None:
        self.db.executemany(
            "INSERT INTO etags VALUES (?, ?, ?, ?)", [(row, *key, etags[key]) for key in etags]
        )

    # Blocks

    def has_blocks(self, row: int) -> bool:
        return self._one("SELECT 1 FROM blocks WHERE object = ? LIMIT 1", row) is not None

    def crcs(self, row: int, first: int, last: int) -> dict[int, int]:
        """Block number → checksum, of the blocks at rest in ``[first, last)``."""
        with self.lock, self._watched():
            return dict(
                self.db.execute(
                    "SELECT number, crc FROM blocks"
                    " WHERE object = ? AND number >= ? AND number < ?",
                    (row, first, last),
                ).fetchall()
            )

    def add_blocks(self, row: int, crcs: Iterable[tuple[int, int]]) -> None:
        self.db.executemany(
            "INSERT OR IGNORE INTO blocks VALUES (?, ?, ?)", [(row, n, crc) for n, crc in crcs]
        )

    def remove_block(self, row: int, number: int) -> bool:
        """Whether there was one."""
        return bool(
            self.db.execute(
                "DELETE FROM blocks WHERE object = ? AND number = ?", (row, number)
            ).rowcount
        )

    def remove_blocks(self, row: int) -> None:
        """All blocks of an object, and the room they take."""
        found = self._one("SELECT bytes FROM objects WHERE id = ?", row)
        if found is not None:
            self.account(row, -found[0])
        self.db.execute("DELETE FROM blocks WHERE object = ?", (row,))

    def mark_checked(self, row: int) -> None:
        with self.transaction():
            self.db.execute("UPDATE objects SET checked = 1 WHERE id = ?", (row,))

    # Sizes

    def sizes(self) -> dict[str, int]:
        with self.lock:
            rows = self.db.execute("SELECT storage_id, size FROM sizes").fetchall()
        return {key: size for key, size in rows if isinstance(size, int) and size >= 0}

    def remember_size(self, storage_id: str, size_bytes: int) -> None:
        with self.transaction():
            self.db.execute("REPLACE INTO sizes VALUES (?, ?)", (storage_id, size_bytes))

    # Opening

    def _one(self, sql: str, *arguments: Any) -> Any:
        with self.lock, self._watched():
            return self.db.execute(sql, arguments).fetchone()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Damage found in use leaves a note, and the next start makes the index anew: checking all
        pages at each start would cost a large cache a tenth of a second."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if _damaged(error):
                with contextlib.suppress(OSError):
                    (self._directory / "damaged").touch()
            raise

    def _open(self) -> sqlite3.Connection:
        """The index, made anew where it is missing, damaged or of another version."""
        path = self._directory / "index.db"
        if (self._directory / "damaged").exists():
            self._wipe("it was found damaged")
        if not path.exists():
            self._wipe_data()  # of an index that is gone
        try:
            return self._connect(path)
        except (sqlite3.DatabaseError, ValueError) as error:
            # ValueError: SQLite quotes damaged bytes, and sqlite3 cannot decode its words
            if isinstance(error, sqlite3.OperationalError) and not _damaged(error):
                raise
            self._wipe(str(error))
            return self._connect(path)

    def _wipe(self, why: str) -> None:
        log.warning("the cache index in %s is unusable (%s); starting empty", self._directory, why)
        for name in ("index.db", "index.db-wal", "index.db-shm"):
            (self._directory / name).unlink(missing_ok=True)
        self._wipe_data()
        (self._directory / "damaged").unlink(missing_ok=True)

    def _wipe_data(self) -> None:
        shutil.rmtree(self._directory / "data", ignore_errors=True)

    @staticmethod
    def _connect(path: Path) -> sqlite3.Connection:
        db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            if _version(db) != SCHEMA_VERSION:
                db.execute("BEGIN IMMEDIATE")
                _migrate(db)
                db.execute("COMMIT")
            totals = db.execute("SELECT bytes FROM totals").fetchall()
            if len(totals) != 1 or not isinstance(totals[0][0], int):
                raise sqlite3.DatabaseError("its total is none")
            db.execute("SELECT 1 FROM objects, blocks, etags, sizes LIMIT 0")
        except BaseException:
            db.close()
            raise
        return db


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _migrate(db: sqlite3.Connection) -> None:
    """Inside a transaction: another process may have been faster. DatabaseError for a version that
    is newer than ours, or too old."""
    while (version := _version(db)) != SCHEMA_VERSION:
        if version and version not in _MIGRATIONS:
            raise sqlite3.DatabaseError(f"version {version}")
        for statement in (_MIGRATIONS[version] if version else _SCHEMA).split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {version + 1 if version else SCHEMA_VERSION}")


def _damaged(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorname", "") in (
        "SQLITE_CORRUPT",
        "SQLITE_NOTADB",
        "SQLITE_ERROR",
    )
