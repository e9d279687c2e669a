"""The SQLite index of the block store.

    objects(id, storage_id, size, bytes, used_at, checked)     blocks(object, number, crc)
    etags(object, start, stop, etag)     sizes(storage_id, size)     totals(bytes)     doomed(id)
    held(storage_id)

An object's ETags (one for the whole or one for each part that it is signed in) are written before
the first block that came under them, and never change: another ETag is another object. Objects of
version 2 have none. ``bytes`` counts what is at rest or reserved. ``doomed`` are objects that were
evicted and whose files go next. ``held`` are those that no process may evict, by storage id: also
before there is anything of them, and after the cache was made anew.

Two connections, each with its lock: one writes (every change in BEGIN IMMEDIATE, among threads and
processes), the other, ``reading``, waits for no change. (With one lock for both, each open waited
for what the disk was just taking: up to 3.7 s.)
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dmfs.blocks.store.index_view import IndexView, damaged
from dmfs.system.private_files import own_cache_directory

log = logging.getLogger(__name__)

SCHEMA_VERSION = 3
_ETAGS = """
CREATE TABLE etags (
    object INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL, etag TEXT NOT NULL,
    PRIMARY KEY (object, start, stop)) WITHOUT ROWID
"""
_MIGRATIONS = {2: _ETAGS}
"""From each older version to the next; blocks at rest stay."""
_DOOMED = "CREATE TABLE IF NOT EXISTS doomed (id INTEGER PRIMARY KEY)"
_HELD = "CREATE TABLE IF NOT EXISTS held (storage_id TEXT PRIMARY KEY) WITHOUT ROWID"
_ADDED = {"doomed": _DOOMED, "held": _HELD}
"""Not part of the version: a dmfs that does not know them shares the index all the same."""
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
_WRITER_PATIENCE_S, _READER_PATIENCE_S = 10.0, 1.0
"""For other processes: a transaction of theirs, and the moment in which they recover the log."""


class NewerIndexError(sqlite3.OperationalError):
    """The index was made by a newer dmfs. It is left alone: its cache may be large."""


class OldObject(NamedTuple):
    """What may be evicted next."""

    used_at: float
    id: int
    bytes_at_rest: int
    held: int
    """1 if it must stay."""


class Index(IndexView):
    """Rows of objects and blocks, to be changed inside ``transaction``. Raises sqlite3.Error."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, _open(directory))
        self.reading = self._reading()
        self._identity = self._on_disk()

    def close(self, *, hurry: bool = False) -> None:
        """``hurry``: without putting the log into the database, which waits for the disk; the next
        start reads it."""
        connections = (self, self.reading)  # SQLite does it when the last one that may write goes
        for view in connections if hurry else reversed(connections):
            with view.lock:
                view.db.close()

    def replaced(self) -> bool:
        """Whether another index stands in our place: the cache was deleted, or made anew by a
        newer dmfs, under a running drive. Its files are not ours, whatever their numbers."""
        return self._on_disk() != self._identity

    def reopen(self) -> None:
        """Go on with the index that stands in the place of ours, or with a new one. sqlite3.Error
        where it cannot be opened: then nothing works until it can."""
        with self.lock, self.reading.lock:
            for view in (self.reading, self):
                with contextlib.suppress(sqlite3.Error):
                    view.db.close()
            self.db = _open(self._directory)
            self.reading.db = self._reading().db
            self._identity = self._on_disk()

    def _reading(self) -> IndexView:
        """A view that cannot write, and so does not have to when it is closed."""
        address = f"{(self._directory / 'index.db').absolute().as_uri()}?mode=ro"
        try:
            return IndexView(
                self._directory,
                sqlite3.connect(
                    address, uri=True, timeout=_READER_PATIENCE_S, isolation_level=None,
                    check_same_thread=False,
                ),
            )  # fmt: skip
        except BaseException:
            self.db.close()
            raise

    def _on_disk(self) -> tuple[int, int] | None:
        try:
            status = (self._directory / "index.db").stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, alone among threads and processes."""
        with self.lock, self.watched():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # a full disk may have ended it already
                    self.db.execute("ROLLBACK")
                raise

    # Objects

    def add_object(self, storage_id: str, size_bytes: int, now: float) -> int:
        cursor = self.db.execute(
            "INSERT INTO objects (storage_id, size, used_at) VALUES (?, ?, ?)",
            (storage_id, size_bytes, now),
        )
        return int(cursor.lastrowid or 0)

    def remove_objects(self, rows: Sequence[int]) -> None:
        """Forget objects, their blocks and the room that they took."""
        keys = [(row,) for row in rows]
        self.db.executemany(
            "UPDATE totals SET bytes = bytes - (SELECT bytes FROM objects WHERE id = ?1)"
            " WHERE EXISTS (SELECT 1 FROM objects WHERE id = ?1)",
            keys,
        )
        for table, column in (("objects", "id"), ("blocks", "object"), ("etags", "object")):
            self.db.executemany(
                f"DELETE FROM {table} WHERE {column} = ?",  # noqa: S608 - ours
                keys,
            )

    def touch(self, used: Iterable[tuple[int, float]]) -> None:
        """Rows of objects, and when they were used."""
        self.db.executemany(
            "UPDATE objects SET used_at = ? WHERE id = ?", [(at, row) for row, at in used]
        )

    def account(self, row: int, added_bytes: int) -> None:
        """Reserve (or give back) room for an object."""
        self.db.execute("UPDATE objects SET bytes = bytes + ? WHERE id = ?", (added_bytes, row))
        self.db.execute("UPDATE totals SET bytes = bytes + ?", (added_bytes,))

    def oldest(self, at_most: int, after: OldObject | None = None) -> list[OldObject]:
        """Objects least recently used first, in pages: those that come ``after`` one. As many rows
        are looked at as are returned."""
        columns = (
            "used_at, id, CAST(bytes AS INTEGER),"
            " EXISTS (SELECT 1 FROM held WHERE held.storage_id = objects.storage_id)"
        )
        page = "ORDER BY used_at, id LIMIT ?"
        where = "" if after is None else "WHERE (used_at, id) > (?, ?)"
        found = self._all(
            f"SELECT {columns} FROM objects {where} {page}",  # noqa: S608 - ours
            *(() if after is None else (after.used_at, after.id)),
            at_most,
        )
        return [OldObject(*row) for row in found]

    def doom(self, rows: Iterable[int]) -> None:
        """Their files are to be deleted, by the next start if need be."""
        self.db.executemany("INSERT OR IGNORE INTO doomed VALUES (?)", [(row,) for row in rows])

    def doomed(self) -> list[int]:
        """What was evicted, and may have a file: a batch at most for each process that ended
        without a word."""
        return [row for (row,) in self._all("SELECT id FROM doomed")]

    def buried(self, rows: Iterable[int]) -> None:
        """Their files are deleted."""
        self.db.executemany("DELETE FROM doomed WHERE id = ?", [(row,) for row in rows])

    def hold(self, storage_ids: Iterable[str]) -> None:
        """No process may evict these."""
        self.db.executemany(
            "INSERT OR IGNORE INTO held VALUES (?)", [(each,) for each in storage_ids]
        )

    def let_go(self, storage_ids: Iterable[str]) -> None:
        """They may be evicted as all others."""
        self.db.executemany(
            "DELETE FROM held WHERE storage_id = ?", [(each,) for each in storage_ids]
        )

    # ETags

    def add_etags(self, row: int, etags: Mapping[tuple[int, int], str]) -> None:
        self.db.executemany(
            "INSERT INTO etags VALUES (?, ?, ?, ?)", [(row, *key, etags[key]) for key in etags]
        )

    # Blocks

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

    def remember_sizes(self, sizes: Iterable[tuple[str, int]]) -> None:
        """Storage ids, and the real sizes."""
        self.db.executemany("REPLACE INTO sizes VALUES (?, ?)", sizes)


# Opening


def open_index(directory: Path) -> tuple[Path, Index]:
    """The index of a cache, in ``directory`` or, where that one is of a newer dmfs, in a directory
    of this version's own beside it. SetupError, OSError, sqlite3.Error."""
    own_cache_directory(directory)
    try:
        return directory, Index(directory)
    except NewerIndexError as error:
        ours = directory.with_name(f"{directory.name}-v{SCHEMA_VERSION}")
        log.info("%s; this one goes on in %s", error, ours)
    own_cache_directory(ours)
    return ours, Index(ours)


