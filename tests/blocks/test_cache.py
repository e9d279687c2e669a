"""The block cache over a made-up source in virtual time: reads, failures, cancellation."""

from __future__ import annotations

import random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from dmfs.blocks.readahead import PART_BYTES
from dmfs.blocks.reader import Reader
from dmfs.errors import DeadlineError, DriveError, GoneError, UnreachableError
from dmfs.spans import BLOCK_BYTES, EMPTY, MIB, Span
from tests.support.caches import SIZE, cache_over, check_memory, opened
from tests.support.helpers import FakeSource, in_virtual_time, truth, virtual


@virtual
async def test_a_read_gives_the_bytes_and_a_second_one_costs_nothing() -> None:
    source = FakeSource()
    async with cache_over(source) as cache:
        file = await opened(cache)
        span = Span(300_000, 900_000)
        assert cache.ready(file, span) is None
        assert bytes(await cache.get(file, span)) == truth(*span)
        fills = len(source.fills)
        assert bytes(cache.ready(file, span) or b"") == truth(*span)
        assert bytes(await cache.get(file, span)) == truth(*span)
        assert len(source.fills) == fills == 1
        assert source.fills[0] == (2 * BLOCK_BYTES, 7 * BLOCK_BYTES)


@virtual
async def test_fifty_readers_of_one_block_cost_one_fetch() -> None:
    source = FakeSource()
    async with cache_over(source) as cache, trio.open_nursery() as nursery:
        file = await opened(cache)

        async def read(offset: int) -> None:
            got = await cache.get(file, Span(offset, offset + 1000))
            assert bytes(got) == truth(offset, offset + 1000)

        for number in range(50):
            nursery.start_soon(read, number * 100)
    assert source.fills == [(0, BLOCK_BYTES)]


@virtual
async def test_a_reader_gets_its_bytes_as_they_arrive_not_when_the_run_ends() -> None:
    source = FakeSource(bytes_per_s=1e6)
    async with cache_over(source) as cache:
        file = await opened(cache)
        began = trio.current_time()
        cache.start(file, Span(0, BLOCK_BYTES), Span(0, PART_BYTES))
        await cache.get(file, Span(0, BLOCK_BYTES))
        assert source.fills == [(0, PART_BYTES)]
        assert trio.current_time() - began < 0.5  # the whole run takes 4 s


@virtual
async def test_a_failure_reaches_all_waiters_each_with_its_own_and_is_forgotten() -> None:
    source = FakeSource()
    source.failures = [(0, GoneError("gone for now"))]
    raised: list[DriveError] = []
    async with cache_over(source) as cache:
        file = await opened(cache)

        async def read() -> None:
            with pytest.raises(GoneError) as caught:
                await cache.get(file, Span(0, 10))
            raised.append(caught.value)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(read)
        assert len({id(error) for error in raised}) == 5
        assert not file.extents
        assert cache.memory_used == 0
        assert bytes(await cache.get(file, Span(0, 10))) == truth(0, 10)
    assert len(source.fills) == 2


@virtual
async def test_what_arrived_before_a_failure_is_given_to_who_needs_no_more() -> None:
    source = FakeSource(bytes_per_s=1e6)
    source.failures = [(3 * BLOCK_BYTES, UnreachableError("broke"))]
    async with cache_over(source) as cache:
        file = await opened(cache)
        results: dict[str, object] = {}

        async def read(name: str, span: Span) -> None:
            try:
                results[name] = bytes(await cache.get(file, span))
            except DriveError as error:
                results[name] = error.message

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, "all", Span(0, 8 * BLOCK_BYTES))
            await trio.sleep(0.01)
            nursery.start_soon(read, "early", Span(BLOCK_BYTES, 2 * BLOCK_BYTES))
        assert results["early"] == truth(BLOCK_BYTES, 2 * BLOCK_BYTES)
        assert results["all"] == "broke"


