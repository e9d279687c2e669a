"""Cached bytes belong to one content of an object: also after a restart, also those of a cache
that was written before the index knew ETags."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.reader import Reader
from dmfs.blocks.store.block_store import DIRECTORY, OLDER_DIRECTORY
from dmfs.errors import ETagDiffersError, ObjectChangedError
from dmfs.fetch.generation import Generation
from dmfs.model import File
from dmfs.spans import BLOCK_BYTES, MIB, Span
from tests.support.caches import cache_of, settled, store_in
from tests.support.changing import ChangingStorage
from tests.support.helpers import a_file, real, truth

SIZE = 9 * MIB + 777
SMALL = 3 * BLOCK_BYTES + 777
FIRST, LAST = Span(0, BLOCK_BYTES), Span(SIZE - 1000, SIZE)
INDEX_V2 = Path(__file__).parent / "index_v2.sql"


@asynccontextmanager
async def run(directory: Path, storage: ChangingStorage) -> AsyncIterator[BlockCache]:
    """One run of a drive's block cache."""
    with store_in(directory) as store:
        async with cache_of(storage, storage, store) as cache:
            yield cache
            await settled(cache)


async def read(cache: BlockCache, file: File, *spans: Span) -> list[bytes]:
    """By a file that is opened for it."""
    opened = await cache.open(file, file.size_bytes or 0)
    try:
        return [bytes(await cache.get(opened, span)) for span in spans]
    finally:
        cache.close(opened)


@real
async def test_blocks_at_rest_are_not_mixed_with_a_get_under_another_etag(tmp_path: Path) -> None:
    file, storage = a_file("f", SIZE), ChangingStorage(SIZE)
    async with run(tmp_path, storage) as cache:
        await read(cache, file, FIRST)
    storage.content = 1
    async with run(tmp_path, storage) as cache:
        with pytest.raises(ObjectChangedError):
            await read(cache, file, FIRST, LAST)
        new = storage.bytes()
        for _ in range(2):
            assert await read(cache, file, FIRST, LAST) == [new[:BLOCK_BYTES], new[-1000:]]
    storage.ranges.clear()
    async with run(tmp_path, storage) as cache:
        assert await read(cache, file, FIRST) == [new[:BLOCK_BYTES]]
    assert storage.ranges == []


@real
async def test_a_generation_that_another_process_uses_is_left_alone(tmp_path: Path) -> None:
    """Who has not been told of the new content neither reads nor removes its blocks."""
    file, storage = a_file("f", SIZE), ChangingStorage(SIZE)
    async with run(tmp_path, storage) as one, run(tmp_path, storage) as two:
        assert await read(one, file, FIRST) == [truth(*FIRST)]
        await settled(one)
        opened = await two.open(file, SIZE)
        storage.content = 1
        new = storage.bytes()
        with pytest.raises(ObjectChangedError):
            await read(one, file, LAST)
        assert await read(one, file, LAST) == [new[-1000:]]
        await settled(one)
        with pytest.raises(ObjectChangedError):
            await two.get(opened, LAST)
        two.close(opened)
        assert await read(two, file, LAST) == [new[-1000:]]


def test_an_object_that_is_detached_leaves_the_blocks_of_its_successor(tmp_path: Path) -> None:
    """An open file of an older content may look at the disk late."""
    storage_id = a_file("f").storage_id
    first = Generation(storage_id, BLOCK_BYTES, number=1, etags={(0, BLOCK_BYTES): "a"})
    second = first.detach({(0, BLOCK_BYTES): "b"})
    data = memoryview(truth(0, BLOCK_BYTES))
    with store_in(tmp_path) as store:
        assert store.write(store.attach(storage_id, BLOCK_BYTES, second), 0, data)
        late = store.attach(storage_id, BLOCK_BYTES, first)
        store.refresh(late, Span(0, 1))
        assert not late.row
        assert not store.write(late, 0, data)
        assert store.attach(storage_id, BLOCK_BYTES, second).row
    with store_in(tmp_path) as store:
        again = Generation(storage_id, BLOCK_BYTES)
        assert store.attach(storage_id, BLOCK_BYTES, again).complete()
        assert again.etags() == second.etags()


@real
async def test_an_odd_answer_after_a_restart_does_not_drop_the_cache(tmp_path: Path) -> None:
    file, storage = a_file("f", SIZE), ChangingStorage(SIZE)
    async with run(tmp_path, storage) as cache:
        await read(cache, file, FIRST)
    storage.odd_gets = 1
    async with run(tmp_path, storage) as cache:
        assert await read(cache, file, LAST) == [truth(*LAST)]
        storage.ranges.clear()
        assert await read(cache, file, FIRST) == [truth(*FIRST)]
        assert storage.ranges == []


