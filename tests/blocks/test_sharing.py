"""Processes that share a cache fetch each byte once, and wait for each other no longer than is
good."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

import dmfs.blocks.sharing.filling
import dmfs.blocks.store.leases
from dmfs.blocks.cache import BlockCache
from dmfs.blocks.extents import CachedObject
from dmfs.blocks.store.leases import Leases, open_leases
from dmfs.model import StorageId
from dmfs.spans import MIB, Span
from tests.blocks.test_disk_tier import SIZE, caches, quick, settled, whole
from tests.support.helpers import FakeSource, a_file, real, truth

ID = StorageId("urn:adsk.objects:os.object:bucket/key")


async def in_steps(cache: BlockCache, file: CachedObject, start: int, step: int) -> None:
    """Read on from there, in windows of other bounds than another reader's."""
    for position in range(start, SIZE, step):
        span = Span(position, min(SIZE, position + step))
        assert bytes(await cache.get(file, span)) == truth(span.start, span.stop)
    await settled(file)


@real
async def test_three_processes_that_read_at_once_fetch_each_byte_once(tmp_path: Path) -> None:
    sources = [FakeSource(latency_s=0.01, bytes_per_s=200e6) for _ in range(3)]
    async with caches(tmp_path, sources) as shared:
        files = [await each.open(a_file("f", SIZE), SIZE) for each in shared]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_steps, shared[0], files[0], 0, SIZE)
            nursery.start_soon(in_steps, shared[1], files[1], MIB // 2, 3 * MIB)
            nursery.start_soon(in_steps, shared[2], files[2], 0, MIB)
    assert sum(span.length for source in sources for span in source.fills) == SIZE


@real
async def test_what_came_to_rest_a_moment_ago_is_not_fetched_again(tmp_path: Path) -> None:
    one, two = quick(), quick()
    async with caches(tmp_path, [one, two]) as (first, second):
        mine = await second.open(a_file("f", SIZE), SIZE)  # before there is anything
        theirs = await first.open(a_file("f", SIZE), SIZE)
        await first.get(theirs, Span(MIB, 2 * MIB))
        await settled(theirs)
        assert await whole(second, mine) == truth(0, SIZE)
    assert sum(span.length for span in two.fills) == SIZE - one.fills[0].length


@real
async def test_a_process_that_is_stopped_holds_up_a_reader_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dmfs.blocks.sharing.filling, "PATIENCE_FIRST_S", 0.05)
    monkeypatch.setattr(dmfs.blocks.sharing.filling, "PATIENCE_LEAST_S", 60.0)
    stopped, source = FakeSource(latency_s=60), quick()
    async with caches(tmp_path, [stopped, source]) as (first, second):
        theirs = await first.open(a_file("f", SIZE), SIZE)
        first.start(theirs, Span(0, SIZE), Span(0, 0))
        await trio.sleep(0.01)
        mine = await second.open(a_file("f", SIZE), SIZE)
        with trio.fail_after(15):
            await in_steps(second, mine, 0, MIB)
    assert sum(span.length for span in source.fills) == SIZE


@real
async def test_one_that_failed_leaves_its_blocks_to_the_others(tmp_path: Path) -> None:
    leases = open_leases(tmp_path)
    assert leases is not None
    failing, source = quick(), quick()
    async with caches(tmp_path, [failing, source]) as (first, second):
        failing.failures = [(MIB, OSError("broken"))] * 9  # type: ignore[list-item]
        theirs = await first.open(a_file("f", SIZE), SIZE)
        with pytest.raises(OSError, match="broken"):
            await first.get(theirs, Span(0, 2 * MIB))
        await settled_or_failed(first)
        mine = await second.open(a_file("f", SIZE), SIZE)
        assert await whole(second, mine) == truth(0, SIZE)
        assert leases.take(theirs.file.storage_id, Span(0, 1 << 23))
    leases.close()


async def settled_or_failed(cache: BlockCache) -> None:
    while cache.is_fetching or not cache.is_settled():
        await trio.sleep(0.001)


def test_blocks_are_locked_and_a_process_that_ends_gives_them_back(tmp_path: Path) -> None:
    one, two = Leases(tmp_path), Leases(tmp_path)
    assert one.take(ID, Span(0, 8))
    assert not two.take(ID, Span(7, 9))
    assert two.take(ID, Span(8, 9))
    assert two.take(StorageId("another"), Span(0, 8))
    one.give_back(ID, Span(0, 4))
    assert two.take(ID, Span(0, 4))
    assert not two.take(ID, Span(4, 5))
    one.close()
    assert two.take(ID, Span(4, 5))
    two.close()
    assert two.take(ID, Span(4, 5))


def test_a_count_moves_for_all_processes(tmp_path: Path) -> None:
    one, two = Leases(tmp_path), Leases(tmp_path)
    before = two.count(ID)
    one.came(ID)
    assert two.count(ID) != before
    one.close()
    two.close()
    assert (two.count(ID), (tmp_path / "fetching").stat().st_mode & 0o777) == (0, 0o600)


def test_where_locks_are_a_servers_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dmfs.blocks.store.leases, "LOCAL", frozenset[str]())
    assert open_leases(tmp_path) is None
    assert open_leases(tmp_path / "nothing") is None
