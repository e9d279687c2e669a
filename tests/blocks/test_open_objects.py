"""Objects of the block cache: opened and closed by many at once."""

from __future__ import annotations

import trio

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.extents import CachedObject
from dmfs.blocks.open_objects import IDLE_OBJECTS
from dmfs.blocks.store.block_store import BlockStore
from dmfs.model import File
from tests.support.caches import cache_over
from tests.support.helpers import FakeSource, a_file, real


async def open_and_close(cache: BlockCache, files: list[File]) -> None:
    for known in [await cache.open(file, 1000) for file in files]:
        cache.close(known)


@real
async def test_closed_objects_are_let_go_by_many_openers_at_once(store: BlockStore) -> None:
    """Two opens that trim at the same time must not fall over each other."""
    async with cache_over(FakeSource(), store) as cache:
        count = IDLE_OBJECTS * 2
        await open_and_close(cache, [a_file(f"old {n}") for n in range(count)])
        held = []

        async def one(number: int) -> None:
            held.append(await cache.open(a_file(f"new {number}"), 1000))

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(one, number)
        with trio.fail_after(5):
            while len(store.attached) > IDLE_OBJECTS + 8:
                await trio.sleep(0.001)
        assert all(known.stored is not None for known in held)
        assert all(known.stored in store.attached for known in held)


@real
async def test_an_object_reopened_while_others_are_let_go_stays_open(store: BlockStore) -> None:
    async with cache_over(FakeSource(latency_s=0, bytes_per_s=1e12), store) as cache:
        old = [a_file(f"old {n}") for n in range(IDLE_OBJECTS + 40)]
        known = [await cache.open(file, 1000) for file in old]
        for each in known:
            cache.close(each)
        again: list[CachedObject] = []

        async def reopen() -> None:
            again.extend([await cache.open(file, 1000) for file in old[:40]])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cache.open, a_file("new"), 1000)
            await trio.sleep(0)
            nursery.start_soon(reopen)
        await trio.sleep(0.05)
        for each in again:
            assert cache._objects._known.get(each.file.storage_id) is each
            assert each.stored is not None
            assert each.stored in store.attached


@real
async def test_an_open_that_is_cancelled_leaves_nothing_held(store: BlockStore) -> None:
    async with cache_over(FakeSource(), store) as cache:
        await open_and_close(cache, [a_file(f"old {n}") for n in range(IDLE_OBJECTS + 5)])
        while len(store.attached) > IDLE_OBJECTS + 5:
            await trio.sleep(0.001)
        for number in range(10):
            with trio.move_on_after(0 if number % 2 else 0.0005):
                known = await cache.open(a_file(f"cancelled {number}"), 1000)
                cache.close(known)
        await trio.sleep(0.05)
        assert sum(known.users for known in cache._objects) == 0
        await open_and_close(cache, [a_file("last")])
        await trio.sleep(0.05)
        assert len(store.attached) == len(cache._objects) <= IDLE_OBJECTS + 1
