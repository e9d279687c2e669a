"""What is confirmed, in ``journal.db``: SQLite in WAL mode.

    rows(kind, key, record, blob)        everything that parts of writing want to know again
    pieces(draft, what, number, blob)    extents and checksums of each draft, in small blobs
    leaving(draft, how)                  directories that are to go, or (``stays``) must not
    ticks(tick)                          something to write where nothing else is

A transaction is FULL (it survives a power loss when it returns) or NORMAL (it survives the
process; a later FULL one takes it along). All methods block, one at a time; the errors are
SpoolError and NoRoomError.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from dmfs.errors import NoRoomError, SetupError, SpoolError
from dmfs.write.records import Change, DraftId, Row
from dmfs.write.spool.disk import sync_directory

SCHEMA_VERSION = 1
PATIENCE_S = 5.0
"""For another process that looks into the journal."""
WAL_BYTES = 16 * 1024 * 1024
"""What stays of the log after a large transaction."""
EXTENTS, SUMS = 0, 1
"""``what`` of a piece."""
REMOVE, DISCARD, STAYS = "remove", "discard", "stays"
"""``how`` of a directory."""
_SCHEMA = """
CREATE TABLE rows (
    kind TEXT NOT NULL, key TEXT NOT NULL, record TEXT NOT NULL, blob BLOB NOT NULL,
    PRIMARY KEY (kind, key));
CREATE TABLE pieces (
    draft TEXT NOT NULL, what INTEGER NOT NULL, number INTEGER NOT NULL, blob BLOB NOT NULL,
    PRIMARY KEY (draft, what, number));
CREATE TABLE leaving (draft TEXT PRIMARY KEY, how TEXT NOT NULL);
CREATE TABLE ticks (tick INTEGER NOT NULL);
INSERT INTO ticks VALUES (0)
"""
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class DamagedError(Exception):
    """The journal cannot be trusted."""


@dataclass(frozen=True)
class Pieces:
    """What changes of a draft's extents and checksums; ``None``: the blob goes."""

    draft_id: DraftId
    clear: bool
    """Whether all that there is goes first."""
    extents: Mapping[int, bytes | None] = field(default_factory=dict)
    sums: Mapping[int, bytes] = field(default_factory=dict)


class Contents(NamedTuple):
    """All of a journal."""

    rows: dict[str, dict[str, Row]]
    pieces: dict[tuple[DraftId, int], dict[int, bytes]]
    """By draft and ``what``."""
    leaving: dict[DraftId, str]


