"""A small SQLite database of one person's, which several processes use, and which may be lost.

Opened at first use; there is no file before the first write. One that is damaged is set aside, and
a new one begins; one of a newer dmfs is left alone. All methods block. DriveError where the file
cannot be used, with the reason in words.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dmfs.errors import DriveError, NoRoomError, SetupError
from dmfs.system.private_files import make_private

log = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""For another process's transaction."""


class StateDatabase:
    """See above."""

    def __init__(
        self,
        path: Path,
        steps: Sequence[str],
        *,
        tables: str,
        rest: str,
        lost: str,
        outlives_power_cuts: bool = True,
    ) -> None:
        """``steps``: the SQL that leads from each version to the next, the first from nothing.
        ``tables``: all of the newest version. ``rest``: what rests while a newer dmfs has the file
        (``pins rest``); ``lost``: what a damage means (``nothing is pinned now``).
        ``outlives_power_cuts``: else the last transactions before one may be lost, whole, and a
        commit waits for no disk."""
        self.path = path
        self._steps = steps
        self._tables, self._rest, self._lost = tables, rest, lost
        self._synchronous = "FULL" if outlives_power_cuts else "NORMAL"
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._seen: tuple[object, int] | None = None

    def close(self) -> None:
        with self._lock:
            self._close()

    def changed(self) -> bool:
        """Whether anybody else wrote since the last call."""
        with self.used(make=False) as db:
            if db is None:
                now: tuple[object, int] = (None, 0)
            else:
                (version,) = db.execute("PRAGMA data_version").fetchone()
                now = (self._file, version)
            changed, self._seen = now != self._seen, now
            return changed

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, which has the database to itself from its beginning."""
        with self.used(make=True) as db:
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
    def used(self, *, make: bool) -> Iterator[sqlite3.Connection | None]:
        """The open database; None if there is none yet, unless one is to be made."""
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
            if version > len(self._steps):
                raise SetupError(
                    f"{self.path} is of a newer dmfs (version {version}): {self._rest}",
                    hint="use that dmfs; nothing of it was changed",
                )
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA synchronous = {self._synchronous}")
            if version < len(self._steps):
                self._migrate(db)
            db.execute(f"SELECT 1 FROM {self._tables} LIMIT 0")  # noqa: S608 - words of ours
        except BaseException:
            db.close()
            raise
        return db

    def _migrate(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN IMMEDIATE")
        (version,) = db.execute("PRAGMA user_version").fetchone()  # another process may have
        for step in self._steps[version:]:
            for statement in step.split(";"):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {max(version, len(self._steps))}")
        db.execute("COMMIT")

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
        number, name = 1, self.path.name
        while (aside := self.path.with_name(f"{name}.damaged-{number}")).exists():
            number += 1
        log.warning(
            "%s is damaged (%s): it is set aside as %s, and %s", self.path, error, aside.name,
            self._lost,
        )  # fmt: skip
        for ending in ("-wal", "-shm", ""):
            with contextlib.suppress(OSError):
                self.path.with_name(name + ending).rename(aside.with_name(aside.name + ending))


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