@pytest.mark.parametrize("in_parts", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("changes", [False, True])
@pytest.mark.parametrize("restart", [False, True])
def test_parts_are_of_one_content_with_what_was_read_before(
    tmp_path: Path, in_parts: tuple[bool, bool], changes: bool, restart: bool
) -> None:
    """Signed in parts, or as a whole, or one after the other: no ETag of the one is known of the
    other, so what is cached is compared."""
    file, storage = a_file("f", SIZE), ChangingStorage(SIZE)

    @real
    async def main() -> None:
        storage.in_parts = in_parts[0]
        async with run(tmp_path, storage) as cache:
            await read(cache, file, FIRST)
            if not restart:
                await second(cache)
        if restart:
            async with run(tmp_path, storage) as cache:
                await second(cache)

    async def second(cache: BlockCache) -> None:
        storage.in_parts = in_parts[1]
        storage.content = int(changes)
        opened = await cache.open(file, SIZE)
        cache._filling._source._urls.forget(file)  # type: ignore[attr-defined]
        if changes:
            with pytest.raises(ObjectChangedError):
                await cache.get(opened, LAST)
            opened = await cache.open(file, SIZE)
        right = storage.bytes()
        for span in (LAST, FIRST):
            assert bytes(await cache.get(opened, span)) == right[span.start : span.stop]

    main()


# A cache from before the index had ETags


def old_cache(directory: Path) -> None:
    """As dmfs wrote it with version 2 of its index: ``whole small`` is complete, ``half large`` has
    blocks 0, 1, 5, 6 and 7, ``one block`` has block 4. (Both are of SIZE.)"""
    (directory / OLDER_DIRECTORY).mkdir(parents=True)
    db = sqlite3.connect(directory / OLDER_DIRECTORY / "index.db")
    db.executescript(INDEX_V2.read_text("utf-8"))
    rows = db.execute("SELECT object, number FROM blocks").fetchall()
    db.close()
    for row, number in rows:
        path = directory / OLDER_DIRECTORY / "data" / f"{row:02x}" / str(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.seek(number * BLOCK_BYTES)
            last = (SMALL if row == 1 else SIZE) - number * BLOCK_BYTES
            start = number * BLOCK_BYTES
            file.write(truth(start, start + min(BLOCK_BYTES, last)))


CACHED = [Span(0, 2 * BLOCK_BYTES), Span(5 * BLOCK_BYTES, 8 * BLOCK_BYTES)]


@real
async def test_a_migrated_cache_is_read_without_a_get(tmp_path: Path) -> None:
    old_cache(tmp_path)
    storage = ChangingStorage(SIZE)
    for _ in range(2):
        async with run(tmp_path, storage) as cache:
            small = a_file("whole small", SMALL)
            assert await read(cache, small, Span(0, SMALL)) == [truth(0, SMALL)]
            large = a_file("half large", SIZE)
            assert await read(cache, large, *CACHED) == [truth(*span) for span in CACHED]
    assert storage.ranges == []


@real
async def test_a_migrated_object_takes_the_etag_of_a_block_that_is_compared(tmp_path: Path) -> None:
    old_cache(tmp_path)
    file, storage = a_file("half large", SIZE), ChangingStorage(SIZE)
    async with run(tmp_path, storage) as cache:
        assert await read(cache, file, CACHED[0], LAST) == [truth(*CACHED[0]), truth(*LAST)]
    (start, stop), last = storage.ranges
    cached = {
        n * BLOCK_BYTES
        for span in CACHED
        for n in range(span.start // BLOCK_BYTES, span.stop // BLOCK_BYTES)
    }
    assert start in cached
    assert stop == start + BLOCK_BYTES
    assert last[1] == SIZE
    storage.content = 1  # from now on it is an object like any other
    async with run(tmp_path, storage) as cache:
        with pytest.raises(ObjectChangedError):
            await read(cache, file, CACHED[0], Span(4 * MIB, 5 * MIB))


@pytest.mark.parametrize("name", ["half large", "one block"])
@real
async def test_a_migrated_object_that_changed_is_noticed(tmp_path: Path, name: str) -> None:
    old_cache(tmp_path)
    file, storage = a_file(name, SIZE), ChangingStorage(SIZE)
    storage.content = 1
    new = storage.bytes()
    async with run(tmp_path, storage) as cache:
        block = Span(4 * BLOCK_BYTES, 5 * BLOCK_BYTES) if name == "one block" else CACHED[0]
        with pytest.raises(ObjectChangedError):
            await read(cache, file, block, LAST)
        span = Span(0, SIZE)
        assert await read(cache, file, span) == [new]
    storage.ranges.clear()
    async with run(tmp_path, storage) as cache:
        assert await read(cache, file, span) == [new]
    assert storage.ranges == []


@real
async def test_one_odd_answer_does_not_drop_a_migrated_object(tmp_path: Path) -> None:
    old_cache(tmp_path)
    file, storage = a_file("half large", SIZE), ChangingStorage(SIZE)
    storage.odd_gets = 1
    async with run(tmp_path, storage) as cache:
        assert await read(cache, file, LAST, *CACHED)
        assert len(storage.ranges) == 1 + 2 + 1, "the odd one, two witnesses, what was wanted"
        storage.odd_gets = 2
        with pytest.raises(ETagDiffersError):
            await read(cache, a_file("one block", SIZE), LAST)


@real
async def test_a_migrated_object_without_a_good_block_is_a_new_one(tmp_path: Path) -> None:
    old_cache(tmp_path)
    for path in (tmp_path / DIRECTORY / "data").rglob("*"):
        if path.is_file():
            path.write_bytes(bytes(path.stat().st_size))
    file, storage = a_file("half large", SIZE), ChangingStorage(SIZE)
    async with run(tmp_path, storage) as cache:
        assert await read(cache, file, LAST, *CACHED) == [truth(*span) for span in (LAST, *CACHED)]


# Anything


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            "read read read read read change restart evict open close layout odd".split()
        ),
        st.integers(0, 1000),
        st.integers(0, 1000),
    ),
    min_size=5,
    max_size=40,
)


