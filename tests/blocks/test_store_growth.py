"""What a step of the block store costs does not grow with what is at rest: counted in the steps of
SQLite's machine, in objects looked at and in files, not in seconds."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import dmfs.blocks.store.eviction
from dmfs.blocks.store.block_store import DIRECTORY, BlockStore
from dmfs.blocks.store.eviction import AHEAD_SHARE, BATCH_OBJECTS, MANY_IN_USE
from dmfs.blocks.store.index import Index
from dmfs.model import StorageId
from dmfs.spans import BLOCK_BYTES, Span
from tests.support.stores import (
    SIZE,
    A,
    B,
    bytes_at_rest,
    fill_index,
    full,
    get,
    open_store,
    put,
)  # fmt: skip

OBJECT = 100_000


class Steps:
    """Steps of SQLite's machine on both connections of a store."""

    def __init__(self, store: BlockStore) -> None:
        self.count = 0
        for view in (store._index, store._index.reading):
            view.db.set_progress_handler(self._step, 1)

    def _step(self) -> int:
        self.count += 1
        return 0

    def of(self, work: Callable[[], Any]) -> int:
        before = self.count
        work()
        return self.count - before


def costs(directory: Path, count: int) -> dict[str, int]:
    """Of each operation, with so many objects at rest in a cache that is full."""
    fill_index(directory, count)
    with closing(open_store(directory, count * OBJECT)) as store:
        steps = Steps(store)
        a, b = store.attach(A, 1000), store.attach(B, 8 * BLOCK_BYTES)
        known = StorageId(f"urn:adsk.objects:os.object:bucket/{count:032x}.bin")
        found = {
            "write small, evicting": steps.of(lambda: put(store, a)),
            "write large, evicting": steps.of(lambda: put(store, b)),
            "read": steps.of(lambda: get(store, b)),
            "refresh": steps.of(lambda: store.refresh(b, Span(0, 8))),
            "sample": steps.of(lambda: store.sample(b)),
            "attach what is there": steps.of(lambda: store.attach(known, OBJECT)),
            "attach what is not": steps.of(lambda: store.attach(StorageId("urn:no"), OBJECT)),
            "look up": steps.of(lambda: store.absent([known, A, B])),
            "release": steps.of(lambda: store.release(b)),
            "used bytes": steps.of(store.used_bytes),
            "tidy": steps.of(store.tidy),
            "gauges": steps.of(store.gauges),
        }
        assert store.gauges()["store.evicted_objects"] <= 3 * BATCH_OBJECTS
        assert store.used_bytes() <= count * OBJECT
    return found


def test_no_operation_costs_more_with_ten_times_as_many_objects(tmp_path: Path) -> None:
    few, many = costs(tmp_path / "few", 5000), costs(tmp_path / "many", 50_000)
    for name, count in many.items():
        assert count <= 2 * few[name] + 50, name


def test_a_start_looks_at_no_object(tmp_path: Path) -> None:
    steps: list[int] = []
    for count in (100, 10_000):
        fill_index(tmp_path, count)
        with closing(open_store(tmp_path)):
            pass
        with counted_connections() as seen, closing(open_store(tmp_path)):
            steps.append(seen[0])
    assert steps[1] <= steps[0] + 20


