"""Blocks at rest: whatever happens to the disk, no wrong byte."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dmfs.blocks.store.block_store import DIRECTORY, BlockStore
from dmfs.blocks.store.sparse_file import SparseFile
from dmfs.blocks.store.stored_object import ABSENT, block_crc
from dmfs.model import StorageId
from dmfs.spans import BLOCK_BYTES, Span, block_count, bytes_of
from tests.support.helpers import CHILD_ENVIRONMENT, truth
from tests.support.stores import SIZE, A, B, books_balance, data_file, full, get, open_store, put


def test_every_flipped_bit_is_caught(tmp_path: Path) -> None:
    """Every byte of a short last block, and a sample of a whole one, each bit once."""
    size = BLOCK_BYTES + 300
    dice = random.Random(1)
    store = open_store(tmp_path)
    stored = full(store, A, size)
    path = data_file(tmp_path)
    places = [*range(BLOCK_BYTES, size), *(dice.randrange(BLOCK_BYTES) for _ in range(150))]
    with path.open("r+b", buffering=0) as data:
        for place in places:
            right = truth(place, place + 1)
            data.seek(place)
            data.write(bytes([right[0] ^ (1 << dice.randrange(8))]))
            number = place // BLOCK_BYTES
            assert get(store, stored, Span(number, number + 1)) == b""
            assert stored.states[number] == ABSENT
            data.seek(place)
            data.write(right)
            assert put(store, stored, Span(number, number + 1))
            assert get(store, stored, Span(number, number + 1))
    assert store.used_bytes() == size
    store.close()
    assert books_balance(tmp_path) == size


def _cut(path: Path) -> None:
    os.truncate(path, 2 * BLOCK_BYTES + 100)


def _zero_tail(path: Path) -> None:
    os.truncate(path, 2 * BLOCK_BYTES + 100)
    os.truncate(path, SIZE)


def _zero_all(path: Path) -> None:
    os.truncate(path, 0)
    os.truncate(path, SIZE)


def _swap_blocks(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[BLOCK_BYTES : 2 * BLOCK_BYTES] + data[:BLOCK_BYTES] + data[-100:])


@pytest.mark.parametrize(
    ("damage", "good"),
    [(_cut, 2), (_zero_tail, 2), (_zero_all, 0), (_swap_blocks, 0), (os.unlink, 0)],
)
def test_damage_to_the_file_is_a_miss(
    tmp_path: Path, damage: Callable[[Path], object], good: int
) -> None:
    store = open_store(tmp_path)
    full(store, A)
    store.close()
    damage(data_file(tmp_path))
    store = open_store(tmp_path)
    stored = store.attach(A, SIZE)
    assert len(get(store, stored)) == good * BLOCK_BYTES
    for number in range(good + 1, 4):
        assert get(store, stored, Span(number, number + 1)) == b""
    assert put(store, stored)
    assert len(get(store, stored)) == SIZE
    store.close()
    assert books_balance(tmp_path) == SIZE


def test_a_block_of_another_object_is_not_taken_for_ours(store: BlockStore) -> None:
    data = memoryview(truth(0, 100))
    assert block_crc(A, 0, data) != block_crc(B, 0, data)
    assert block_crc(A, 0, data) != block_crc(A, 1, data)


@pytest.mark.parametrize(
    "content",
    [b"", b"this is no database at all" * 100, b"SQLite format 3\0" + bytes(4000)],
)
def test_an_index_that_is_no_index_is_made_anew(tmp_path: Path, content: bytes) -> None:
    store = open_store(tmp_path)
    full(store, A)
    store.close()
    for leftover in (tmp_path / DIRECTORY).glob("index.db-*"):
        leftover.unlink()
    (tmp_path / DIRECTORY / "index.db").write_bytes(content)
    store = open_store(tmp_path)
    assert store.used_bytes() == 0
    assert len(get(store, full(store, A))) == SIZE
    store.close()


def test_an_index_that_is_too_old_is_made_anew(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    full(store, A)
    store.close()
    with sqlite3.connect(tmp_path / DIRECTORY / "index.db") as db:
        db.execute("PRAGMA user_version = 1")
    db.close()
    store = open_store(tmp_path)
    assert store.used_bytes() == 0
    assert not list((tmp_path / DIRECTORY).rglob("data/*/*"))
    store.close()


def test_an_index_damaged_inside_is_made_anew_by_the_next_start(tmp_path: Path) -> None:
    """Pages beyond the first: opening looks fine, using it does not."""
    store = open_store(tmp_path)
    stored = store.attach(A, 2000 * BLOCK_BYTES)
    with store._index.transaction():
        store._index.db.executemany(
            "INSERT INTO blocks VALUES (?, ?, ?)", [(stored.row, n, n) for n in range(2000)]
        )
    store.close()
    path = tmp_path / DIRECTORY / "index.db"
    content = bytearray(path.read_bytes())
    for page in range(len(content) // 4096 - 3, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
    path.write_bytes(bytes(content))
    try:
        store = open_store(tmp_path)
        try:
            stored = store.attach(A, SIZE)
            put(store, stored)
            get(store, stored)
        finally:
            store.close()
    except sqlite3.DatabaseError:
        pass  # the session that finds it goes without a cache
    store = open_store(tmp_path)
    assert len(get(store, full(store, B))) == SIZE
    store.close()


@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("damaged", [None, 3, 4, 6, 7])
def test_what_is_read_as_one_stretch_is_right_up_to_the_first_wrong_block(
    first: int, damaged: int | None, store: BlockStore, tmp_path: Path
) -> None:
    size = 7 * BLOCK_BYTES + 1
    stored = full(store, A, size)
    if damaged is not None:
        with data_file(tmp_path).open("r+b") as data:
            data.seek(damaged * BLOCK_BYTES)
            data.write(bytes([truth(damaged * BLOCK_BYTES, damaged * BLOCK_BYTES + 1)[0] ^ 1]))
    good = get(store, stored, Span(first, 8))
    expected = size if damaged is None else damaged * BLOCK_BYTES
    assert len(good) == max(0, expected - first * BLOCK_BYTES)
    gone = [number for number in range(8) if stored.states[number] == ABSENT]
    assert gone == ([] if damaged is None else [damaged])
    lost = sum(bytes_of(Span(n, n + 1), size).length for n in gone)
    assert store.untidy is bool(gone)
    store.tidy()
    assert not store.untidy
    assert books_balance(tmp_path) == size - lost


def test_blocks_in_each_others_place_are_wrong(store: BlockStore, tmp_path: Path) -> None:
    stored = full(store, A, 4 * BLOCK_BYTES)
    with data_file(tmp_path).open("r+b") as data:
        data.seek(BLOCK_BYTES)
        data.write(truth(2 * BLOCK_BYTES, 3 * BLOCK_BYTES) + truth(BLOCK_BYTES, 2 * BLOCK_BYTES))
    assert len(get(store, stored)) == BLOCK_BYTES


@pytest.mark.parametrize("crc", ["'one'", "-1", "1 << 40", "1.5", "x'00ff'"])
def test_a_checksum_that_somebody_else_wrote_is_a_wrong_one(
    crc: str, store: BlockStore, tmp_path: Path
) -> None:
    stored = full(store, A)
    with sqlite3.connect(tmp_path / DIRECTORY / "index.db") as db:
        db.execute(f"UPDATE blocks SET crc = {crc} WHERE number = 2")
    db.close()
    assert len(get(store, stored)) == 2 * BLOCK_BYTES


def test_a_failed_write_leaves_nothing_counted_and_the_next_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)
    stored = store.attach(A, SIZE)

    def fail(file: SparseFile, data: memoryview, offset: int, *, direct: bool) -> None:
        raise OSError(errno.EIO, "I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(SparseFile, "write", fail)
        with pytest.raises(OSError, match="I/O"):
            put(store, stored)
    assert list(stored.states) == [ABSENT] * 4
    assert store.used_bytes() == 0
    assert put(store, stored)
    assert len(get(store, stored)) == SIZE
    store.close()
    assert books_balance(tmp_path) == SIZE


class FailingCommit:
    """A connection whose next COMMIT fails without ending the transaction, as SQLite may."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.armed = True

    def __getattr__(self, name: str) -> object:
        return getattr(self._db, name)

    def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
        if sql == "COMMIT" and self.armed:
            self.armed = False
            raise sqlite3.OperationalError("database or disk is full")
        return self._db.execute(sql, *arguments)  # type: ignore[arg-type]


