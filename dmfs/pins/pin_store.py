"""Intentions and what is whole of them, in ``<state>/pins.db``: all else can be had again.

    pins(id, scope, kind, project_id, node_id, label, since, node, chain, state, error, counts)
    files(scope, project_id, item_id, directory, whole, whole_id, coming, coming_id, error)
    leaving(storage_id)

``scope`` is the sign-in: pins of another one sleep. ``whole`` is the version that can always be
read, ``coming`` the one on its way to take its place; each is a text of ``listing_codec``.
``leaving`` are objects that are not wanted any more and may be held in the index still: written
with the change, deleted once they were let go, so that a kill in between leaves nothing held.

All methods block. DriveError where the file cannot be used, with the reason in words.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dmfs.errors import DriveError, NoRoomError, SetupError
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
from dmfs.system.private_files import make_private

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
PATIENCE_S = 5.0
"""For another process's transaction."""
_SCHEMA = """
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
"""


class PinStore:
    """Opened at first use; there is no file before the first pin."""

    def __init__(self, state_directory: Path) -> None:
        self.path = state_directory / "pins.db"
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._seen: tuple[object, int] | None = None

    def close(self) -> None:
        with self._lock:
            self._close()

    def changed(self) -> bool:
        """Whether anybody wrote since the last call, this process included."""
        with self._used(make=False) as db:
            if db is None:
                now: tuple[object, int] = (None, 0)
            else:
                (version,) = db.execute("PRAGMA data_version").fetchone()
                now = (self._file, version)
            changed, self._seen = now != self._seen, now
            return changed

    def load(self, scope: str) -> Contents:
        """Everything of one sign-in."""
        with self._used(make=False) as db:
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
        """Intentions, all or none; one that is there already stays as it is."""
        with self._writing() as db:
            for pin in pins:
                db.execute(
                    "INSERT OR IGNORE INTO pins"
                    " (scope, kind, project_id, node_id, label, since, node, chain)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (scope, pin.kind, pin.project_id, pin.node_id, clean(pin.label),
                     wall_time_s(), encode_node(pin.node), chain_text(pin.chain)),
                )  # fmt: skip

    def remove(self, scope: str, ids: Iterable[int]) -> None:
        """Take intentions back. Their files go when the keeper has seen it."""
        with self._writing() as db:
            db.executemany(
                "DELETE FROM pins WHERE scope = ? AND id = ?", [(scope, each) for each in ids]
            )

    def move(self, scope: str, pin: Pin) -> None:
        """A pinned node is elsewhere now, or has another name."""
        with self._writing() as db:
            db.execute(
                "UPDATE pins SET node = ?, chain = ?, label = ? WHERE scope = ? AND id = ?",
                (encode_node(pin.node), chain_text(pin.chain), clean(pin.label), scope, pin.id),
            )

    def report(self, scope: str, progress: Mapping[int, Progress]) -> None:
        """How far pins are, for who looks from another process."""
        with self._writing() as db:
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
        with self._writing() as db:
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
        with self._writing() as db:
            db.executemany("DELETE FROM leaving WHERE storage_id = ?", [(x,) for x in storage_ids])

    # The file

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._used(make=True) as db:
            assert db is not None
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # a full disk may have ended it already
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _used(self, *, make: bool) -> Iterator[sqlite3.Connection | None]:
        with self._lock:
            try:
                yield self._opened(make=make)
            except (sqlite3.Error, OSError) as error:
                self._close()
                if getattr(error, "sqlite_errorname", "") in ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
                    self._set_aside(error)
                raise _in_words(self.path, error) from error

    def _opened(self, *, make: bool) -> sqlite3.Connection | None:
        file = self._file_on_disk()
        if self._db is not None and file == self._file:
            return self._db
        self._close()
        if file is None and not make:
            return None
        try:
            self._db = self._connect()
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise
            self._set_aside(error)
            self._db = self._connect()
        self._file = self._file_on_disk()
        return self._db

    def _connect(self) -> sqlite3.Connection:
        make_private(self.path.parent)
        # made by us, so that it is never readable by others, not for a moment
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        db = sqlite3.connect(
            self.path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False
        )
        try:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise SetupError(
                    f"{self.path} is of a newer dmfs (version {version}): pins rest",
                    hint="use that dmfs; nothing of it was changed",
                )
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # an intention outlives a power cut
            if version < SCHEMA_VERSION:
                db.execute("BEGIN IMMEDIATE")
                if db.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
                    for statement in _SCHEMA.split(";"):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                db.execute("COMMIT")
            db.execute("SELECT 1 FROM pins, files, leaving LIMIT 0")
        except BaseException:
            db.close()
            raise
        return db

    def _close(self) -> None:
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
        self._db = None

    def _file_on_disk(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _set_aside(self, error: Exception) -> None:
        number = 1
        while (aside := self.path.with_name(f"pins.db.damaged-{number}")).exists():
            number += 1
        log.warning(
            "%s is damaged (%s): it is set aside as %s, and nothing is pinned now", self.path,
            error, aside.name,
        )  # fmt: skip
        for ending in ("-wal", "-shm", ""):
            with contextlib.suppress(OSError):
                self.path.with_name(self.path.name + ending).rename(
                    aside.with_name(aside.name + ending)
                )


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "") in (
        "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR",
    )  # fmt: skip


def _in_words(path: Path, error: Exception) -> DriveError:
    name = getattr(error, "sqlite_errorname", "")
    full = name == "SQLITE_FULL" or getattr(error, "errno", 0) in (28, 122)
    if full:
        return NoRoomError(
            f"cannot write {path}: its disk is full", hint="free some space there, and try again"
        )
    return DriveError(f"cannot use {path}: {error}")
