"""The disk tier: what other processes put there is used, what the sha1 proves wrong is dropped."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

import dmfs.blocks.disk_tier
from dmfs.blocks.cache import BlockCache
from dmfs.blocks.extents import CachedObject, Stage
from dmfs.blocks.store.block_store import BlockStore
from dmfs.blocks.store.stored_object import ABSENT, StoredObject
from dmfs.fetch.generation import Generation
from dmfs.model import StorageId
from dmfs.spans import BLOCK_BYTES, EMPTY, MIB, SMALL_FILE_BYTES, Span
from tests.support.helpers import FakeSource, a_file, real, truth

SIZE = SMALL_FILE_BYTES + MIB + 77


@asynccontextmanager
async def caches(
    directory: Path, sources: list[FakeSource], sha1: str = ""
) -> AsyncIterator[list[BlockCache]]:
    """Caches of as many processes (each has a store and a connection of its own)."""
    stores = [BlockStore(directory, limit_bytes=1 << 30, free_percent=0) for _ in sources]
    async with trio.open_nursery() as nursery:
        yield [
            BlockCache(
                source, store, nursery, memory_bytes=64 * MIB, connections=8,
                connections_per_file=8, timeout_s=60, sha1_of=lambda _file: sha1,
            )
            for source, store in zip(sources, stores, strict=True)
        ]  # fmt: skip
        nursery.cancel_scope.cancel()
    for store in stores:
        store.close()


async def settled(file: CachedObject) -> None:
    while not all(run.stage is Stage.CLEAN for run in file.extents.values()):
        await trio.sleep(0.001)


async def whole(cache: BlockCache, file: CachedObject) -> bytes:
    data = bytes(await cache.get(file, Span(0, SIZE)))
    await settled(file)
    return data


def quick() -> FakeSource:
    return FakeSource(latency_s=0, bytes_per_s=1e12)


@real
async def test_what_another_process_fetched_meanwhile_is_read_from_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dmfs.blocks.disk_tier, "LOOK_AGAIN_S", 0.0)
    one, two = quick(), quick()
    async with caches(tmp_path, [one, two]) as (first, second):
        mine = await second.open(a_file("f", SIZE), SIZE)  # before there is anything
        assert await whole(first, await first.open(a_file("f", SIZE), SIZE)) == truth(0, SIZE)
        assert await whole(second, mine) == truth(0, SIZE)
    assert one.fills
    assert two.fills == []


@real
async def test_speculation_for_what_another_process_has_gives_its_connection_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dmfs.blocks.disk_tier, "LOOK_AGAIN_S", 0.0)
    one, two = quick(), quick()
    async with caches(tmp_path, [one, two]) as (first, second):
        mine = await second.open(a_file("f", SIZE), SIZE)
        await whole(first, await first.open(a_file("f", SIZE), SIZE))
        assert second.start(mine, EMPTY, Span(0, SIZE)) == Span(0, SIZE)
        await settled(mine)
        assert second._connections.in_use == 0
        assert await whole(second, mine) == truth(0, SIZE)
    assert two.fills == []


@real
async def test_a_complete_file_is_checked_once_against_the_sha1(tmp_path: Path) -> None:
    sha1 = hashlib.sha1(truth(0, SIZE)).hexdigest()
    for _ in range(2):
        async with caches(tmp_path, [quick()], sha1) as (cache,):
            file = await cache.open(a_file("f", SIZE), SIZE)
            assert await whole(cache, file) == truth(0, SIZE)
            assert file.stored is not None
            while not file.stored.checked:
                await trio.sleep(0.001)
            assert file.stored.complete()


@real
async def test_a_complete_file_that_the_sha1_proves_wrong_is_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = quick()
    async with caches(tmp_path, [source], "0" * 40) as (cache,):
        file = await cache.open(a_file("f", SIZE), SIZE)
        await whole(cache, file)
        assert file.stored is not None
        while file.extents:
            await trio.sleep(0.001)
        assert set(file.stored.states) == {ABSENT}
        fills = len(source.fills)
        await cache.get(file, Span(0, BLOCK_BYTES))
        assert len(source.fills) == fills + 1, "asked for again"
    assert "does not match the service's sha1" in caplog.text


@real
async def test_what_was_looked_up_and_is_absent_costs_no_look_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = quick()
    async with caches(tmp_path, [source]) as (cache,):
        await whole(cache, await cache.open(a_file("there", SIZE), SIZE))
    async with caches(tmp_path, [source]) as (cache,):
        looks = counted_looks(cache, monkeypatch)
        await cache.look_up([a_file(name).storage_id for name in ("there", "new", "newer")])
        for name in ("new", "newer"):
            opened = await cache.open(a_file(name, SIZE), SIZE)
            assert looks == []
            fills = len(source.fills)
            assert await whole(cache, opened) == truth(0, SIZE)
            assert opened.stored is not None
            assert opened.stored.complete(), "and it is at rest as any other"
            assert len(source.fills) > fills
        fills = len(source.fills)
        assert await whole(cache, await cache.open(a_file("there", SIZE), SIZE)) == truth(0, SIZE)
        assert (len(looks), len(source.fills)) == (1, fills)


@real
async def test_what_was_looked_up_long_ago_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dmfs.blocks.disk_tier, "LOOK_AGAIN_S", 0.0)
    async with caches(tmp_path, [quick()]) as (cache,):
        looks = counted_looks(cache, monkeypatch)
        await cache.look_up([a_file("late").storage_id])
        await cache.open(a_file("late", SIZE), SIZE)
        assert len(looks) == 1


def counted_looks(cache: BlockCache, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The objects that the cache looks up on disk one by one from now on."""
    store = cache._disk._store
    assert store is not None
    looks: list[str] = []
    attach = store.attach

    def counted(storage_id: StorageId, size_bytes: int, generation: Generation) -> StoredObject:
        looks.append(storage_id)
        return attach(storage_id, size_bytes, generation)

    monkeypatch.setattr(store, "attach", counted)
    return looks
