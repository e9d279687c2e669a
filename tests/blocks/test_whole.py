"""Whole versions at rest: what is missing is fetched, within a window, behind all readers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.store.block_store import BlockStore
from dmfs.blocks.whole.fetch import Whole, fetch_whole
from dmfs.blocks.whole.window import Window
from dmfs.errors import BadResponseError, DriveError, NoRoomError, UnreachableError
from dmfs.fetch.curl.progress import Progress
from dmfs.fetch.object_client import Content
from dmfs.model import File
from dmfs.spans import MIB, Span
from tests.support.caches import cache_over, settled, store_in
from tests.support.helpers import FakeSource, a_file, real, truth

SIZE = 21 * MIB + 777


class Sizes:
    """Counts what was asked: each is a signing call."""

    def __init__(self) -> None:
        self.calls = 0

    async def authoritative(self, file: File) -> int:
        self.calls += 1
        return file.size_bytes or 0


async def whole(cache: BlockCache, file: File, window: Window | None = None, **more: Any) -> Whole:
    sizes: Any = more.pop("sizes", None) or Sizes()
    return await fetch_whole(cache, sizes, file, window or Window(), **more)


@real
async def test_all_of_a_file_comes_to_rest_and_costs_nothing_again(store: BlockStore) -> None:
    source, sizes = FakeSource(latency_s=0, bytes_per_s=1e12), Sizes()
    file = a_file("large", SIZE)
    async with cache_over(source, store) as cache:
        got: list[int] = []
        assert await whole(cache, file, on_progress=got.append) == Whole(SIZE, SIZE)
        assert sum(got) == SIZE == sum(each.length for each in source.fills)
        before = len(source.fills)
        assert await whole(cache, file, sizes=sizes) == Whole(SIZE, 0)
        assert (sizes.calls, len(source.fills)) == (0, before)
    async with cache_over(FakeSource(), store) as cache:  # nothing of it is only in memory
        opened = await cache.open(file, SIZE)
        assert bytes(await cache.get(opened, Span(5 * MIB, SIZE))) == truth(5 * MIB, SIZE)


@real
async def test_only_what_is_missing_is_fetched(store: BlockStore) -> None:
    source = FakeSource(latency_s=0, bytes_per_s=1e12)
    file = a_file("large", SIZE)
    async with cache_over(source, store) as cache:
        opened = await cache.open(file, SIZE)
        await cache.get(opened, Span(9 * MIB, 9 * MIB + 10))
        await settled(cache)
        had = sum(each.length for each in source.fills)
        assert await whole(cache, file) == Whole(SIZE, SIZE - had)
        assert sum(each.length for each in source.fills) == SIZE


class Unsaved:
    """A source that watches how much was begun and is not at rest."""

    def __init__(self, store: BlockStore) -> None:
        self.store = store
        self.begun = self.most = 0

    async def fill(
        self, content: Content, span: Span, buffer: memoryview, progress: Progress
    ) -> None:
        self.begun += span.length
        self.most = max(self.most, self.begun - self.store.used_bytes())
        await trio.sleep(0.001)
        buffer[:] = truth(*span)
        progress.put(span.length)
        progress.wake()


@pytest.mark.parametrize("sizes", [[SIZE], [MIB] * 20, [100_000] * 60])
def test_no_more_than_a_part_is_on_its_way_at_any_moment(
    store: BlockStore, sizes: list[int]
) -> None:
    source, window = Unsaved(store), Window()

    async def body() -> None:
        async with cache_over(source, store) as cache, trio.open_nursery() as nursery:
            for number, size in enumerate(sizes):
                nursery.start_soon(whole, cache, a_file(f"f{number}", size), window)

    trio.run(body)
    assert source.begun == sum(sizes)
    assert 2 * MIB <= source.most <= window.size_bytes
    assert window.used_bytes == 0


@real
async def test_the_keeper_of_a_large_file_takes_little_memory(store: BlockStore) -> None:
    source = FakeSource(latency_s=0, bytes_per_s=1e12)
    async with cache_over(source, store, memory=64 * MIB) as cache:
        most = 0

        def look(_more: int) -> None:
            nonlocal most
            most = max(most, cache.memory_used)

        size = 96 * MIB  # more than there is: what is at rest makes room for the next
        assert (await whole(cache, a_file("large", size), on_progress=look)).new_bytes == size
        assert most <= 32 * MIB


@real
async def test_speculation_that_finds_no_connection_waits_for_one(store: BlockStore) -> None:
    source = FakeSource(latency_s=0.3, bytes_per_s=1e12)
    async with cache_over(source, store, connections=1) as cache, trio.open_nursery() as nursery:
        busy = await cache.open(a_file("read"), 1000)
        cache.start(busy, Span(0, 1000), Span(0, 0))
        await trio.sleep(0.05)  # a reader has the only connection
        nursery.start_soon(whole, cache, a_file("kept", MIB))
        await trio.sleep(0.1)
        assert source.fills == [Span(0, 1000)]
    assert source.fills == [Span(0, 1000), Span(0, MIB)]
    assert store.used_bytes() == MIB + 1000


@real
async def test_an_error_is_the_callers_and_what_came_stays(store: BlockStore) -> None:
    source = FakeSource(latency_s=0, bytes_per_s=1e12)
    source.failures = [(MIB, UnreachableError("gone"))]
    file = a_file("large", SIZE)
    async with cache_over(source, store) as cache:
        with pytest.raises(UnreachableError):
            await whole(cache, file)
        await settled(cache)
        had = store.used_bytes()
        assert had >= MIB
        assert await whole(cache, file) == Whole(SIZE, SIZE - had)


@real
async def test_bytes_that_are_not_what_the_sha1_says_are_no_whole(store: BlockStore) -> None:
    source = FakeSource(latency_s=0, bytes_per_s=1e12)
    right = hashlib.sha1(truth(0, SIZE), usedforsecurity=False).hexdigest()
    file = a_file("large", SIZE)
    async with cache_over(source, store, sha1_of=lambda _file: "0" * 40) as cache:
        for _ in range(2):  # asked again it is no better
            with pytest.raises(BadResponseError):
                await whole(cache, file, prove=True)
            assert store.held.at_rest([file.storage_id])[file.storage_id].at_rest_bytes == 0
        assert list(cache.extents()) == []  # nor is it read from memory
    async with cache_over(source, store, sha1_of=lambda _file: right) as cache:
        assert await whole(cache, file, prove=True) == Whole(SIZE, SIZE)
        assert store.held.at_rest([file.storage_id])[file.storage_id] == (SIZE, SIZE, True)


@pytest.mark.parametrize("size", [MIB, SIZE])
def test_a_file_is_read_for_its_sha1_once(
    store: BlockStore, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    verify = store.verify
    sha1 = hashlib.sha1(truth(0, size), usedforsecurity=False).hexdigest()

    def look(*arguments: Any) -> bool:
        looks.append("")
        return verify(*arguments)

    monkeypatch.setattr(store, "verify", look)
    file, sizes = a_file("f", size), Sizes()

    async def body() -> None:
        source = FakeSource(latency_s=0, bytes_per_s=1e12)
        for _ in range(2):
            async with cache_over(source, store, sha1_of=lambda _file: sha1) as cache:
                await whole(cache, file, prove=True, sizes=sizes)
                await settled(cache)

    trio.run(body)
    assert (len(looks), sizes.calls) == (1, 1)


@real
async def test_a_cache_without_room_says_so_before_all_was_fetched(tmp_path: Path) -> None:
    source = FakeSource(latency_s=0, bytes_per_s=1e12)
    with store_in(tmp_path, limit_bytes=9 * MIB) as store:
        async with cache_over(source, store) as cache:
            with pytest.raises(NoRoomError):
                await whole(cache, a_file("large", 64 * MIB))
    assert sum(each.length for each in source.fills) <= 24 * MIB


@real
async def test_without_a_disk_nothing_is_fetched() -> None:
    source = FakeSource()
    async with cache_over(source, None) as cache:
        with pytest.raises(DriveError, match="off"):
            await whole(cache, a_file("f", MIB))
    assert source.fills == []


def test_a_window_lets_in_what_fits_and_in_order() -> None:
    window, log = Window(10), SimpleNamespace(order=[])

    async def part(name: str, size: int) -> None:
        async with window.part(size):
            log.order.append(name)
            assert window.used_bytes <= max(10, size)
            await trio.sleep(0.01)

    async def body() -> None:
        async with trio.open_nursery() as nursery:
            for name, size in (("a", 6), ("b", 6), ("c", 1), ("huge", 99), ("d", 1)):
                nursery.start_soon(part, name, size)
                await trio.sleep(0)

    trio.run(body)
    assert sorted(log.order) == ["a", "b", "c", "d", "huge"]
    assert window.used_bytes == 0