@dataclass
class Handle:
    """An open file, and the contents that all of its bytes so far may be of."""

    reader: Reader
    possible: set[int] | None = None


class Program:
    """A file of a storage that changes, over several runs."""

    def __init__(self, size: int) -> None:
        self.storage = ChangingStorage(size)
        self.file = a_file("f", size)
        self.handles: list[Handle] = []

    async def step(self, cache: BlockCache, name: str, a: int, b: int) -> None:
        match name:
            case "open":
                opened = await cache.open(self.file, self.storage.size)
                self.handles.append(Handle(Reader(self.file, opened, cache, 16 * MIB)))
            case "read" if self.handles:
                await self.read(self.handles[a % len(self.handles)], b)
            case "close" if self.handles:
                self.handles.pop(a % len(self.handles)).reader.close()
            case "change":
                self.storage.content += 1
            case "layout":
                self.storage.in_parts = not self.storage.in_parts
                cache._filling._source._urls.forget(self.file)  # type: ignore[attr-defined]
            case "odd":
                self.storage.odd_gets = 1
            case "evict":
                await settled(cache)
                cache.drop_memory()

    async def read(self, handle: Handle, at: int) -> None:
        offset = at * (self.storage.size - 1) // 1000
        length = (4096, BLOCK_BYTES, MIB)[at % 3]
        try:
            data, _ = await handle.reader.read(offset, length)
        except ObjectChangedError:
            return
        stop = min(offset + length, self.storage.size)
        contents = range(-1, self.storage.content + 1)
        found = {n for n in contents if self.storage.bytes(n)[offset:stop] == bytes(data)}
        assert found, "bytes of no content"
        handle.possible = found if handle.possible is None else handle.possible & found
        assert handle.possible, "bytes of two contents in one open file"

    def close(self) -> None:
        for handle in self.handles:
            handle.reader.close()
        self.handles.clear()


ODD_FIRST_ANSWER_OF_A_FURTHER_PART = [
    ("layout", 0, 0), ("read", 0, 403), ("odd", 0, 0), ("read", 0, 1),
]  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(steps=ODD_FIRST_ANSWER_OF_A_FURTHER_PART, size=SIZE)
@given(steps=STEPS, size=st.sampled_from([SMALL, SIZE]))
def test_bytes_of_one_open_file_are_of_one_content(
    steps: list[tuple[str, int, int]], size: int
) -> None:
    program, directory = Program(size), Path(tempfile.mkdtemp(prefix="dmfs-generations-"))

    @real
    async def main() -> None:
        left = [*steps]
        while left:
            async with run(directory, program.storage) as cache:
                await program.step(cache, "open", 0, 0)
                while left and left[0][0] != "restart":
                    await program.step(cache, *left.pop(0))
                program.close()
            left = left[1:]

    try:
        main()
    finally:
        shutil.rmtree(directory, ignore_errors=True)  # the store may be at it, too
