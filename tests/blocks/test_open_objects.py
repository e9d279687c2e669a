"""Objects of the block cache: opened and closed by many at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import trio

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.extents import CachedObject
from dmfs.blocks.open_objects import IDLE_OBJECTS
from dmfs.blocks.store.block_store import BlockStore
from dmfs.model import File, StorageId
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


class Steps(Mapping[StorageId, CachedObject]):
    """A mapping that counts how many of its objects were looked at."""

    def __init__(self, inner: MutableMapping[StorageId, CachedObject]) -> None:
        self._inner = inner
        self.seen = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __getitem__(self, key: StorageId) -> CachedObject:
        self.seen += 1
        return self._inner[key]

    def __setitem__(self, key: StorageId, value: CachedObject) -> None:
        self._inner[key] = value

    def __delitem__(self, key: StorageId) -> None:
        del self._inner[key]

    def __len__(self) -> int:
        return len(self._inner)

    def __iter__(self) -> Iterator[StorageId]:
        for key in self._inner:
            self.seen += 1
            yield key

    def get(self, key: StorageId, default: Any = None) -> Any:
        self.seen += 1
        return self._inner.get(key, default)

    def values(self) -> Any:
        self.seen += len(self._inner)
        return self._inner.values()


@real
async def test_an_open_looks_at_no_other_open_file() -> None:
    """With 5000 files open, half of the time of the next open went into a look at each of them."""
    async with cache_over(FakeSource()) as cache:
        for number in range(300):
            await cache.open(a_file(f"open {number}"), 1000)
        objects = cache._objects
        objects._known = steps = Steps(objects._known)  # type: ignore[assignment]
        for number in range(10):
            cache.close(await cache.open(a_file(f"one more {number}"), 1000))
        assert steps.seen < 10 * 10


@real
async def test_objects_that_were_replaced_while_open_go_with_their_last_user() -> None:
    """One more that is replaced is no reason to look at those before."""
    async with cache_over(FakeSource()) as cache:
        former = [await cache.open(a_file(f"f {number}"), 1000) for number in range(20)]
        for number in range(20):
            await cache.open(a_file(f"f {number}"), 2000)  # the service says: another size
        assert len(cache._objects) == 40
        cache.close(former[0])
        cache.close(former[1])
        await cache.open(a_file("another"), 1000)
        assert len(cache._objects) == 40 + 1 - 2
        assert former[0] not in list(cache._objects)
        assert former[2] in list(cache._objects)
