"""Objects that are held: no process evicts them; how much of an object is at rest."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from dmfs.blocks.store.block_store import DIRECTORY
from dmfs.blocks.store.held import AtRest, most_held_bytes
from dmfs.blocks.store.index import OldObject
from dmfs.blocks.store.index_view import Rest
from dmfs.model import StorageId
from dmfs.spans import BLOCK_BYTES, GIB, Span
from tests.support.stores import SIZE, A, B, C, books_balance, full, get, open_store, put


def test_what_is_held_stays_however_much_is_read_through(tmp_path: Path) -> None:
    """Ten times the cache through two stores, each of which knows nothing of the other."""
    limit = 10 * SIZE
    one, other = open_store(tmp_path, limit), open_store(tmp_path, limit)
    one.held.change(hold=[A, B])
    for each in (A, B):
        one.release(full(one, each))
    for number in range(100):
        store = (one, other)[number % 2]
        stored = full(store, StorageId(f"urn:through {number}"))
        store.release(stored)
    assert one.gauges()["store.evicted_objects"]
    assert other.gauges()["store.evicted_objects"]
    for each in (A, B):
        for store in (one, other):
            stored = store.attach(each, SIZE)
            assert len(get(store, stored)) == SIZE
            store.release(stored)
    one.held.change(let_go=[A])
    for number in range(100, 120):
        other.release(full(other, StorageId(f"urn:through {number}")))
    assert set(one.held.at_rest([A, B])) == {B}
    one.close()
    other.close()
    books_balance(tmp_path)


def test_what_is_held_is_passed_over_once_and_not_with_each_write(tmp_path: Path) -> None:
    """As with what is in use: a step looks at as many objects as it takes away."""
    store = open_store(tmp_path, 300 * SIZE)
    pinned = [StorageId(f"urn:pinned {number}") for number in range(200)]
    store.held.change(hold=pinned)
    for each in pinned:
        store.release(full(store, each))
    for number in range(100):
        store.release(full(store, StorageId(f"urn:first {number}")))
    looked: list[int] = []
    oldest = store._index.oldest

    def look(*arguments: Any) -> list[OldObject]:
        found = oldest(*arguments)
        looked.append(len(found))
        return found

    store._index.oldest = look  # type: ignore[assignment]
    for number in range(100):
        store.release(full(store, StorageId(f"urn:next {number}")))
    assert set(store.held.at_rest(pinned)) == set(pinned)
    assert sum(looked) <= 2000  # all that is held once, and pages of 64; 5000 if each step met it
    store.close()


def test_held_is_known_before_there_is_a_block_and_after_the_cache_was_deleted(
    tmp_path: Path,
) -> None:
    store = open_store(tmp_path)
    store.held.change(hold=[A, B])
    store.held.change(hold=[C], let_go=[A, StorageId("urn:never")])
    assert store.held.ids() == {B, C}
    assert store.held.at_rest([A, B]) == {}
    store.close()
    store = open_store(tmp_path)
    assert store.held.ids() == {B, C}
    for path in (tmp_path / DIRECTORY).glob("index.db*"):
        path.unlink()
    assert store.held.ids() == set()  # the keeper says it again
    store.held.change(hold=[B])
    assert store.held.ids() == {B}
    store.close()


def test_at_rest_counts_blocks_and_not_what_was_reserved(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    stored = store.attach(A, SIZE)
    put(store, stored, Span(0, 2))
    assert store.held.at_rest([A, B]) == {A: AtRest(2 * BLOCK_BYTES, SIZE, False)}
    with store._index.transaction():  # as a process leaves it that was killed while it wrote
        store._index.account(stored.row, SIZE - 2 * BLOCK_BYTES)
    assert not store.held.at_rest([A])[A].whole
    put(store, stored)
    assert store.held.at_rest([A])[A].whole
    store.close()


def test_a_short_last_block_counts_as_what_it_is() -> None:
    """A part of a file is never told as more of it."""
    size = 2 * BLOCK_BYTES + 10
    for blocks, last, expected in (
        (0, -1, 0),
        (1, 0, BLOCK_BYTES),
        (1, 2, 10),
        (2, 2, BLOCK_BYTES + 10),
        (3, 2, size),
    ):
        assert Rest("a", size, blocks, last).bytes == expected
    assert Rest("a", 0, 0, -1).bytes == 0


def test_a_cache_of_an_older_dmfs_gets_the_table_and_the_older_one_goes_on_with_it(
    tmp_path: Path,
) -> None:
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / DIRECTORY / "index.db") as db:
        db.execute("DROP TABLE held")
        version = db.execute("PRAGMA user_version").fetchone()
    db.close()
    store = open_store(tmp_path)
    assert store.held.ids() == set()
    store.held.change(hold=[A])
    store.close()
    with sqlite3.connect(tmp_path / DIRECTORY / "index.db") as db:
        assert db.execute("PRAGMA user_version").fetchone() == version
    db.close()


def test_pins_leave_a_gigabyte_or_an_eighth_to_everything_else(tmp_path: Path) -> None:
    assert most_held_bytes(20 * GIB) == 19 * GIB
    assert most_held_bytes(8000) == 7000
    store = open_store(tmp_path, 80 * SIZE)
    full(store, A)
    room = store.held.room()
    assert room.most_bytes == 70 * SIZE
    assert room.disk_bytes > SIZE
    store.close()
