"""One open file never gives bytes of two contents, whatever becomes of its blocks on disk."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.extents import CachedObject
from dmfs.blocks.reader import FOLLOWS_MAX, Reader
from dmfs.blocks.store.block_store import DIRECTORY, OLDER_DIRECTORY
from dmfs.blocks.store.index import Index
from dmfs.blocks.store.sparse_file import SparseFile
from dmfs.errors import ObjectChangedError
from dmfs.fetch.generation import Generation, State
from dmfs.model import File, StorageId
from dmfs.spans import BLOCK_BYTES, MIB, Span
from tests.blocks.test_generations import FIRST, LAST, SIZE, read, run
from tests.support.caches import settled, store_in
from tests.support.changing import ChangingStorage
from tests.support.helpers import a_file, real, truth
from tests.support.stores import data_file


async def migrated(directory: Path, file: File, storage: ChangingStorage) -> None:
    """A cache that has the first block, and no ETags: as an older dmfs left it."""
    async with run(directory, storage) as cache:
        await read(cache, file, FIRST)
    with sqlite3.connect(directory / DIRECTORY / "index.db") as db:
        db.execute("DELETE FROM etags")
    db.close()


@real
async def test_another_process_takes_an_unproven_row_away(tmp_path: Path) -> None:
    file, storage = a_file("f", SIZE), ChangingStorage(SIZE)
    await migrated(tmp_path, file, storage)
    storage.content = 1
    async with run(tmp_path, storage) as first, run(tmp_path, storage) as second:
        opened = await second.open(file, SIZE)
        assert bytes(await second.get(opened, FIRST)) == truth(*FIRST)
        with pytest.raises(ObjectChangedError):
            await read(first, file, FIRST, LAST)
        assert await read(first, file, LAST) == [storage.bytes(1)[LAST.start : LAST.stop]]
        await settled(first)
        with pytest.raises(ObjectChangedError):
            await second.get(opened, LAST)
        second.close(opened)


@asynccontextmanager
async def reading_an_unproven_block(directory: Path) -> AsyncIterator[BlockCache]:
    """The object has another content, and an open file has a block of before: whatever happens to
    that block, the file gets no byte of now."""
    file, storage = a_file("f", SIZE), ChangingStorage(SIZE)
    await migrated(directory, file, storage)
    storage.content = 1
    async with run(directory, storage) as cache:
        opened = await cache.open(file, SIZE)
        assert bytes(await cache.get(opened, FIRST)) == truth(*FIRST)
        yield cache
        with pytest.raises(ObjectChangedError):
            await cache.get(opened, LAST)
        cache.close(opened)


@real
async def test_the_cache_is_deleted_under_an_unproven_object(tmp_path: Path) -> None:
    async with reading_an_unproven_block(tmp_path) as cache:
        shutil.rmtree(tmp_path / DIRECTORY)
        cache.close(await cache.open(a_file("g", SIZE), SIZE))


@real
async def test_the_only_unproven_block_turns_out_damaged(tmp_path: Path) -> None:
    async with reading_an_unproven_block(tmp_path):
        with data_file(tmp_path).open("r+b") as raw:
            raw.write(b"x" * 100)


@real
async def test_an_older_dmfs_that_still_runs_shares_no_index(tmp_path: Path) -> None:
    """It would write blocks without looking at their ETags; its index is gone instead."""
    older = tmp_path / OLDER_DIRECTORY
    with sqlite3.connect(older_index(older)) as running:
        running.execute("CREATE TABLE objects (id INTEGER)")
        inode = (older / "index.db").stat().st_ino
        async with run(tmp_path, ChangingStorage(SIZE)) as cache:
            await read(cache, a_file("f", SIZE), FIRST)
        # what an older dmfs asks before each write: is the index at its place still its own?
        assert not (older / "index.db").exists()
        assert (tmp_path / DIRECTORY).is_dir()
        async with run(tmp_path, ChangingStorage(SIZE)) as cache:
            older_index(older)
            assert (older / "index.db").stat().st_ino != inode
            await read(cache, a_file("f", SIZE), FIRST)
        assert (older / "index.db").exists(), "what an older dmfs begins anew is its own"
    running.close()


def older_index(directory: Path) -> Path:
    directory.mkdir()
    (directory / "index.db").touch()
    return directory / "index.db"


@pytest.mark.parametrize("in_parts", [False, True])
@real
async def test_etags_without_a_block_and_another_layout(tmp_path: Path, in_parts: bool) -> None:
    """Killed between the ETags and the first block, then signed in another way: a read spun."""
    file, storage = a_file("f", SIZE), ChangingStorage(SIZE)
    storage.in_parts = in_parts
    async with run(tmp_path, storage) as cache:
        await read(cache, file, FIRST)
    with sqlite3.connect(tmp_path / DIRECTORY / "index.db") as db:
        db.execute("DELETE FROM blocks")
    db.close()
    storage.in_parts = not in_parts
    async with run(tmp_path, storage) as cache:
        reader = Reader(file, await cache.open(file, SIZE), cache, 8 * MIB)
        with trio.fail_after(20):
            data, _ = await reader.read(0, 4096)
        assert bytes(data) == truth(0, 4096)
        reader.close()
        assert await read(cache, file, LAST) == [truth(*LAST)]


def test_a_content_that_took_anothers_place_without_an_etag_trusts_nothing_at_rest() -> None:
    first = Generation(StorageId("urn:a"), BLOCK_BYTES)
    assert first.accept({(0, BLOCK_BYTES): "one"}, has_blocks=True)
    second = first.detach()
    assert not second.accept({(0, BLOCK_BYTES): "one"}, has_blocks=True)
    assert not second.accept({}, has_blocks=True)
    assert second.accept({}, has_blocks=False)
    assert second.state is State.NEW


def test_a_refusal_leaves_no_etag_behind() -> None:
    half, whole = BLOCK_BYTES, 2 * BLOCK_BYTES
    generation = Generation(StorageId("urn:a"), whole)
    guard = generation.begin((0, half))
    assert guard is not None
    generation.add((half, whole), "right")
    assert not generation.accept({(0, half): "other", (half, whole): "wrong"}, has_blocks=True)
    assert guard.etag == ""


@real
async def test_a_read_of_an_object_that_is_replaced_all_the_time_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = a_file("f", SIZE)
    tries: list[CachedObject] = []

    async def replaced(opened: CachedObject, _span: Span) -> bytes:
        tries.append(opened)
        opened.generation.detach()
        raise ObjectChangedError("cannot read 'f': it comes under another ETag")

    async with run(tmp_path, ChangingStorage(SIZE)) as cache:
        reader = Reader(file, await cache.open(file, SIZE), cache, 8 * MIB)
        monkeypatch.setattr(cache, "get", replaced)
        with trio.fail_after(20), pytest.raises(ObjectChangedError):
            await reader.read(0, 4096)
        assert len(set(map(id, tries))) == len(tries) == FOLLOWS_MAX + 1
        reader.close()


@pytest.mark.parametrize("odd", [0, 1])
@real
async def test_a_further_part_costs_two_small_gets(tmp_path: Path, odd: int) -> None:
    """Its ETag a second time, and a known one; both once more where the first answer was odd."""
    file, storage = a_file("f", SIZE), ChangingStorage(SIZE)
    storage.in_parts = True
    async with run(tmp_path, storage) as cache:
        assert await read(cache, file, FIRST) == [truth(*FIRST)]
        storage.ranges.clear()
        storage.odd_gets = odd
        assert await read(cache, file, LAST) == [truth(*LAST)]
        small = [each for each in storage.ranges if each[1] - each[0] == 1]
        large = [each for each in storage.ranges if each not in small]
        assert (len(small), len(large)) == (2 * (1 + odd), 1 + odd)
        storage.ranges.clear()
        assert await read(cache, file, Span(8 * MIB, 8 * MIB + 1000))
        assert len(storage.ranges) == 1, "the part is known now"


def test_an_etag_whose_transaction_failed_is_written_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else blocks would stand under no ETag, and what came under another one pass for theirs."""
    size, storage_id = 4 * MIB, StorageId("urn:a")
    generation, stretch = Generation(storage_id, size), (0, size)
    write_file, add_blocks = SparseFile.write, Index.add_blocks
    data = memoryview(truth(0, 2 * MIB))

    def write_and_learn(*given: Any, **named: Any) -> None:
        write_file(*given, **named)
        generation.add(stretch, '"e"')

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with store_in(tmp_path) as store:
        stored = store.attach(storage_id, size, generation)
        monkeypatch.setattr(SparseFile, "write", write_and_learn)
        monkeypatch.setattr(Index, "add_blocks", fail)
        with pytest.raises(sqlite3.OperationalError):
            store.write(stored, 0, data)
        monkeypatch.setattr(Index, "add_blocks", add_blocks)
        assert store.write(stored, 0, data)
    with sqlite3.connect(tmp_path / DIRECTORY / "index.db") as db:
        assert db.execute("SELECT etag FROM etags").fetchall() == [('"e"',)]
    db.close()
