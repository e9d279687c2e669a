"""Block stores with made-up objects, and a look at their books."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from dmfs.blocks.store.block_store import DIRECTORY, BlockStore
from dmfs.blocks.store.stored_object import StoredObject
from dmfs.model import StorageId
from dmfs.spans import BLOCK_BYTES, Span, block_count, bytes_of
from tests.support.helpers import truth

A, B, C = StorageId("urn:a"), StorageId("urn:b"), StorageId("urn:c")
SIZE = 3 * BLOCK_BYTES + 777
"""Four blocks, the last one short."""


def open_store(path: Path, limit: int = 1 << 30) -> BlockStore:
    return BlockStore(path, limit_bytes=limit, free_percent=0)


def put(store: BlockStore, stored: StoredObject, blocks: Span | None = None) -> bool:
    blocks = blocks or Span(0, block_count(stored.size_bytes))
    span = bytes_of(blocks, stored.size_bytes)
    return store.write(stored, blocks.start, memoryview(truth(*span)))


def get(store: BlockStore, stored: StoredObject, blocks: Span | None = None) -> bytes:
    """The good bytes from the start of the blocks; each is compared with the truth."""
    blocks = blocks or Span(0, block_count(stored.size_bytes))
    span = bytes_of(blocks, stored.size_bytes)
    buffer = bytearray(span.length)
    good = store.read(stored, blocks, memoryview(buffer))
    assert bytes(buffer[:good]) == truth(span.start, span.start + good)
    return bytes(buffer[:good])


def full(store: BlockStore, storage_id: StorageId, size: int = SIZE) -> StoredObject:
    stored = store.attach(storage_id, size)
    assert put(store, stored)
    return stored


def fill_index(path: Path, count: int, object_bytes: int = 100_000, used_at: float = 1e9) -> None:
    """As many objects of one block at rest as a long use leaves, each used a second after the one
    before. Without files: their bytes are misses."""
    open_store(path).close()
    with sqlite3.connect(path / DIRECTORY / "index.db") as db:
        (first,) = db.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM objects").fetchone()
        rows = range(first, first + count)
        db.executemany(
            "INSERT INTO objects (id, storage_id, size, bytes, used_at) VALUES (?, ?, ?, ?, ?)",
            (
                (n, f"urn:adsk.objects:os.object:bucket/{n:032x}.bin", object_bytes, object_bytes,
                 used_at + n)
                for n in rows
            ),
        )  # fmt: skip
        db.executemany("INSERT INTO blocks VALUES (?, 0, ?)", ((n, n) for n in rows))
        db.executemany(
            "INSERT INTO etags VALUES (?, 0, ?, ?)",
            ((n, object_bytes, f'"{n:032x}"') for n in rows),
        )
        db.execute("UPDATE totals SET bytes = bytes + ?", (count * object_bytes,))
    db.close()


def data_file(path: Path) -> Path:
    (found,) = [each for each in (path / DIRECTORY / "data").rglob("*") if each.is_file()]
    return found


def bytes_at_rest(path: Path) -> int:
    """What the index of a cache directory accounts for just now; a drive may be writing there."""
    index = path / DIRECTORY / "index.db"
    with contextlib.closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True)) as db:
        (total,) = db.execute("SELECT bytes FROM totals").fetchone()
    return int(total)


def books_balance(path: Path) -> int:
    """The total is the sum of the objects, and each object's the sum of its blocks."""
    with sqlite3.connect(path / DIRECTORY / "index.db") as db:
        (total,) = db.execute("SELECT bytes FROM totals").fetchone()
        for row, size, told in db.execute("SELECT id, size, bytes FROM objects").fetchall():
            numbers = db.execute("SELECT number FROM blocks WHERE object = ?", (row,)).fetchall()
            assert told == sum(bytes_of(Span(n, n + 1), size).length for (n,) in numbers)
        (objects,) = db.execute("SELECT COALESCE(SUM(bytes), 0) FROM objects").fetchone()
    db.close()
    assert total == objects
    return int(total)