def test_a_commit_that_fails_does_not_block_the_store_for_good(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    stored = store.attach(A, SIZE)
    store._index.db = FailingCommit(store._index.db)  # type: ignore[assignment]
    store.remember_size(A, 3)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.tidy()
    assert put(store, stored)
    assert store.sizes() == {A: 3}, "with the next transaction"
    store.close()


_WRITER = """
import sys, pathlib, random
from dmfs.blocks.store.block_store import BlockStore
from dmfs.spans import BLOCK_BYTES, Span, block_count, bytes_of
from tests.support.helpers import CHILD_ENVIRONMENT, truth
from tests.support.stores import SIZE, A, B, C, books_balance, data_file, full, get, open_store, put
store = BlockStore(pathlib.Path(sys.argv[1]), limit_bytes=40 * BLOCK_BYTES, free_percent=0)
dice = random.Random(int(sys.argv[2]))
print("ready", flush=True)
while True:
    size = dice.choice([5, 9, 12]) * BLOCK_BYTES + 99
    stored = store.attach(f"urn:{size}:{dice.randrange(4)}", size)
    for _ in range(4):
        first = dice.randrange(block_count(size))
        span = bytes_of(Span(first, first + dice.randrange(1, 4)), size)
        store.write(stored, first, memoryview(truth(*span)))
    store.release(stored)
"""


def test_a_writer_killed_at_any_moment_leaves_no_wrong_byte(tmp_path: Path) -> None:
    dice = random.Random(11)
    seen = 0
    for round_ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path), str(round_)],
            stdout=subprocess.PIPE,
            env=CHILD_ENVIRONMENT,
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(dice.random() * 0.15)
            writer.send_signal(signal.SIGKILL)
        store = open_store(tmp_path, 40 * BLOCK_BYTES)
        with sqlite3.connect(tmp_path / DIRECTORY / "index.db") as db:
            rows = db.execute("SELECT storage_id, size FROM objects").fetchall()
            (reserved,) = db.execute("SELECT COALESCE(SUM(bytes), 0) FROM objects").fetchone()
        db.close()
        assert reserved == store.used_bytes() <= 40 * BLOCK_BYTES
        for storage_id, size in rows:
            stored = store.attach(StorageId(storage_id), size)
            for number in range(block_count(size)):
                seen += len(get(store, stored, Span(number, number + 1)))
            store.release(stored)
        store.close()
    assert seen > 0


