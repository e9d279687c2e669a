"""Blocks at rest: whatever happens to the disk, no wrong byte and no byte over the limit."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import dmfs.blocks.store.attached
from dmfs.blocks.store.block_store import BlockStore
from dmfs.blocks.store.sparse_file import SparseFile
from dmfs.blocks.store.stored_object import ABSENT, PRESENT, VERIFIED, StoredObject, block_crc
from dmfs.errors import SetupError
from dmfs.model import StorageId
from dmfs.spans import BLOCK_BYTES, MIB, Span, block_count, bytes_of
from tests.support.helpers import truth

A, B, C = StorageId("urn:a"), StorageId("urn:b"), StorageId("urn:c")
SIZE = 3 * BLOCK_BYTES + 777
"""Four blocks, the last one short."""
ROOT = Path(__file__).resolve().parents[2]
CHILD_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def open_store(path: Path, limit: int = 1 << 30) -> BlockStore:
    return BlockStore(path, limit_bytes=limit, free_percent=0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlockStore]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


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


def data_file(path: Path) -> Path:
    (found,) = [each for each in (path / "blocks" / "data").rglob("*") if each.is_file()]
    return found


def books_balance(path: Path) -> int:
    """The total is the sum of the objects, and each object's the sum of its blocks."""
    with sqlite3.connect(path / "blocks" / "index.db") as db:
        (total,) = db.execute("SELECT bytes FROM totals").fetchone()
        for row, size, told in db.execute("SELECT id, size, bytes FROM objects").fetchall():
            numbers = db.execute("SELECT number FROM blocks WHERE object = ?", (row,)).fetchall()
            assert told == sum(bytes_of(Span(n, n + 1), size).length for (n,) in numbers)
        (objects,) = db.execute("SELECT COALESCE(SUM(bytes), 0) FROM objects").fetchone()
    db.close()
    assert total == objects
    return int(total)


