"""The block cache: limits of memory and connections, for demand and for speculation."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.readahead import PART_BYTES
from dmfs.blocks.reader import Reader
from dmfs.fetch.connection_slots import DEMAND_RESERVE
from dmfs.fetch.curl.progress import Progress
from dmfs.fetch.object_client import Content
from dmfs.spans import BLOCK_BYTES, EMPTY, KIB, MIB, Span
from tests.support.caches import cache_over, check_memory, opened
from tests.support.helpers import FakeSource, real, truth, virtual


@virtual
async def test_connections_are_bounded_in_all_and_per_file_and_demand_has_a_reserve() -> None:
    source = FakeSource(latency_s=1)
    total, per_file = 8, 3
    async with cache_over(source, connections=total, per_file=per_file, memory=512 * MIB) as cache:
        one = await opened(cache, name="one")
        two = await opened(cache, name="two")
        for file in (one, two):
            accepted = cache.start(file, EMPTY, Span(0, 8 * PART_BYTES))
            assert accepted.stop <= per_file * PART_BYTES
        await trio.sleep(0.5)
        assert source.active["one"] == per_file
        assert source.active.total() <= total - DEMAND_RESERVE
        # Demand passes by what is fetched ahead, up to the total.
        for number in range(20):
            start = 50 * MIB + number * BLOCK_BYTES
            cache.start(two, Span(start, start + 1), EMPTY)
        await trio.sleep(0.2)
        assert source.active.total() == total
        await cache.get(two, Span(50 * MIB, 50 * MIB + 20 * BLOCK_BYTES))
    assert source.peak_total == total


@virtual
async def test_speculation_is_dropped_under_pressure_and_demand_waits() -> None:
    source = FakeSource(bytes_per_s=1e6)
    async with cache_over(source, memory=16 * MIB) as cache:
        file = await opened(cache)
        source.at_step = lambda: check_memory(cache, 16 * MIB)
        accepted = cache.start(file, EMPTY, Span(0, 40 * MIB))
        assert accepted == (0, 16 * MIB)  # four parts, then nothing is spare
        assert cache.start(file, EMPTY, Span(40 * MIB, 41 * MIB)) == EMPTY
        began = trio.current_time()
        assert bytes(await cache.get(file, Span(41 * MIB, 41 * MIB + 5))) == truth(
            41 * MIB, 41 * MIB + 5
        )
        assert trio.current_time() > began + 3  # it had to wait for a run to end


@virtual
async def test_speculation_evicts_only_what_was_read() -> None:
    source = FakeSource()
    async with cache_over(source, memory=16 * MIB) as cache:
        file = await opened(cache)
        cache.start(file, EMPTY, Span(0, 16 * MIB))
        await trio.sleep(60)
        assert cache.start(file, EMPTY, Span(16 * MIB, 24 * MIB)) == EMPTY
        await cache.get(file, Span(0, 8 * MIB))  # the first run is used up
        assert cache.start(file, EMPTY, Span(16 * MIB, 32 * MIB)) == (16 * MIB, 24 * MIB)
        await trio.sleep(60)
        assert cache.ready(file, Span(0, 10)) is None
        assert cache.ready(file, Span(8 * MIB, 8 * MIB + 10)) is not None


@virtual
async def test_demand_evicts_the_least_recently_used() -> None:
    source = FakeSource()
    budget = 16 * MIB
    async with cache_over(source, memory=budget) as cache:
        file = await opened(cache)
        for start in (0, 4, 8, 12):
            await cache.get(file, Span(start * MIB, (start + 4) * MIB))
        assert cache.ready(file, Span(0, 10)) is not None  # used: the second run is now the oldest
        await cache.get(file, Span(20 * MIB, 24 * MIB))
        assert cache.ready(file, Span(0, 10)) is not None
        assert cache.ready(file, Span(4 * MIB, 4 * MIB + 10)) is None
        check_memory(cache, budget)


@virtual
async def test_demand_takes_what_was_consumed_before_what_a_stream_is_to_read_next() -> None:
    """A stream whose next part was taken asked for its blocks one by one, and each took another
    part of it, while what other readers had consumed stayed."""
    source = FakeSource()
    async with cache_over(source, memory=16 * MIB) as cache:
        stream, other = await opened(cache, name="stream"), await opened(cache, name="other")
        cache.start(stream, EMPTY, Span(0, 8 * MIB))
        await trio.sleep(60)
        for start in range(0, 16 * MIB, 4 * MIB):  # all of it used later than the stream's parts
            await cache.get(other, Span(start, start + 4 * MIB))
        for start in range(0, 8 * MIB, BLOCK_BYTES):
            assert cache.ready(stream, Span(start, start + BLOCK_BYTES)) is not None


@virtual
async def test_demand_takes_of_what_is_unread_the_part_that_its_reader_needs_last() -> None:
    source = FakeSource()
    async with cache_over(source, memory=16 * MIB) as cache:
        idle, stream = await opened(cache, name="idle"), await opened(cache, name="stream")
        cache.start(idle, Span(0, 4 * MIB), EMPTY)
        await trio.sleep(60)
        for start in range(0, 12 * MIB, 4 * MIB):  # as they come that are fetched ahead
            cache.start(stream, Span(start, start + 4 * MIB), EMPTY)
            await trio.sleep(60)
        assert cache.ready(stream, Span(0, BLOCK_BYTES)) is not None  # the others are older now

        def there() -> list[bool]:
            return [number * MIB // BLOCK_BYTES in stream.extents for number in (0, 4, 8)]

        await cache.get(idle, Span(20 * MIB, 20 * MIB + 1))
        assert there() == [True, True, True]
        assert 0 not in idle.extents
        await cache.get(idle, Span(24 * MIB, 28 * MIB))
        assert there() == [True, True, False]
        await cache.get(idle, Span(32 * MIB, 32 * MIB + 5))  # (what was read goes first)
        assert there() == [True, True, False]


@virtual
async def test_a_stream_that_lost_what_lay_ahead_gets_it_again_in_whole_parts() -> None:
    """Planned as if it were there still, it came block by block: 32 round trips a part."""
    source = FakeSource(latency_s=0.03)
    async with cache_over(source, memory=64 * MIB) as cache:
        file = await opened(cache, 100 * MIB)
        reader = Reader(file.file, file, cache, 32 * MIB)
        for offset in range(0, 40 * MIB, BLOCK_BYTES):
            await reader.read(offset, BLOCK_BYTES)
        ahead = [extent for extent in set(file.extents.values()) if not extent.consumed]
        assert sum(extent.span.length for extent in ahead) >= 16 * MIB
        await trio.sleep(60)
        cache.drop_memory()
        before = len(source.fills)
        for offset in range(40 * MIB, 80 * MIB, BLOCK_BYTES):
            await reader.read(offset, BLOCK_BYTES)
        assert len(source.fills) - before <= 24


@virtual
async def test_streams_that_fill_the_memory_fetch_nothing_twice() -> None:
    source = FakeSource(latency_s=0.03, bytes_per_s=20e6)
    size = 64 * MIB

    async with (
        cache_over(source, memory=96 * MIB, connections=64, per_file=16) as cache,
        trio.open_nursery() as nursery,
    ):

        async def read(number: int) -> None:
            file = await opened(cache, size, f"stream {number}")
            reader = Reader(file.file, file, cache, 32 * MIB)
            for offset in range(0, size, BLOCK_BYTES):
                await reader.read(offset, BLOCK_BYTES)
                if offset % (16 * MIB) == 2 * number * MIB:
                    await trio.sleep(1)  # what was fetched ahead for it fills the memory

        for number in range(8):
            nursery.start_soon(read, number)
    assert sum(span.length for span in source.fills) == 8 * size


async def streamed_mb_per_s(cache: BlockCache, size: int) -> float:
    file = await opened(cache, size, "stream")
    reader = Reader(file.file, file, cache, 64 * MIB)
    began = trio.current_time()
    for offset in range(0, size, BLOCK_BYTES):
        await reader.read(offset, BLOCK_BYTES)
    return size / 1e6 / (trio.current_time() - began)


@pytest.mark.parametrize(("limit", "least"), [(8, 40), (12, 55), (16, 70), (64, 130)])
@virtual
async def test_a_stream_keeps_its_speed_in_a_small_memory(limit: int, least: float) -> None:
    """What is left to demand is nothing where it would cost a part that is under way."""
    source = FakeSource(latency_s=0.1, bytes_per_s=50e6)
    async with cache_over(source, memory=limit * MIB, connections=64, per_file=16) as cache:
        assert await streamed_mb_per_s(cache, 128 * MIB) >= least


async def heads_of_files_that_were_closed(cache: BlockCache) -> None:
    for number in range(400):
        file = await opened(cache, 60 * MIB, f"head {number}")
        reader = Reader(file.file, file, cache, 64 * MIB)
        for offset in range(0, 384 * KIB, BLOCK_BYTES):
            await reader.read(offset, BLOCK_BYTES)
        reader.close()


async def pieces_of_a_file_that_is_open(cache: BlockCache) -> None:
    file = await opened(cache, 4000 * MIB, "scattered")
    reader = Reader(file.file, file, cache, 64 * MIB)
    for number in range(700):
        await reader.read(number * 7919 % 30_000 * BLOCK_BYTES + 5000, 4 * KIB)


@pytest.mark.parametrize(
    "before", [None, heads_of_files_that_were_closed, pieces_of_a_file_that_is_open]
)
@virtual
async def test_a_stream_takes_the_memory_of_what_nobody_will_read(before: Any) -> None:
    """All that it was to read ahead was refused: 41 MB/s."""
    source = FakeSource(latency_s=0.1, bytes_per_s=50e6)
    async with cache_over(source, memory=64 * MIB, connections=64, per_file=16) as cache:
        if before is not None:
            await before(cache)
            assert cache.memory_used >= 48 * MIB
        assert await streamed_mb_per_s(cache, 256 * MIB) >= 180


class OneLink(FakeSource):
    """All ranges share it: what more of them are asked for only waits."""

    def __init__(self) -> None:
        super().__init__(latency_s=0.01, bytes_per_s=12e6)
        self._link = trio.Lock()

    async def fill(
        self, content: Content, span: Span, buffer: memoryview, progress: Progress
    ) -> None:
        async with self._link:
            await super().fill(content, span, buffer, progress)


@pytest.mark.parametrize("full", [True, False])
@virtual
async def test_a_link_that_is_full_is_not_asked_for_more(full: bool) -> None:
    source = OneLink() if full else FakeSource(latency_s=0.3, bytes_per_s=12e6)
    async with cache_over(source, memory=192 * MIB, connections=32, per_file=28) as cache:
        file = await opened(cache, 400 * MIB)
        reader = Reader(file.file, file, cache, 128 * MIB)
        ahead = 0
        for offset in range(0, 160 * MIB, 512 * KIB):
            await reader.read(offset, 512 * KIB)
            asked = sum(run.span.length for run in set(file.extents.values()) if not run.consumed)
            ahead = max(ahead, asked)
    if full:
        assert ahead <= 40 * MIB
    else:  # more of them do bring more
        assert ahead >= 96 * MIB


@real
async def test_without_a_disk_a_stream_stays_in_memory_as_long_as_there_is_room() -> None:
    size = 8 * PART_BYTES
    source = FakeSource(latency_s=0, bytes_per_s=1e12)
    async with cache_over(source, None, memory=64 * MIB) as cache:
        file = await opened(cache, size)
        for _ in range(2):
            for start in range(0, size, PART_BYTES):
                await cache.get(file, Span(start, start + PART_BYTES))
        assert sum(span.length for span in source.fills) == size
        assert cache.memory_used == size