@contextmanager
def counted_connections() -> Any:
    """Count the steps of all connections that are opened meanwhile."""
    seen = [0]
    connect = sqlite3.connect

    def step() -> int:
        seen[0] += 1
        return 0

    def connected(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        db = connect(*args, **kwargs)
        db.set_progress_handler(step, 1)
        return db

    sqlite3.connect = connected  # type: ignore[assignment]
    try:
        yield seen
    finally:
        sqlite3.connect = connect


@pytest.mark.parametrize("object_bytes", [4096, 100_000])
def test_a_stream_through_a_full_cache_evicts_what_it_needs_and_a_little_more(
    tmp_path: Path, object_bytes: int
) -> None:
    """With 4 KiB objects nothing was evicted at all."""
    count = 20_000
    fill_index(tmp_path, count, object_bytes)
    limit = count * object_bytes
    with closing(open_store(tmp_path, limit)) as store:
        written = 40 * BLOCK_BYTES
        stored = store.attach(A, written)
        for number in range(0, 40, 8):
            assert put(store, stored, Span(number, number + 8))
            assert store.used_bytes() <= limit
        gauges = store.gauges()
        assert gauges["store.refused_blocks"] == 0
        assert written <= gauges["store.evicted_bytes"] <= written + limit * AHEAD_SHARE + OBJECT
    assert bytes_at_rest(tmp_path) <= limit


def test_objects_in_use_are_passed_over_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They count as used now: the next eviction does not come across them."""
    looked_at: list[int] = []
    oldest = Index.oldest

    def counted(index: Index, *args: Any) -> Any:
        found = oldest(index, *args)
        looked_at.append(len(found))
        return found

    monkeypatch.setattr(Index, "oldest", counted)
    fill_index(tmp_path, 5000)
    with closing(open_store(tmp_path, 5000 * OBJECT)) as store:
        in_use = 10 * BATCH_OBJECTS
        monkeypatch.setattr(store.attached, "rows", lambda: set(range(1, in_use + 1)))
        for name in ("a", "b"):
            looked_at.clear()
            assert put(store, store.attach(StorageId(name), 40 * BLOCK_BYTES))
            assert sum(looked_at) <= (in_use if name == "a" else 0) + 3 * BATCH_OBJECTS


def test_a_cache_in_which_all_is_in_use_is_not_searched_for_each_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1e9]
    monkeypatch.setattr(dmfs.blocks.store.eviction, "wall_time_s", lambda: now[0])
    fill_index(tmp_path, MANY_IN_USE)
    with closing(open_store(tmp_path, MANY_IN_USE * OBJECT)) as store:
        in_use = set(range(1, MANY_IN_USE + 1))
        monkeypatch.setattr(store.attached, "rows", lambda: in_use)
        stored = store.attach(A, SIZE)
        assert not put(store, stored)
        steps = Steps(store)
        assert steps.of(lambda: put(store, stored)) < MANY_IN_USE
        assert _nothing_at_rest(stored.states)
        now[0] += 2
        in_use.clear()
        assert put(store, stored)


def _nothing_at_rest(states: bytearray) -> bool:
    return not any(states)


def test_files_of_what_was_evicted_go_at_the_next_start_if_the_process_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_store(tmp_path, 2 * SIZE)) as store:
        for name in (A, B):
            store.release(full(store, name))
        with monkeypatch.context() as patched:
            patched.setattr(store._evictor, "delete", lambda _rows: None)  # killed just then
            full(store, StorageId("urn:more"))
    files = list((tmp_path / DIRECTORY / "data").glob("*/*"))
    assert len(files) == 3
    with closing(open_store(tmp_path, 2 * SIZE)) as store:
        assert len(list((tmp_path / DIRECTORY / "data").glob("*/*"))) == 2
        assert store._index.doomed() == []
        assert store.used_bytes() == 2 * SIZE


def test_what_cannot_be_deleted_now_is_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *, missing_ok: bool = False) -> None:
        raise OSError(30, "read-only")

    with closing(open_store(tmp_path, SIZE)) as store:
        store.release(full(store, A))
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", refuse)
            full(store, B)
        assert len(store._index.doomed()) == 1
    open_store(tmp_path, SIZE).close()
    assert len(list((tmp_path / DIRECTORY / "data").glob("*/*"))) == 1


def test_an_index_of_before_is_gone_on_with(tmp_path: Path) -> None:
    """One that knows no doomed objects; and a dmfs that does not know them goes on with ours."""
    with closing(open_store(tmp_path)) as store:
        full(store, A)
    with sqlite3.connect(tmp_path / DIRECTORY / "index.db") as db:
        db.execute("DROP TABLE doomed")
        (version,) = db.execute("PRAGMA user_version").fetchone()
    db.close()
    assert version == 3
    with closing(open_store(tmp_path)) as store:
        assert len(get(store, store.attach(A, SIZE))) == SIZE


def test_an_object_that_is_just_being_evicted_is_a_miss(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        store.release(full(store, A))
        (path,) = (tmp_path / DIRECTORY / "data").glob("*/*")
        descriptor = os.open(path, os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        stored = store.attach(A, SIZE)  # it would wait for the disk
        os.close(descriptor)
        assert _nothing_at_rest(stored.states)
