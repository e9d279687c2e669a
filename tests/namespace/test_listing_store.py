"""Listings on disk: hits, misses, locks, and no pickle is ever opened."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

import dmfs.system.byte_locks
from dmfs.model import FolderId
from dmfs.namespace.listing_codec import FORMAT_VERSION
from dmfs.namespace.listing_store import DAMAGED_MAX, THREADS, ListingStore
from tests.support.helpers import real
from tests.support.listings import PLACE, SUB, a_record


@real
async def test_what_is_foreign_or_damaged_is_a_miss(tmp_path) -> None:
    store = ListingStore(tmp_path, "me")
    await store.save(a_record())
    assert (await store.load(PLACE.identity)) is not None
    assert await ListingStore(tmp_path, "another sign-in").load(PLACE.identity) is None
    store.close()
    db = sqlite3.connect(tmp_path / f"listings/v{FORMAT_VERSION}" / "cache.db")
    db.execute("UPDATE Cache SET value = ?, mode = 1", (b"junk",))
    db.commit()
    assert await ListingStore(tmp_path, "me").load(PLACE.identity) is None

    class Bomb:
        def __reduce__(self) -> Any:
            return pytest.fail, ("a pickle was opened",)

    db.execute("UPDATE Cache SET value = ?, mode = 4", (pickle.dumps(Bomb()),))
    db.commit()
    db.close()
    assert await ListingStore(tmp_path, "me").load(PLACE.identity) is None


@real
async def test_what_another_version_wrote_is_discarded(tmp_path) -> None:
    old = tmp_path / "listings" / "v0"
    old.mkdir(parents=True)
    (old / "cache.db").write_bytes(b"whatever")
    store = ListingStore(tmp_path, "me")
    await store.save(a_record())
    store.close()
    assert not old.exists()


@real
async def test_listings_of_a_newer_dmfs_are_left_alone(tmp_path) -> None:
    newer = tmp_path / "listings" / f"v{FORMAT_VERSION + 1}"
    newer.mkdir(parents=True)
    (newer / "cache.db").write_bytes(b"whatever")
    store = ListingStore(tmp_path, "me")
    await store.save(a_record())
    assert await store.load(PLACE.identity) is not None
    store.close()
    assert (newer / "cache.db").read_bytes() == b"whatever"


@real
async def test_a_damaged_database_is_begun_anew(tmp_path) -> None:
    place = tmp_path / f"listings/v{FORMAT_VERSION}"
    place.mkdir(parents=True)
    (place / "cache.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    store = ListingStore(tmp_path, "me")
    await store.save(a_record())
    assert await store.load(PLACE.identity) is not None
    store.close()


@real
@pytest.mark.parametrize("near", [True, False], ids=["near", "far"])
async def test_a_lock_excludes_others(tmp_path, monkeypatch, near) -> None:
    if not near:
        monkeypatch.setattr(dmfs.system.byte_locks, "LOCAL", frozenset())
    one, two = ListingStore(tmp_path, "me"), ListingStore(tmp_path, "me")
    async with one.lock("a"):
        async with two.lock("b"):
            pass
        with trio.move_on_after(0.2) as scope:
            async with two.lock("a"):
                pytest.fail("two have it")
        assert scope.cancelled_caught
    async with two.lock("a"):
        pass
    one.close()
    two.close()


def test_one_damaged_row_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stopped all reads for some seconds, each time somebody asked for it."""

    @real
    async def body() -> None:
        store = ListingStore(tmp_path, "me")
        good, bad = a_record(), a_record(directory=SUB)
        await store.save(good)
        get = store._cache.get

        def sometimes(key: str) -> Any:
            if SUB.identity in key:
                raise sqlite3.DatabaseError("database disk image is malformed")
            return get(key)

        monkeypatch.setattr(store._cache, "get", sometimes)
        for _ in range(DAMAGED_MAX - 1):
            assert await store.load(SUB.identity) is None
            assert await store.load(PLACE.identity) == good
        assert await store.load(SUB.identity) is None  # it is everywhere: begin anew
        await store.save(bad)
        assert await store.load(SUB.identity) == bad
        store.close()

    body()


def open_files(directory: Path) -> list[str]:
    """What this process has open below there."""
    links = (each for each in Path("/proc/self/fd").iterdir() if each.is_symlink())
    return [path for link in links if (path := str(link.readlink())).startswith(f"{directory}/")]


@real
async def test_a_closed_store_leaves_no_thread_a_connection(tmp_path) -> None:
    """Python 3.13 complains of each one that is left to the collector."""
    store = ListingStore(tmp_path, "me")
    together = threading.Barrier(THREADS)

    def look() -> None:
        assert store._opened().get("x") is None
        together.wait(20)

    async with trio.open_nursery() as nursery:
        for _ in range(THREADS):
            nursery.start_soon(store._threads.run, look)
    opened = open_files(tmp_path / "listings")
    assert sum(each.endswith("/cache.db") for each in opened) == THREADS
    store.close()
    assert open_files(tmp_path / "listings") == []


@real
async def test_a_store_whose_directory_was_deleted_closes_what_it_had_there(tmp_path) -> None:
    store = ListingStore(tmp_path, "me")
    await store.save(a_record())
    shutil.rmtree(tmp_path / "listings")
    await store.save(a_record())
    assert await store.load(PLACE.identity) is not None
    assert not [each for each in open_files(tmp_path / "listings") if each.endswith(" (deleted)")]
    store.close()


@real
async def test_listings_of_what_is_pinned_outlive_the_limit_of_all_others(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("dmfs.namespace.listing_store.LIMIT_BYTES", 60_000)
    store = ListingStore(tmp_path, "me")
    pinned = a_record()
    await store.save(pinned)
    await store.keep([PLACE.identity, SUB.identity])
    for number in range(400):
        await store.save(replace(pinned, directory=replace(SUB, id=FolderId(f"other {number}"))))
    assert await store.load(replace(SUB, id=FolderId("other 0")).identity) is None, (
        "the limit is at work"
    )
    assert await store.load(PLACE.identity) is not None
    store.close()
    store = ListingStore(tmp_path, "me")
    assert await store.load(PLACE.identity) is not None
    assert await ListingStore(tmp_path, "another sign-in").load(PLACE.identity) is None
    await store.keep([])  # no longer pinned
    assert await store.load(PLACE.identity) is None
    store.close()