def test_a_disk_that_fails_while_a_file_is_verified_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It was a BufferError (of memory that the failed read still held), which nobody expects.
    store = open_store(tmp_path)
    stored = full(store, A)

    def fail(file: SparseFile, buffer: memoryview, length: int, offset: int) -> int:
        piece = buffer[:length]
        raise OSError(errno.EIO, f"I/O error at {offset} of {len(piece)}")

    monkeypatch.setattr(SparseFile, "read", fail)
    with pytest.raises(OSError, match="I/O error"):
        store.verify(stored, "0" * 40)
    assert stored.complete()
    store.close()


@pytest.mark.parametrize("bad_looks", [1, 2])
def test_only_a_second_look_condemns_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad_looks: int
) -> None:
    looks = [0]
    read = SparseFile.read

    def odd(file: SparseFile, buffer: memoryview, length: int, offset: int) -> int:
        count = read(file, buffer, length, offset)
        looks[0] += 1  # SIZE fits in one piece
        if looks[0] <= bad_looks:
            buffer[0] ^= 1
        return count

    store = open_store(tmp_path)
    stored = full(store, A)
    monkeypatch.setattr(SparseFile, "read", odd)
    sha1 = hashlib.sha1(truth(0, SIZE)).hexdigest()
    assert store.verify(stored, sha1) is (bad_looks == 1)
    assert stored.complete() is (bad_looks == 1)
    assert looks == [2]
    store.close()


def test_a_file_that_was_cut_is_not_compared(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    stored = full(store, A)
    os.truncate(data_file(tmp_path), SIZE - 1)
    with pytest.raises(OSError, match="too short"):
        store.verify(stored, hashlib.sha1(truth(0, SIZE)).hexdigest())
    store.close()
