"""The block cache over a real store, in real time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from dmfs.blocks.cache import CONSUMED_PARTS
from dmfs.blocks.extents import Stage
from dmfs.blocks.readahead import DISK_PART_BYTES, DISK_WINDOW_BYTES, PART_BYTES
from dmfs.blocks.reader import Reader
from dmfs.blocks.store.block_store import DIRECTORY, BlockStore
from dmfs.blocks.store.stored_object import StoredObject
from dmfs.spans import BLOCK_BYTES, KIB, MIB, Span, block_count
from tests.support.caches import cache_over, opened
from tests.support.helpers import FakeSource, real, truth, virtual

# With a disk: real time


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


class SlowToSay(FakeSource):
    """Its bytes are seen for a while before it returns, as those of the fetching process."""

    async def fill(self, *words: Any) -> None:
        await super().fill(*words)
        await trio.sleep(0.1)


@real
async def test_what_was_read_in_the_last_moment_is_kept(store: BlockStore) -> None:
    """A command that ended as its reader had all bytes lost the last part from the cache."""
    size = 5 * MIB + 99
    async with cache_over(SlowToSay(latency_s=0, bytes_per_s=1e12), store) as cache:
        file = await opened(cache, size)
        assert bytes(await cache.get(file, Span(0, size))) == truth(0, size)
        assert await cache.drain(5)
    assert store.used_bytes() == size


class SilentAtTheEnd(FakeSource):
    """A fetching process that was stopped after its last byte."""

    async def fill(self, *words: Any) -> None:
        await super().fill(*words)
        await trio.sleep_forever()


@virtual
async def test_who_never_says_that_it_is_done_is_not_waited_for_longer_than_the_disk() -> None:
    size = 5 * MIB + 99
    async with cache_over(SilentAtTheEnd(latency_s=0, bytes_per_s=1e12)) as cache:
        file = await opened(cache, size)
        assert bytes(await cache.get(file, Span(0, size))) == truth(0, size)
        for patience_s, longest_s in ((0.25, 0.25), (30.0, 1.0)):
            began_at = trio.current_time()
            assert await cache.drain(patience_s)
            assert trio.current_time() - began_at == pytest.approx(longest_s)


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
            await cache.drain()  # or this reader outruns the disk
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
async def test_a_damaged_block_on_disk_is_fetched_again_unseen(
    store: BlockStore, tmp_path: Path
) -> None:
    source = FakeSource(latency_s=0, bytes_per_s=1e12)
    size = 4 * MIB
    async with cache_over(source, store) as cache:
        file = await opened(cache, size)
        await cache.get(file, Span(0, size))
        await trio.sleep(0.05)
    (path,) = [p for p in (tmp_path / DIRECTORY / "data").rglob("*") if p.is_file()]
    with path.open("r+b") as data:
        data.seek(2 * MIB + 7)
        data.write(b"\xff\x00\xff")
    source.fills.clear()
    async with cache_over(source, store) as cache:
        file = await opened(cache, size)
        assert bytes(await cache.get(file, Span(0, size))) == truth(0, size)
        await cache.drain()
    assert source.fills == [(2 * MIB, 2 * MIB + BLOCK_BYTES)]  # that block and no other
    assert store.used_bytes() == size


@real
async def test_reads_from_disk_and_written_blocks_are_counted(store: BlockStore) -> None:
    for written in (True, False):
        async with cache_over(FakeSource(latency_s=0, bytes_per_s=1e12), store) as cache:
            file = await opened(cache, 3 * BLOCK_BYTES)
            await cache.get(file, Span(0, 3 * BLOCK_BYTES))
            await cache.drain()
            seen = cache.gauges()
            assert seen["store.written_blocks"] == 3
            assert seen["blocks.misses"] == int(written)
            assert seen["blocks.disk_bytes"] == (0 if written else 3 * BLOCK_BYTES)
