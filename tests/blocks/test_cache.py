"""The block cache over a made-up source in virtual time, and over a real store in real time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from dmfs.blocks.cache import CONSUMED_PARTS, BlockCache
from dmfs.blocks.extents import CachedObject, Stage
from dmfs.blocks.open_objects import IDLE_OBJECTS
from dmfs.blocks.readahead import DISK_PART_BYTES, DISK_WINDOW_BYTES, PART_BYTES
from dmfs.blocks.reader import Reader
from dmfs.blocks.store.block_store import BlockStore
from dmfs.blocks.store.stored_object import StoredObject
from dmfs.errors import DeadlineError, DriveError, GoneError, UnreachableError
from dmfs.fetch.connection_slots import DEMAND_RESERVE
from dmfs.fetch.curl.progress import Progress
from dmfs.fetch.object_client import Content
from dmfs.model import File
from dmfs.spans import BLOCK_BYTES, EMPTY, KIB, MIB, Span, block_count
from tests.support.caches import cache_over
from tests.support.helpers import FakeSource, a_file, in_virtual_time, real, truth, virtual

SIZE = 64 * MIB + 12_345


def accounted(cache: BlockCache) -> int:
    return sum(len(run.buffer or b"") for run in cache.extents())


async def opened(cache: BlockCache, size: int = SIZE, name: str = "f") -> CachedObject:
    return await cache.open(a_file(name, size), size)


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


def check_memory(cache: BlockCache, budget: int) -> None:
    assert cache.memory_used == accounted(cache)
    assert cache.memory_used <= budget


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


# With a disk: real time


@pytest.fixture
def store(tmp_path: Path) -> BlockStore:
    return BlockStore(tmp_path, limit_bytes=1 << 30, free_percent=0)


class BrokenStore:
    """Stands in for a store whose disk fails at whatever is named."""

    def __init__(self, store: BlockStore, broken: set[str], error: Exception) -> None:
        self._store, self._broken, self._error = store, broken, error

    def __getattr__(self, verb: str) -> object:
        if verb not in self._broken:
            return getattr(self._store, verb)

        def fail(*arguments: object) -> None:
            raise self._error

        return fail


@real
async def test_what_was_read_is_on_disk_for_the_next_mount(
    store: BlockStore, tmp_path: Path
) -> None:
    source = FakeSource(latency_s=0, bytes_per_s=1e12)
    size = 5 * MIB + 99
    async with cache_over(source, store) as cache:
        file = await opened(cache, size)
        assert bytes(await cache.get(file, Span(0, size))) == truth(0, size)
        while not all(run.stage is Stage.CLEAN for run in file.extents.values()):
            await trio.sleep(0.001)
    assert store.used_bytes() == size
    store.close()
    again = BlockStore(tmp_path, limit_bytes=1 << 30, free_percent=0)
    silent = FakeSource()
    async with cache_over(silent, again) as cache:
        file = await opened(cache, size)
        assert bytes(await cache.get(file, Span(1000, size))) == truth(1000, size)
    assert silent.fills == []
    again.close()


@pytest.mark.parametrize("broken", ["attach", "read", "write"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError(5, "I/O error")])
def test_a_failing_disk_is_bypassed_with_one_warning(
    store: BlockStore, broken: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    source = FakeSource(latency_s=0, bytes_per_s=1e12)
    size = 3 * MIB

    async def body() -> None:
        if broken == "read":
            async with cache_over(source, store) as cache:
                file = await opened(cache, size)
                await cache.get(file, Span(0, size))
                await trio.sleep(0.05)
        both = {"write", "write_small"} if broken == "write" else {broken}
        failing = BrokenStore(store, both, error)
        async with cache_over(source, failing) as cache:  # type: ignore[arg-type]
            for name in ("f", "g", "h"):
                file = await opened(cache, size, name)
                for start in range(0, size, 256 * 1024):
                    span = Span(start, start + 256 * 1024)
                    assert bytes(await cache.get(file, span)) == truth(*span)
            await cache.drain()

    trio.run(body)
    warnings = [r for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "disk cache fails" in warnings[0].message


@real
async def test_a_stream_from_disk_is_read_in_whole_parts_and_uses_few_buffers(
    store: BlockStore,
) -> None:
    size = 16 * DISK_PART_BYTES
    async with cache_over(FakeSource(latency_s=0, bytes_per_s=1e12), store) as cache:
        file = await opened(cache, size)
        for start in range(0, size, DISK_PART_BYTES):
            await cache.get(file, Span(start, start + DISK_PART_BYTES))
        await cache.drain()
    reads: list[Span] = []
    read = store.read

    def counted(stored: StoredObject, blocks: Span, buffer: memoryview) -> int:
        reads.append(blocks)
        return read(stored, blocks, buffer)

    store.read = counted  # type: ignore[method-assign]
    silent = FakeSource()
    async with cache_over(silent, store, memory=64 * MIB) as cache:
        file = await opened(cache, size)
        reader = Reader(file.file, file, cache, 64 * MIB)
        for offset in range(0, size, 512 * KIB):
            data, _ = await reader.read(offset, 512 * KIB)
            assert bytes(data) == truth(offset, offset + 512 * KIB)
            del data
        # the window, what was just given out, and the parts of the beginning
        limit = DISK_WINDOW_BYTES + (CONSUMED_PARTS + 1) * DISK_PART_BYTES + 2 * DISK_PART_BYTES
        assert cache.memory_used <= limit
    assert silent.fills == []
    assert sorted(n for blocks in reads for n in range(*blocks)) == [*range(block_count(size))]
    assert len(reads) <= 16 + 6  # small ones while it is not known yet that it is a stream
    part_blocks = DISK_PART_BYTES // BLOCK_BYTES
    assert all(n // part_blocks == (m - 1) // part_blocks for n, m in reads)


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
async def test_a_stream_that_is_kept_on_disk_leaves_the_memory_to_what_comes_next(
    store: BlockStore,
) -> None:
    """New memory costs a page fault for each 4 KiB, so what is at rest makes room by itself."""
    size = 32 * PART_BYTES
    async with cache_over(FakeSource(latency_s=0, bytes_per_s=1e12), store) as cache:
        file = await opened(cache, size)
        most = 0
        reader = Reader(file.file, file, cache, 4 * PART_BYTES)
        for offset in range(0, size, 512 * KIB):
            data, _ = await reader.read(offset, 512 * KIB)
            assert bytes(data) == truth(offset, offset + 512 * KIB)
            del data
            if offset % PART_BYTES == 0:
                await cache.drain()  # or this reader outruns the disk
                most = max(most, cache.memory_used)
        await cache.drain()
        # the window, what is read now, and what was given out
        assert most <= (4 + 1 + CONSUMED_PARTS + 1) * PART_BYTES
        assert cache.memory_used <= CONSUMED_PARTS * PART_BYTES


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


@real
async def test_a_damaged_block_on_disk_is_fetched_again_unseen(
    store: BlockStore, tmp_path: Path
) -> None:
    source = FakeSource(latency_s=0, bytes_per_s=1e12)
    size = 4 * MIB
    async with cache_over(source, store) as cache:
        file = await opened(cache, size)
        await cache.get(file, Span(0, size))
        await trio.sleep(0.05)
    (path,) = [p for p in (tmp_path / "blocks" / "data").rglob("*") if p.is_file()]
    with path.open("r+b") as data:
        data.seek(2 * MIB + 7)
        data.write(b"\xff\x00\xff")
    source.fills.clear()
    async with cache_over(source, store) as cache:
        file = await opened(cache, size)
        assert bytes(await cache.get(file, Span(0, size))) == truth(0, size)
        await trio.sleep(0.05)
    assert source.fills == [(2 * MIB, 2 * MIB + BLOCK_BYTES)]  # that block and no other
    assert store.used_bytes() == size


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
