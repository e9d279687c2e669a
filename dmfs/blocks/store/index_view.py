"""Questions to the index of the block store, over one connection.

In WAL mode a reading connection sees what was committed last and never waits for the one that
writes: not for its transaction, not for its commit, not for a checkpoint.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from dmfs.spans import BLOCK_BYTES, block_count


class ObjectRow(NamedTuple):
    """A storage object at rest; ``id`` is never used again (AUTOINCREMENT)."""

    id: int
    size_bytes: int
    used_at: float
    checked: int
    """1 once all of it was compared with the service's sha1."""


class Rest(NamedTuple):
    """Blocks of an object that are at rest: how many, and the last one's number."""

    storage_id: str
    size_bytes: int
    blocks: int
    last_block: int

    @property
    def bytes(self) -> int:
        """All blocks are of one length but the last of the object, which may be short."""
        last = block_count(self.size_bytes) - 1
        if self.last_block != last:
            return self.blocks * BLOCK_BYTES
        return (self.blocks - 1) * BLOCK_BYTES + self.size_bytes - last * BLOCK_BYTES


def _places(values: Sequence[str]) -> str:
    return f"({','.join('?' * len(values))})"


class IndexView:
    """Each question looks up a key or a range of one object. Raises sqlite3.Error."""

    def __init__(self, directory: Path, db: sqlite3.Connection) -> None:
        self._directory = directory
        self.lock = threading.RLock()
        """Held for one question, by a writer for a transaction."""
        self.db = db

    # Objects

    def find(self, storage_id: str) -> ObjectRow | None:
        row = self._one(
            "SELECT id, size, used_at, checked FROM objects WHERE storage_id = ?", storage_id
        )
        return None if row is None else ObjectRow(*row)

    def present(self, storage_ids: Sequence[str]) -> set[str]:
        """Those of some hundred objects that have a row."""
        places = ",".join("?" * len(storage_ids))
        rows = self._all(
            f"SELECT storage_id FROM objects WHERE storage_id IN ({places})",  # noqa: S608
            *storage_ids,
        )
        return {storage_id for (storage_id,) in rows}

    def alive(self, row: int) -> bool:
        return self._one("SELECT 1 FROM objects WHERE id = ?", row) is not None

    def total_bytes(self) -> int:
        """Of all objects; kept with each change."""
        return int(self._one("SELECT bytes FROM totals")[0])

    def held(self) -> set[str]:
        """Storage ids of what no process may evict."""
        return {str(storage_id) for (storage_id,) in self._all("SELECT storage_id FROM held")}

    # Several objects

    def rows_of(self, storage_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Row and bytes at rest (or reserved) by storage id, of some hundred objects those that
        have any."""
        rows = self._all(
            "SELECT storage_id, id, CAST(bytes AS INTEGER) FROM objects"  # noqa: S608
            f" WHERE storage_id IN {_places(storage_ids)}",
            *storage_ids,
        )
        return {storage_id: (row, size_bytes) for storage_id, row, size_bytes in rows}

    def rests_of(self, storage_ids: Sequence[str]) -> list[Rest]:
        """Of some hundred objects those with blocks at rest. Looks at each block."""
        rows = self._all(
            "SELECT storage_id, size, COUNT(number), MAX(number) FROM objects"  # noqa: S608
            " JOIN blocks ON blocks.object = objects.id"
            f" WHERE storage_id IN {_places(storage_ids)} GROUP BY objects.id",
            *storage_ids,
        )
        return [Rest(*row) for row in rows]

    def held_of(self, storage_ids: Sequence[str]) -> set[str]:
        """Those of some hundred objects that no process may evict."""
        rows = self._all(
            f"SELECT storage_id FROM held WHERE storage_id IN {_places(storage_ids)}",  # noqa: S608
            *storage_ids,
        )
        return {storage_id for (storage_id,) in rows}

    def old_bytes(self, used_before: float) -> int:
        """Of the objects that were not used since then, and may go."""
        found = self._one(
            "SELECT SUM(CAST(bytes AS INTEGER)) FROM objects WHERE used_at < ?"
            " AND storage_id NOT IN (SELECT storage_id FROM held)",
            used_before,
        )
        return int(found[0] or 0)

    # ETags

    def etags(self, row: int) -> dict[tuple[int, int], str]:
        """(start, stop) → ETag, of the stretches of an object that blocks came from."""
        rows = self._all("SELECT start, stop, etag FROM etags WHERE object = ?", row)
        return {(start, stop): str(etag) for start, stop, etag in rows}

    # Blocks

    def has_blocks(self, row: int) -> bool:
        return self._one("SELECT 1 FROM blocks WHERE object = ? LIMIT 1", row) is not None

    def block_count(self, row: int) -> tuple[int, int]:
        """How many blocks of an object are at rest, and the last one's number; 0, -1: none.
        (``bytes`` also counts what was reserved by a process that was killed.)"""
        count, last = self._one("SELECT COUNT(*), MAX(number) FROM blocks WHERE object = ?", row)
        return int(count), -1 if last is None else int(last)

    def crcs(self, row: int, first: int, last: int) -> dict[int, int]:
        """Block number → checksum, of the blocks at rest in ``[first, last)``."""
        return dict(
            self._all(
                "SELECT number, crc FROM blocks WHERE object = ? AND number >= ? AND number < ?",
                row, first, last,
            )
        )  # fmt: skip

    # Sizes

    def sizes(self, at_most: int) -> dict[str, int]:
        """Real sizes by storage id; which ones, if there are more, is left open."""
        rows = self._all("SELECT storage_id, size FROM sizes LIMIT ?", at_most)
        return {key: size for key, size in rows if isinstance(size, int) and size >= 0}

    # The connection

    def _one(self, sql: str, *arguments: Any) -> Any:
        with self.lock, self.watched():
            return self.db.execute(sql, arguments).fetchone()

    def _all(self, sql: str, *arguments: Any) -> list[Any]:
        with self.lock, self.watched():
            return self.db.execute(sql, arguments).fetchall()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Damage found in use leaves a note, and the next start makes the index anew: checking all
        pages at each start would cost a large cache a tenth of a second."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if damaged(error):
                with contextlib.suppress(OSError):
                    (self._directory / "damaged").touch()
            raise


def damaged(error: sqlite3.DatabaseError) -> bool:
    """Whether it is the database that is wrong, and not what was asked."""
    return getattr(error, "sqlite_errorname", "") in (
        "SQLITE_CORRUPT",
        "SQLITE_NOTADB",
        "SQLITE_ERROR",
    )