def _open(directory: Path) -> sqlite3.Connection:
    """The index, made anew where it is missing, damaged or too old. NewerIndexError."""
    path = directory / "index.db"
    _refuse_newer(path)
    if (directory / "damaged").exists():
        _wipe(directory, "it was found damaged")
    if not path.exists():
        _wipe_data(directory)  # of an index that is gone
    try:
        return _connect(path)
    except (sqlite3.DatabaseError, ValueError) as error:
        # ValueError: SQLite quotes damaged bytes, and sqlite3 cannot decode its words
        if isinstance(error, sqlite3.OperationalError) and not damaged(error):
            raise
        _wipe(directory, str(error))
        return _connect(path)


def _refuse_newer(path: Path) -> None:
    """Without a change to it: not even its log is written into it."""
    version = 0
    if not path.exists():
        return
    address = f"{path.absolute().as_uri()}?mode=ro"
    with (
        contextlib.suppress(sqlite3.DatabaseError, ValueError),  # then it is not newer, but bad
        contextlib.closing(sqlite3.connect(address, uri=True, timeout=1.0)) as db,
    ):
        version = _version(db)
    if version > SCHEMA_VERSION:
        raise NewerIndexError(f"the cache index {path} is of a newer dmfs (version {version})")


def _wipe(directory: Path, why: str) -> None:
    log.warning("the cache index in %s is unusable (%s); starting empty", directory, why)
    for name in ("index.db", "index.db-wal", "index.db-shm"):
        (directory / name).unlink(missing_ok=True)
    _wipe_data(directory)
    (directory / "damaged").unlink(missing_ok=True)


def _wipe_data(directory: Path) -> None:
    shutil.rmtree(directory / "data", ignore_errors=True)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(
        path, timeout=_WRITER_PATIENCE_S, isolation_level=None, check_same_thread=False
    )
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
        for name, statement in _ADDED.items():
            if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone():
                db.execute(statement)
    except BaseException:
        db.close()
        raise
    return db


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _migrate(db: sqlite3.Connection) -> None:
    """Inside a transaction: another process may have been faster. NewerIndexError, or DatabaseError
    for a version that is too old."""
    while (version := _version(db)) != SCHEMA_VERSION:
        if version > SCHEMA_VERSION:
            raise NewerIndexError(f"version {version}")
        if version and version not in _MIGRATIONS:
            raise sqlite3.DatabaseError(f"version {version}")
        for statement in (_MIGRATIONS[version] if version else _SCHEMA).split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {version + 1 if version else SCHEMA_VERSION}")