@virtual
async def test_a_failure_ahead_is_not_the_readers_own() -> None:
    """What was fetched ahead may fail unasked; the demand asks for itself, once."""
    source = FakeSource()
    source.failures = [(0, UnreachableError("speculation failed"))]
    async with cache_over(source) as cache:
        file = await opened(cache)
        accepted = cache.start(file, EMPTY, Span(0, MIB))
        assert accepted == (0, MIB)
        assert bytes(await cache.get(file, Span(0, 100))) == truth(0, 100)
        source.failures = [(0, UnreachableError("one"))] * 2
        cache.start(file, EMPTY, Span(2 * MIB, 3 * MIB))
        with pytest.raises(UnreachableError):
            await cache.get(file, Span(2 * MIB, 2 * MIB + 1))


@virtual
async def test_the_bytes_of_a_cancelled_reader_still_land() -> None:
    source = FakeSource(latency_s=5)
    async with cache_over(source) as cache:
        file = await opened(cache)
        with trio.move_on_after(1) as scope:
            await cache.get(file, Span(0, 1000))
        assert scope.cancelled_caught
        await trio.sleep(10)
        assert bytes(cache.ready(file, Span(0, 1000)) or b"") == truth(0, 1000)
    assert len(source.fills) == 1


@virtual
async def test_a_run_that_never_ends_is_ended_by_its_deadline() -> None:
    source = FakeSource(latency_s=1e6)
    async with cache_over(source, timeout_s=7) as cache:
        file = await opened(cache)
        began = trio.current_time()
        with pytest.raises(DeadlineError):
            await cache.get(file, Span(0, 1))
        assert trio.current_time() - began == pytest.approx(7)
        assert source.active.total() == 0
        assert cache.memory_used == 0


@virtual
async def test_no_get_is_longer_than_a_part_even_reading_backwards_within_a_block() -> None:
    """A read that shares its block with what is fetched ahead (backwards) of it."""
    source = FakeSource()
    async with cache_over(source, memory=16 * MIB) as cache:
        file = await opened(cache)
        start = 40 * MIB + 8192
        demand, ahead = Span(start, start + 4096), Span(start - 30 * MIB, start)
        cache.start(file, demand, ahead)
        began = trio.current_time()
        assert bytes(await cache.get(file, demand)) == truth(*demand)
        assert trio.current_time() - began < 2
        assert max(span.length for span in source.fills) <= PART_BYTES


@virtual
async def test_a_small_file_is_one_get_wherever_the_first_read_is() -> None:
    source = FakeSource()
    async with cache_over(source) as cache:
        size = 5 * MIB + 77
        file = await opened(cache, size)
        reader = Reader(file.file, file, cache, 64 * MIB)
        data, hit = await reader.read(3 * MIB, 4096)
        assert not hit
        assert bytes(data) == truth(3 * MIB, 3 * MIB + 4096)
        data, _ = await reader.read(0, size + 10)
        assert bytes(data) == truth(0, size)
    assert source.fills == [(0, size)]


@virtual
async def test_a_backward_reader_unaligned_gets_right_bytes_in_bounded_gets() -> None:
    source = FakeSource(latency_s=0.02, bytes_per_s=50e6)
    async with cache_over(source, memory=32 * MIB) as cache:
        file = await opened(cache)
        reader = Reader(file.file, file, cache, 64 * MIB)
        source.at_step = lambda: check_memory(cache, 32 * MIB)
        position = SIZE
        step = 60_000
        while position > SIZE - 24 * MIB:
            start = position - step
            data, _ = await reader.read(start, step)
            assert bytes(data) == truth(start, position)
            position = start
    assert max(span.length for span in source.fills) <= PART_BYTES
    total = sum(span.length for span in source.fills)
    assert total < 24 * MIB * 4
    assert len(source.fills) < 60


