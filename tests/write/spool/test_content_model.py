"""A draft against a bytearray: whatever is done to it, in any order."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from dmfs.write.spool.spool import Spool
from tests.write.spool.spooling import (
    BASE,
    ONE,
    draft_row,
    no_rows,
    open_spool,
    read_base,
    small_units,
)

MOST = 700
data = st.one_of(
    st.binary(min_size=1, max_size=150),
    st.integers(1, 150).map(bytes),
    st.tuples(st.integers(1, 255), st.integers(1, 400)).map(lambda x: bytes([x[0]]) * x[1]),
)
steps = st.one_of(
    st.tuples(st.just("write"), st.integers(0, MOST), data),
    st.tuples(st.just("write"), st.integers(0, MOST), data),
    st.tuples(st.just("append"), data),
    st.tuples(st.just("truncate"), st.integers(0, MOST)),
    st.tuples(st.just("read"), st.integers(0, MOST), st.integers(0, MOST)),
    st.tuples(st.just("confirm")),
    st.tuples(st.just("confirm_and_write"), st.integers(0, MOST), data),
    st.tuples(st.just("confirm_and_start_over"), st.integers(0, 500)),
    st.tuples(st.just("snapshot")),
    st.tuples(st.just("release")),
    st.tuples(st.just("start_over"), st.integers(0, 500)),
    st.tuples(st.just("tend")),
    st.tuples(st.just("tend_and_write"), st.integers(0, MOST), data),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("die")),
)


class Pair:
    """A draft and what it should be."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.spool = open_spool(directory)
        self.content = self.spool.create(ONE)
        self.now = bytearray()
        self.confirmed: bytes | None = None
        self.generation = 0
        self.snapshots: list[tuple[Any, bytes]] = []
        self.clock = 0
        self.dead: list[Spool] = []

    async def do(self, step: tuple[Any, ...]) -> None:
        await getattr(self, step[0])(*step[1:])

    async def write(self, offset: int, written: bytes) -> None:
        self.clock += 1
        self._put(offset, written)
        await self.content.write(offset, memoryview(written), mtime_ns=self.clock)

    def _put(self, offset: int, written: bytes) -> None:
        self.now.extend(bytes(max(0, offset - len(self.now))))
        self.now[offset : offset + len(written)] = written

    async def append(self, written: bytes) -> None:
        await self.write(len(self.now), written)

    async def truncate(self, size: int) -> None:
        self.clock += 1
        del self.now[size:]
        self.now.extend(bytes(size - len(self.now)))
        await self.content.truncate(size, mtime_ns=self.clock)

    async def read(self, offset: int, length: int) -> None:
        found = await self.content.read(offset, length, read_base)
        assert found == bytes(self.now[offset : offset + length])

    async def confirm(self) -> None:
        found = await self.content.confirm(lambda new: [draft_row(ONE, generation=new.generation)])
        assert found.generation > self.generation or bytes(self.now) == self.confirmed
        assert found.size_bytes == len(self.now)
        assert not self.content.dirty
        self.confirmed, self.generation = bytes(self.now), found.generation

    async def confirm_and_write(self, offset: int, written: bytes) -> None:
        """Which of both comes first is open; what is confirmed is one of both."""
        before = bytes(self.now)
        self.clock += 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.content.confirm, no_rows)
            await trio.sleep(0)
            await self.write(offset, written)
        found = self.content.snapshot()
        bytes_found = await found.read(0, found.size_bytes, read_base)
        assert bytes_found in (before, bytes(self.now))
        assert self.content.dirty or bytes_found == self.now
        self.confirmed, self.generation = bytes_found, found.generation
        self.content.release(found)

    async def confirm_and_start_over(self, base_bytes: int) -> None:
        before = bytes(self.now)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.content.confirm, no_rows)
            await trio.sleep(0)
            await self.start_over(base_bytes)
        found = self.content.snapshot()
        bytes_found = await found.read(0, found.size_bytes, read_base)
        assert bytes_found in (before, bytes(self.now))
        assert self.content.dirty or bytes_found == self.now
        self.confirmed, self.generation = bytes_found, found.generation
        self.content.release(found)

    async def snapshot(self) -> None:
        if self.confirmed is not None:
            self.snapshots.append((self.content.snapshot(), self.confirmed))

    async def release(self) -> None:
        if self.snapshots:
            self.content.release(self.snapshots.pop()[0])

    async def start_over(self, base_bytes: int) -> None:
        self.now = bytearray(BASE[:base_bytes])
        self.content.start_over(base_bytes)

    async def tend(self) -> None:
        await self.spool.tend()

    async def tend_and_write(self, offset: int, written: bytes) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.spool.tend)
            for _ in range(len(written) % 7):
                await trio.sleep(0)
            await self.write(offset, written)

    async def reopen(self) -> None:
        await self.spool.close()
        await self._again()

    async def die(self) -> None:
        """As kill -9: the kernel gives the lock back, and nobody writes anything."""
        self.spool._owner.release()
        self.dead.append(self.spool)
        await self._again()

    async def _again(self) -> None:
        self.snapshots.clear()
        self.spool = open_spool(self.directory)
        assert self.spool.damaged == ""
        found = self.spool.content(ONE)
        assert (found is None) == (self.confirmed is None)
        self.content = self.spool.create(ONE) if found is None else found
        self.now = bytearray(self.confirmed or b"")
        assert self.content.generation == self.generation
        assert self.content.dirty == (found is None)

    async def check(self) -> None:
        await self.read(0, 2000)
        assert self.content.size_bytes == len(self.now)
        assert self.content.generation == self.generation
        for snapshot, expected in self.snapshots:
            assert await snapshot.read(0, snapshot.size_bytes, read_base) == expected
            part = await snapshot.read(len(expected) // 3, len(expected) // 2, read_base)
            assert part == expected[len(expected) // 3 : len(expected) // 2]
            if snapshot.needs_base is False:
                assert all(each.kind != "base" for each in snapshot.pieces(0, snapshot.size_bytes))
        in_files = sum(
            path.stat().st_size for path in self.directory.glob(f"{ONE}/data*")
        )  # fmt: skip
        assert self.spool.used_bytes >= in_files
        assert self.spool._room.pending_bytes >= 0


@settings(max_examples=settings().max_examples * 2)
@given(st.lists(steps, max_size=30))
def test_a_draft_reads_as_it_was_written_and_comes_back_as_it_was_confirmed(done):
    async def run(directory: Path) -> None:
        pair = Pair(directory / "spool")
        try:
            for step in done:
                await pair.do(step)
                await pair.check()
            await pair.confirm()
            await pair.tend()
            await pair.check()
            pair.snapshots.clear()
            pair.content._snapshots.clear()
            await pair.tend()
            files = list(pair.directory.glob(f"{ONE}/data*"))
            assert len(files) <= 1
            assert pair.spool.used_bytes == sum(path.stat().st_size for path in files)
            await pair.reopen()
            await pair.check()
        finally:
            await pair.spool.close()
            for each in pair.dead:
                each._journal.close()

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        small_units(patch)
        trio.run(run, Path(place))