class Journal:
    """One owner's connection. ``open`` comes first."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "journal.db"
        self._db: sqlite3.Connection | None = None
        self._files: dict[Path, tuple[int, int]] = {}
        """Those that SQLite has open."""
        self._foreign = 0
        """``data_version``: it changes with the commit of another process."""
        self._is_suspect = False

    def open(self) -> Contents:
        """DamagedError; SetupError for one of a newer dmfs, which is left alone."""
        try:
            db = self._connect()
            (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise DamagedError(verdict)
            found = _all_of(db)
        except (sqlite3.DatabaseError, ValueError, TypeError, DamagedError) as error:
            self.close()
            name = getattr(error, "sqlite_errorname", "")
            if isinstance(error, sqlite3.Error) and name not in (*_DAMAGE, "SQLITE_ERROR"):
                raise self._in_words(error) from error
            raise DamagedError(str(error)) from error
        except BaseException:
            self.close()
            raise
        return found

    def commit(
        self,
        changes: Sequence[Change],
        pieces: Iterable[Pieces] = (),
        leaving: Mapping[DraftId, str | None] | None = None,
        *,
        durable: bool,
    ) -> None:
        """One transaction, all or nothing. After an error it may have happened all the same if the
        disk hung or failed in the middle of it."""
        try:
            db = self._usable()
            self._must_be_ours(db)
            db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._run(db, "BEGIN IMMEDIATE")
            before = db.total_changes
            try:
                for change in changes:
                    _apply(db, change)
                for each in pieces:
                    _apply_pieces(db, each)
                for draft_id, how in (leaving or {}).items():
                    db.execute("DELETE FROM leaving WHERE draft = ?", (draft_id,))
                    if how is not None:
                        db.execute("INSERT INTO leaving VALUES (?, ?)", (draft_id, how))
                if durable and db.total_changes == before:
                    # SQLite syncs nothing for nothing: the NORMAL ones before are to be synced too
                    db.execute("UPDATE ticks SET tick = tick + 1")
                self._run(db, "COMMIT")
            except BaseException:
                if db.in_transaction:  # a full disk may have ended it already
                    db.execute("ROLLBACK")
                raise
            self._must_be_there()
        except (sqlite3.Error, OSError) as error:
            self._is_suspect |= getattr(error, "sqlite_errorname", "") != "SQLITE_BUSY"
            raise self._in_words(error) from error

    def close(self) -> None:
        """Nothing is lost by it, nor without it."""
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def set_aside(self, stamp: str) -> Path:
        """Give a damaged journal another name, with its log. OSError."""
        self._files.clear()
        number, aside = 1, self.path.with_name(f"journal.damaged-{stamp}")
        while aside.exists():
            number, aside = number + 1, self.path.with_name(f"journal.damaged-{stamp}-{number}")
        for ending in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                self.path.with_name(self.path.name + ending).rename(
                    aside.with_name(aside.name + ending)
                )
        return aside

    # The file

    def _run(self, db: sqlite3.Connection, statement: str) -> None:
        db.execute(statement)

    def _usable(self) -> sqlite3.Connection:
        """The connection, a new one after an error: pages of the log may be lost then, while the
        kernel calls them clean. What can be read of it is put into the database, durably, before
        anything is written behind it."""
        if self._is_suspect:
            self.close()
            db = self._connect()
            busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise OSError(16, "another process looks into it")
            self._is_suspect = False
        if self._db is None:
            raise SpoolError("the spool is closed: the drive is ending")
        return self._db

    def _connect(self) -> sqlite3.Connection:
        known = dict(self._files)
        if known:
            self._must_be_there({self.path: known[self.path]})
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (0 if known else os.O_CREAT)
        os.close(os.open(self.path, flags, 0o600))
        db = sqlite3.connect(
            self.path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False
        )
        try:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise SetupError(
                    f"{self.path} is of a newer dmfs (version {version})",
                    hint="write with that dmfs; nothing of it was changed",
                )
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
            db.execute("BEGIN IMMEDIATE")
            if version < SCHEMA_VERSION:
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            db.execute("COMMIT")
            db.execute("SELECT 1 FROM rows, pieces, leaving, ticks LIMIT 0")
            (self._foreign,) = db.execute("PRAGMA data_version").fetchone()
            names = (self.path, self.path.with_name(self.path.name + "-wal"))
            self._files = {name: _identity(name) for name in names}
            sync_directory(self.path.parent)
        except BaseException:
            db.close()
            raise
        self._db = db
        return db

    def _must_be_ours(self, db: sqlite3.Connection) -> None:
        self._must_be_there()
        (version,) = db.execute("PRAGMA data_version").fetchone()
        if version != self._foreign:
            raise SpoolError(
                f"another program has written into {self.path}: what is known here may be old",
                hint="unmount, and mount again",
            )

    def _must_be_there(self, files: Mapping[Path, tuple[int, int]] | None = None) -> None:
        """A file that was removed under SQLite takes everything, and gives it to nobody."""
        for path, identity in (self._files if files is None else files).items():
            if _identity(path) != identity:
                raise FileNotFoundError(2, "another file is in its place", str(path))

    def _in_words(self, error: Exception) -> SpoolError | NoRoomError:
        name = getattr(error, "sqlite_errorname", "")
        number = getattr(error, "errno", 0)
        if name == "SQLITE_FULL" or number in (28, 122):
            return NoRoomError(
                f"cannot write {self.path}: its disk is full",
                hint="free some space there, and save again",
            )
        if isinstance(error, FileNotFoundError):
            return SpoolError(f"{error.filename or self.path} is gone: nothing can be saved")
        if name.startswith("SQLITE_READONLY") or number == 30:
            return SpoolError(f"cannot write {self.path}: its disk has become read-only")
        return SpoolError(f"cannot write {self.path}: {error}")


def look_into(directory: Path) -> Contents | None:
    """A journal that may be another process's, as of one moment; None where there is none. Changes
    nothing. SpoolError."""
    path = directory / "journal.db"
    try:
        if not path.exists():
            return None
        url = f"file:{quote(str(path))}?mode=ro"
        with contextlib.closing(
            sqlite3.connect(url, uri=True, timeout=PATIENCE_S, isolation_level=None)
        ) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version != SCHEMA_VERSION:
                return Contents({}, {}, {})  # not begun yet, or of a newer dmfs
            db.execute("BEGIN")
            return _all_of(db)
    except OSError as error:
        raise SpoolError(f"{path} cannot be read: {error.strerror or error}") from error
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise SpoolError(f"{path} cannot be read: {error}") from error


def _all_of(db: sqlite3.Connection) -> Contents:
    rows: dict[str, dict[str, Row]] = {}
    for kind, key, record, blob in db.execute("SELECT kind, key, record, blob FROM rows"):
        rows.setdefault(kind, {})[key] = Row(json.loads(record), blob)
    pieces: dict[tuple[DraftId, int], dict[int, bytes]] = {}
    for draft, what, number, blob in db.execute("SELECT draft, what, number, blob FROM pieces"):
        pieces.setdefault((draft, what), {})[number] = blob
    return Contents(rows, pieces, dict(db.execute("SELECT draft, how FROM leaving").fetchall()))


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _apply(db: sqlite3.Connection, change: Change) -> None:
    if change.record is None:
        db.execute("DELETE FROM rows WHERE kind = ? AND key = ?", (change.kind, change.key))
        return
    record: Mapping[str, Any] = change.record
    text = json.dumps(record, separators=(",", ":"))
    db.execute(
        "REPLACE INTO rows VALUES (?, ?, ?, ?)", (change.kind, change.key, text, change.blob)
    )


def _apply_pieces(db: sqlite3.Connection, pieces: Pieces) -> None:
    if pieces.clear:
        db.execute("DELETE FROM pieces WHERE draft = ?", (pieces.draft_id,))
    both: list[tuple[int, Mapping[int, bytes | None]]] = [
        (EXTENTS, pieces.extents), (SUMS, {**pieces.sums}),
    ]  # fmt: skip
    for what, blobs in both:
        for number, blob in blobs.items():
            if blob is not None:
                db.execute(
                    "INSERT INTO pieces VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET blob = excluded.blob", (pieces.draft_id, what, number, blob),
                )  # fmt: skip
            elif not pieces.clear:
                db.execute(
                    "DELETE FROM pieces WHERE draft = ? AND what = ? AND number = ?",
                    (pieces.draft_id, what, number),
                )
