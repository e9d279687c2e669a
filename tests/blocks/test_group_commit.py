"""Small writes that come within a moment share a thread and a transaction."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import trio

from dmfs.blocks.group_commit import BATCH_MAX, GATHER_S, GroupCommit
from dmfs.blocks.store.block_store import BlockStore
from dmfs.blocks.store.stored_object import VERIFIED, StoredObject
from dmfs.spans import BLOCK_BYTES, Span
from tests.support.caches import cache_over
from tests.support.helpers import FakeSource, a_file, real, truth, virtual


@virtual
async def test_what_comes_within_a_moment_is_handed_on_together() -> None:
    began = trio.current_time()
    batches: list[list[int]] = []

    async def commit(items: list[int]) -> None:
        batches.append(items)
        await trio.sleep(1)

    group = GroupCommit(commit)
    async with trio.open_nursery() as nursery:
        for number in range(BATCH_MAX + 3):
            nursery.start_soon(group.put, number)
        await trio.sleep(GATHER_S / 2)
        nursery.start_soon(group.put, 100)
        await trio.sleep(GATHER_S)
        nursery.start_soon(group.put, 101)  # while the others are being written
    assert [len(batch) for batch in batches] == [BATCH_MAX, 4, 1]
    assert trio.current_time() - began == pytest.approx(GATHER_S * 2.5 + 1)


@virtual
async def test_who_is_called_off_while_it_gathers_holds_up_nobody() -> None:
    async def commit(items: list[int]) -> None:
        return

    group = GroupCommit(commit)
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(GATHER_S / 2):
            nursery.start_soon(group.put, 2)
            await group.put(1)
        with trio.fail_after(GATHER_S * 2):
            await group.put(3)


@real
async def test_small_files_are_put_at_rest_in_few_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BlockStore(tmp_path, limit_bytes=1 << 30, free_percent=0)
    batches: list[int] = []
    write_small = store.write_small

    def counted(writes: Any) -> list[bool]:
        assert threading.current_thread() is not threading.main_thread()
        batches.append(len(writes))
        return write_small(writes)

    monkeypatch.setattr(store, "write_small", counted)
    size = 20_000
    source = FakeSource(latency_s=0, bytes_per_s=1e12)
    async with cache_over(source, store, connections=8) as cache:
        for number in range(50):
            opened = await cache.open(a_file(f"f{number}", size), size)
            assert bytes(await cache.get(opened, Span(0, size))) == truth(0, size)
            cache.close(opened)
        await cache.drain()
    assert sum(batches) == 50
    assert len(batches) <= 10
    store.close()
    again = BlockStore(tmp_path, limit_bytes=1 << 30, free_percent=0)
    assert again.used_bytes() == 50 * size
    again.close()


def test_of_several_small_writes_all_are_kept_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BlockStore(tmp_path, limit_bytes=1 << 30, free_percent=0)
    stored_objects = [store.attach(a_file(f"f{n}").storage_id, BLOCK_BYTES) for n in range(3)]
    writes = [(stored, 0, memoryview(truth(0, BLOCK_BYTES))) for stored in stored_objects]
    usable = store.attached.writable

    def failing(stored: StoredObject) -> bool:
        if stored is stored_objects[2]:
            raise OSError(28, "No space left on device")
        return usable(stored)

    with monkeypatch.context() as patched:
        patched.setattr(store.attached, "writable", failing)
        with pytest.raises(OSError, match="No space left"):
            store.write_small(writes)
    assert store.used_bytes() == 0
    assert all(not stored.row and stored.data is None for stored in stored_objects)
    assert store.write_small(writes) == [True] * 3
    assert all(stored.states[0] == VERIFIED for stored in stored_objects)
    assert store.used_bytes() == 3 * BLOCK_BYTES
    store.close()