def test_what_was_put_is_got_by_the_next_process(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    stored = store.attach(A, SIZE)
    assert put(store, stored, Span(1, 3))
    store.close()
    store = open_store(tmp_path)
    stored = store.attach(A, SIZE)
    assert list(stored.states) == [ABSENT, PRESENT, PRESENT, ABSENT]
    assert len(get(store, stored, Span(1, 3))) == 2 * BLOCK_BYTES
    assert list(stored.states) == [ABSENT, VERIFIED, VERIFIED, ABSENT]
    assert get(store, stored) == b""  # a hole is nothing
    assert store.used_bytes() == 2 * BLOCK_BYTES
    store.close()
    assert books_balance(tmp_path) == 2 * BLOCK_BYTES


def test_putting_twice_counts_once(store: BlockStore, tmp_path: Path) -> None:
    stored = store.attach(A, SIZE)
    for blocks in (Span(0, 2), Span(1, 4), Span(0, 4)):
        assert put(store, stored, blocks)
    assert store.used_bytes() == SIZE
    assert len(get(store, stored)) == SIZE
    assert books_balance(tmp_path) == SIZE


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
    for leftover in (tmp_path / "blocks").glob("index.db-*"):
        leftover.unlink()
    (tmp_path / "blocks" / "index.db").write_bytes(content)
    store = open_store(tmp_path)
    assert store.used_bytes() == 0
    assert len(get(store, full(store, A))) == SIZE
    store.close()


def test_an_index_of_another_version_is_made_anew(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    full(store, A)
    store.close()
    with sqlite3.connect(tmp_path / "blocks" / "index.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    store = open_store(tmp_path)
    assert store.used_bytes() == 0
    assert not list((tmp_path / "blocks").rglob("data/*/*"))
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
    path = tmp_path / "blocks" / "index.db"
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


def test_the_limit_holds_before_every_put(tmp_path: Path) -> None:
    limit = 10 * BLOCK_BYTES
    store = open_store(tmp_path, limit)
    dice = random.Random(3)
    for number in range(40):
        size = dice.randrange(1, 6 * BLOCK_BYTES)
        stored = store.attach(StorageId(f"urn:{number}"), size)
        for block in range(block_count(size)):
            assert put(store, stored, Span(block, block + 1))
            assert store.used_bytes() <= limit
        store.release(stored)
    assert store.used_bytes() > limit // 2
    on_disk = sum(
        f.stat().st_size for f in (tmp_path / "blocks" / "data").rglob("*") if f.is_file()
    )
    assert on_disk == store.used_bytes()
    store.close()
    books_balance(tmp_path)


def test_exactly_the_limit_fits_and_one_byte_more_evicts(tmp_path: Path) -> None:
    store = open_store(tmp_path, 2 * SIZE)
    for each in (A, B):
        store.release(full(store, each))
    assert store.used_bytes() == 2 * SIZE  # nothing was evicted
    stored = store.attach(C, 1)
    assert put(store, stored)
    assert store.used_bytes() == SIZE + 1
    store.close()


def test_the_least_recently_used_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr(dmfs.blocks.store.attached, "wall_time_s", lambda: now[0])
    store = open_store(tmp_path, 2 * SIZE)
    for each in (A, B, A):  # A is used again
        now[0] += 100
        stored = store.attach(each, SIZE)
        put(store, stored)
        store.release(stored)
    now[0] += 100
    store.release(full(store, C))
    for each, there in ((A, True), (B, False), (C, True)):
        stored = store.attach(each, SIZE)
        assert (PRESENT in stored.states) is there, each
        store.release(stored)
    store.close()


def test_an_open_object_is_never_evicted(tmp_path: Path) -> None:
    store = open_store(tmp_path, SIZE + 100)
    held = full(store, A)
    newcomer = store.attach(B, SIZE)
    assert not put(store, newcomer)
    assert len(get(store, held)) == SIZE
    assert ABSENT in newcomer.states
    store.release(held)
    assert put(store, newcomer)
    assert store.used_bytes() == SIZE
    store.close()


_HOLDER = """
import sys, pathlib
from dmfs.blocks.store.block_store import BlockStore
store = BlockStore(pathlib.Path(sys.argv[1]), limit_bytes=1 << 30, free_percent=0)
stored = store.attach("urn:a", int(sys.argv[2]))
print(list(stored.states).count(1), flush=True)
sys.stdin.read()
"""


def test_what_another_process_has_open_is_not_evicted(tmp_path: Path) -> None:
    store = open_store(tmp_path, SIZE + 100)
    store.release(full(store, A))
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path), str(SIZE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=CHILD_ENVIRONMENT,
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "4\n"  # it sees our blocks
        newcomer = store.attach(B, SIZE)
        assert not put(store, newcomer)
        other.stdin.close()
        other.wait(10)
    assert put(store, newcomer)
    store.close()
    assert books_balance(tmp_path) == SIZE


def test_an_evictor_holds_the_lock_only_for_the_moment(tmp_path: Path) -> None:
    store = open_store(tmp_path, SIZE + 100)
    store.release(full(store, A))
    fd = os.open(data_file(tmp_path), os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_SH)
    assert not put(store, store.attach(B, SIZE))
    os.close(fd)
    assert put(store, store.attach(C, SIZE))
    store.close()


def test_two_processes_share_and_refresh(tmp_path: Path) -> None:
    one, two = open_store(tmp_path), open_store(tmp_path)
    first, second = one.attach(A, SIZE), two.attach(A, SIZE)
    assert put(one, first)
    assert list(second.states) == [ABSENT] * 4
    two.refresh(second, Span(0, 4))
    assert list(second.states) == [PRESENT] * 4
    assert len(get(two, second)) == SIZE
    assert put(two, second)  # nothing new, nothing counted
    assert one.used_bytes() == two.used_bytes() == SIZE
    one.close()
    two.close()
    assert books_balance(tmp_path) == SIZE


def test_another_size_for_the_same_object_starts_anew(store: BlockStore, tmp_path: Path) -> None:
    old = full(store, A)
    stored = store.attach(A, SIZE + 1)
    assert list(stored.states) == [ABSENT] * 4
    assert not put(store, old)  # the dead stored takes nothing
    assert put(store, stored)
    assert store.used_bytes() == SIZE + 1
    store.close()
    assert books_balance(tmp_path) == SIZE + 1


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
    with sqlite3.connect(tmp_path / "blocks" / "index.db") as db:
        db.execute(f"UPDATE blocks SET crc = {crc} WHERE number = 2")
    db.close()
    assert len(get(store, stored)) == 2 * BLOCK_BYTES


def test_peek_gives_only_what_was_verified(store: BlockStore, tmp_path: Path) -> None:
    stored = full(store, A)
    seen = store.peek(stored, Span(100, 200))
    assert seen in (None, truth(100, 200))  # None where the filesystem knows no RWF_NOWAIT
    store.release(stored)
    again = store.attach(A, SIZE)
    assert store.peek(again, Span(100, 200)) is None
    get(store, again, Span(0, 1))
    assert store.peek(again, Span(0, BLOCK_BYTES)) is None  # a stream's read
    assert store.peek(again, Span(BLOCK_BYTES - 5, BLOCK_BYTES + 5)) is None
    os.truncate(data_file(tmp_path), 50)
    assert store.peek(again, Span(0, 100)) is None


def test_sizes_are_remembered(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.remember_size(A, 5)
    store.remember_size(A, 7)
    store.remember_size(B, 0)
    store.close()
    store = open_store(tmp_path)
    assert store.sizes() == {A: 7, B: 0}
    store.close()


def test_the_directory_must_be_ours_and_becomes_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    open_store(tmp_path / "sub").close()
    assert (tmp_path / "sub").stat().st_mode & 0o077 == 0
    assert (tmp_path / "sub" / "blocks").stat().st_mode & 0o077 == 0
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError) as caught:
        open_store(tmp_path / "file")
    assert "DMFS_CACHE_DIR" in caught.value.hint


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
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.remember_size(A, 3)
    assert put(store, stored)
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)],
            capture_output=True,
            check=False,
        ).returncode
    )
    if not mounted:
        pytest.skip("a small disk can only be mounted by root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize("by_surprise", [False, True])
def test_a_full_disk_fails_cleanly_and_recovers(
    small_disk: Path, by_surprise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen coming by statvfs; and by surprise, as when somebody else fills the disk just then."""
    store = open_store(small_disk)
    if by_surprise:
        monkeypatch.setattr(store._evictor, "_over", lambda need_bytes: False)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 * MIB))
    stored = store.attach(A, 4 * MIB)
    failed = refused = 0
    for number in range(block_count(4 * MIB)):
        try:
            refused += not put(store, stored, Span(number, number + 1))
        except (OSError, sqlite3.Error):
            failed += 1
    assert (failed > 0, refused > 0) == (by_surprise, not by_surprise)
    for number in range(block_count(4 * MIB)):
        get(store, stored, Span(number, number + 1))  # right bytes or none
    ballast.unlink()
    assert put(store, stored, Span(28, 30))
    assert len(get(store, stored, Span(28, 30))) == 2 * BLOCK_BYTES
    store.close()
    books_balance(small_disk)


def test_part_of_the_disk_is_always_left_free(small_disk: Path) -> None:
    store = BlockStore(small_disk, limit_bytes=1 << 30, free_percent=50)
    stored = store.attach(A, 4 * MIB)
    kept = sum(put(store, stored, Span(n, n + 1)) for n in range(block_count(4 * MIB)))
    assert 0 < kept * BLOCK_BYTES <= 2 * MIB
    disk = os.statvfs(small_disk)
    assert disk.f_bavail >= disk.f_blocks * 0.49
    store.close()


_WRITER = """
import sys, pathlib, random
from dmfs.blocks.store.block_store import BlockStore
from dmfs.spans import BLOCK_BYTES, Span, block_count, bytes_of
from tests.support.helpers import truth
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
        with sqlite3.connect(tmp_path / "blocks" / "index.db") as db:
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
