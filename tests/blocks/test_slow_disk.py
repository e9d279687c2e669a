"""A reader never waits for its own cache. Here the disk takes nothing at all, or only when it is
told to: whatever a slow disk does lies between that and a fast one."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import dmfs.blocks.disk_writer
from dmfs.blocks.cache import BlockCache
from dmfs.blocks.readahead import PART_BYTES
from dmfs.blocks.save_queue import HEAD_BYTES, TAIL_BYTES
from dmfs.blocks.store.block_store import BlockStore
from dmfs.spans import BLOCK_BYTES, EMPTY, MIB, Span
from tests.support.caches import cache_over, check_memory, opened, settled
from tests.support.helpers import FakeSource, a_file, no_thread, real, truth

MEMORY = 32 * MIB
SIZE = 96 * MIB


class SlowStore(BlockStore):
    """Its disk takes ``allowed`` writes, and then nothing until ``go_on``."""

    def __init__(self, directory: Path, allowed: int = 0) -> None:
        super().__init__(directory, limit_bytes=1 << 30, free_percent=0)
        self.turns = threading.Semaphore(allowed)
        self.begun = 0

    def _wait(self, write: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.begun += 1
        self.turns.acquire(timeout=60)
        return write(*args, **kwargs)

    def write(self, *args: Any, **kwargs: Any) -> bool:
        return bool(self._wait(super().write, *args, **kwargs))

    def write_small(self, *args: Any, **kwargs: Any) -> list[bool]:
        return list(self._wait(super().write_small, *args, **kwargs))

    def go_on(self) -> None:
        self.turns.release(10_000)


@asynccontextmanager
async def slow(
    directory: Path, source: FakeSource, allowed: int = 0, memory: int = MEMORY
) -> AsyncIterator[tuple[BlockCache, SlowStore]]:
    store = SlowStore(directory, allowed)
    try:
        async with cache_over(source, store, memory=memory) as cache:
            try:
                yield cache, store
            finally:
                store.go_on()
    finally:
        store.close()


def quick() -> FakeSource:
    return FakeSource(latency_s=0, bytes_per_s=1e12)


async def stream(cache: BlockCache, size: int = SIZE, name: str = "f") -> None:
    file = await opened(cache, size, name)
    for start in range(0, size, PART_BYTES):
        span = Span(start, min(size, start + PART_BYTES))
        cache.start(file, EMPTY, Span(span.stop, min(size, span.stop + 2 * PART_BYTES)))
        with trio.fail_after(20):
            assert bytes(await cache.get(file, span)) == truth(*span)
        check_memory(cache, MEMORY)
    cache.close(file)


@real
async def test_a_stream_goes_on_while_the_disk_takes_nothing(tmp_path: Path) -> None:
    source = quick()
    async with slow(tmp_path, source) as (cache, store):
        await stream(cache)
        assert sum(span.length for span in source.fills) == SIZE, "each byte was fetched once"
        assert store.begun <= 2, "what is being written is bounded"
        seen = cache.gauges()
        assert seen["disk.dropped_extents"] > 0
        # what waits, and what is being written, may be kept yet
        assert seen["disk.dropped_bytes"] >= SIZE - MEMORY


@real
async def test_what_is_kept_of_a_stream_is_its_ends_and_long_stretches(tmp_path: Path) -> None:
    async with slow(tmp_path, quick(), allowed=4) as (cache, store):
        await stream(cache)
        store.go_on()
        await cache.drain()
        file = await opened(cache, SIZE)
        blocks = [file.on_disk(number) for number in range(SIZE // BLOCK_BYTES)]
        dropped = cache.gauges()["disk.dropped_bytes"]
        cache.close(file)
    assert all(blocks[: HEAD_BYTES // BLOCK_BYTES])
    assert all(blocks[-TAIL_BYTES // BLOCK_BYTES :])
    assert sum(blocks) * BLOCK_BYTES == SIZE - dropped < SIZE
    stretches = sum(one != other for one, other in pairwise(blocks)) / 2
    assert stretches <= 4, "not a comb"


@real
async def test_small_files_read_beside_a_stream_are_kept(tmp_path: Path) -> None:
    async with slow(tmp_path, quick(), allowed=1) as (cache, store):
        small = [await opened(cache, 20_000, f"small {number}") for number in range(10)]
        for file in small:
            await cache.get(file, Span(0, 20_000))
        await trio.sleep(0.1)
        await stream(cache)
        store.go_on()
        await cache.drain()
        assert all(file.on_disk(0) for file in small)


@real
async def test_what_was_given_up_and_is_read_again_is_worth_more(tmp_path: Path) -> None:
    async with slow(tmp_path, quick()) as (cache, store):
        await stream(cache)
        file = await opened(cache, SIZE)
        missed = min(number for number in file.missed if number not in file.extents)
        part = Span(missed * BLOCK_BYTES, missed * BLOCK_BYTES + PART_BYTES)
        await cache.get(file, part)
        await trio.testing.wait_all_tasks_blocked()
        # it came last, and would go first
        assert len(cache._disk.writer.give_up(PART_BYTES, lambda _extent: True)) == 1
        store.go_on()
        await cache.drain()
        assert file.on_disk(part.start // BLOCK_BYTES)


@real
async def test_demand_finds_room_among_what_was_fetched_ahead_and_waits_for_the_disk(
    tmp_path: Path,
) -> None:
    async with slow(tmp_path, quick(), memory=16 * MIB) as (cache, _):
        ahead = await opened(cache, SIZE, "ahead")
        cache.start(ahead, EMPTY, Span(0, 16 * MIB))
        await trio.sleep(0.1)
        file = await opened(cache, SIZE)
        with trio.fail_after(10):
            for start in range(0, SIZE, PART_BYTES):
                await cache.get(file, Span(start, start + PART_BYTES))
        assert cache.memory_used <= 16 * MIB


@real
async def test_a_window_takes_the_memory_of_what_waits_for_the_disk(tmp_path: Path) -> None:
    async with slow(tmp_path, quick()) as (cache, _):
        await stream(cache, 24 * MIB)
        assert cache.gauges()["saving"] > 2, "they wait"
        ahead = await opened(cache, SIZE, "ahead")
        # all but what is being written, a fourth, and what is left to demand, a sixth
        assert cache.start(ahead, EMPTY, Span(0, 24 * MIB)) == Span(0, 16 * MIB)
        check_memory(cache, MEMORY)


@real
async def test_the_first_byte_of_another_file_does_not_wait_for_a_transaction(
    tmp_path: Path,
) -> None:
    """All that an open and a read ask of the disk, while a writer has the index."""
    store = BlockStore(tmp_path, limit_bytes=1 << 30, free_percent=0)
    async with cache_over(quick(), store) as cache:
        known = await opened(cache, 20_000, "known")
        await cache.get(known, Span(0, 20_000))
        await cache.drain()
        cache.close(known)
    busy, end = threading.Event(), threading.Event()

    def hold() -> None:
        with store._index.transaction():
            busy.set()
            end.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    busy.wait(10)
    silent = FakeSource(latency_s=0)
    try:
        async with cache_over(silent, store) as cache:
            with trio.fail_after(10):
                file = await opened(cache, 20_000, "known")
                assert bytes(await cache.get(file, Span(0, 1))) == truth(0, 1)
                assert silent.fills == []
                await cache.look_up([a_file("other").storage_id])
                other = await opened(cache, SIZE, "other")
                await cache.get(other, Span(0, 1))
                store.remember_size("urn:any", 5)
                cache.close(file)
                cache.close(other)
                store.release(file.stored)  # type: ignore[arg-type]
    finally:
        end.set()
        holder.join()
        store.close()


@real
async def test_the_end_does_not_wait_for_a_slow_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with slow(tmp_path, quick()) as (cache, _):
        await stream(cache, 24 * MIB)
        assert not cache.gauges()["disk.dropped_bytes"]
        with trio.fail_after(10):
            assert not await cache.drain(0.2)
        await trio.testing.wait_all_tasks_blocked()
        seen = cache.gauges()
        assert seen["disk.dropped_bytes"] > 0
        assert seen["saving"] <= 2
    assert "were not kept" in caplog.text
    assert caplog.text.count("slower than what is read") == 1


@real
async def test_a_disk_that_hangs_gets_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dmfs.blocks.disk_writer, "STUCK_S", -100.0)
    async with slow(tmp_path, quick()) as (cache, store):
        await stream(cache, 2 * PART_BYTES)
        while (begun := store.begun) < 2:
            await trio.sleep(0.01)
        await stream(cache, name="g")
        assert store.begun == begun
        assert cache.gauges()["disk.dropped_bytes"] >= SIZE


@real
async def test_a_machine_without_threads_keeps_nothing_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python raises a RuntimeError then: in a task of the cache's it would end the drive."""
    async with slow(tmp_path, quick(), allowed=10_000) as (cache, store):
        await stream(cache, 8 * MIB, "known")
        await settled(cache)
        with no_thread(monkeypatch):
            begun = store.begun
            await stream(cache, 16 * MIB, "large")
            await stream(cache, MIB, "small")
            await cache.look_up([a_file("other").storage_id])
            await trio.testing.wait_all_tasks_blocked()
            assert store.begun == begun
            assert cache.gauges()["disk_calls"] == 0
        file = await opened(cache, 8 * MIB, "known")
        assert bytes(await cache.get(file, Span(0, 100))) == truth(0, 100)
        cache.close(file)


@real
async def test_a_bug_in_a_write_ends_no_drive(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(*_: Any, **__: Any) -> bool:
        raise KeyError("a bug")

    async with slow(tmp_path, quick(), allowed=10_000) as (cache, store):
        store.write = store.write_small = store.tidy = bug  # type: ignore[assignment,method-assign]
        await stream(cache, 16 * MIB)
        await settled(cache)
        del store.write, store.write_small, store.tidy
        await stream(cache, 16 * MIB, "another")
        assert (await opened(cache, 16 * MIB)).size_bytes == 16 * MIB
    assert "a bug" in caplog.text