@virtual
async def test_a_sequential_reader_fetches_each_byte_once() -> None:
    source = FakeSource(latency_s=0.05, bytes_per_s=20e6)
    budget = 32 * MIB
    async with cache_over(source, memory=budget) as cache:
        file = await opened(cache)
        source.at_step = lambda: check_memory(cache, budget)
        reader = Reader(file.file, file, cache, 128 * MIB)
        position = 0
        while position < SIZE:
            data, _ = await reader.read(position, 131072)
            assert bytes(data) == truth(position, position + len(data))
            position += len(data)
    assert sum(span.length for span in source.fills) == SIZE
    assert source.peak_file > 1  # in parallel, ahead of the reader


@virtual
async def test_an_empty_file_costs_nothing_and_reads_beyond_the_end_are_empty() -> None:
    source = FakeSource()
    async with cache_over(source) as cache:
        empty = await opened(cache, 0)
        assert await Reader(empty.file, empty, cache, MIB).read(0, 4096) == (b"", True)
        file = await opened(cache, 100, "other")
        reader = Reader(file.file, file, cache, MIB)
        assert await reader.read(100, 4096) == (b"", True)
        assert await reader.read(5000, 1) == (b"", True)
        assert not source.fills
        data, _ = await reader.read(90, 4096)
        assert bytes(data) == truth(90, 100)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), readers=st.integers(1, 4), faults=st.booleans())
def test_any_reads_with_any_faults_give_the_bytes_or_the_fault(
    seed: int, readers: int, faults: bool
) -> None:
    """Random readers, random cancellations and faults: never a wrong byte, memory within bounds."""
    dice = random.Random(seed)
    size = dice.choice([0, 1, BLOCK_BYTES, 3 * MIB + 5, 20 * MIB + 333, SIZE])
    budget = dice.choice([16, 24, 64]) * MIB

    async def body() -> None:
        source = FakeSource(latency_s=dice.random() / 10, bytes_per_s=dice.choice([1e6, 1e8]))
        async with cache_over(source, memory=budget, connections=6, per_file=4) as cache:
            source.at_step = lambda: check_memory(cache, budget)
            file = await opened(cache, size)

            async def one(number: int) -> None:
                reader = Reader(file.file, file, cache, dice.choice([1, 64]) * MIB)
                position = dice.randrange(size + 1)
                for _ in range(15):
                    if faults and dice.random() < 0.2:
                        source.failures.append(
                            (dice.randrange(3 * MIB), UnreachableError("made to fail"))
                        )
                    length = dice.choice([1, 4096, 131072, 1_000_000])
                    with trio.move_on_after(dice.choice([0.01, 1000])):
                        try:
                            data, _ = await reader.read(position, length)
                        except UnreachableError:
                            continue
                        assert bytes(data) == truth(position, min(size, position + length))
                    if dice.random() < 0.3:
                        position = dice.randrange(size + 1)
                    else:
                        position = max(0, position + dice.choice([1, 1, 1, -1]) * length)

            async with trio.open_nursery() as nursery:
                for number in range(readers):
                    nursery.start_soon(one, number)
            await trio.sleep(1000)
            check_memory(cache, budget)
            assert cache._connections.in_use == 0
            assert cache._connections._used.total() == 0
            assert all(run.landed for run in file.extents.values())

    in_virtual_time(body)


@virtual
async def test_reads_are_counted_by_the_tier_that_had_the_bytes() -> None:
    async with cache_over(FakeSource()) as cache:
        file = await opened(cache)
        for _ in range(3):
            if cache.ready(file, Span(0, 1000)) is None:
                await cache.get(file, Span(0, 1000))
        seen = cache.gauges()
    assert (seen["blocks.misses"], seen["blocks.network_bytes"]) == (1, 1000)
    assert (seen["blocks.memory_hits"], seen["blocks.memory_bytes"]) == (2, 2000)
    assert (seen["blocks.disk_hits"], seen["blocks.page_cache_hits"]) == (0, 0)
