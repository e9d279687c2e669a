"""An open file of fsspec: which bytes it gives, to whom, and what it fetches for them."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmfs.emulator.process import EmulatorProcess
from dmfs.spans import BLOCK_BYTES, KIB, MIB
from dmfs.spec.file import BUFFER_BYTES, OpenFile, RawFile
from dmfs.spec.filesystem import DmfsFileSystem
from dmfs.spec.reading import READ_BYTES
from tests.spec.conftest import BENCH

DATA = random.Random(11).randbytes(7 * BLOCK_BYTES + 99)


class Bytes:
    """A reader of bytes that are at hand; keeps what it was asked for."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size_bytes = data, len(data)
        self.asked: list[tuple[int, int, int]] = []
        self.fails = False

    async def read(self, offset: int, length: int, until: int = 0) -> tuple[bytes, bool]:
        self.asked.append((offset, length, until))
        if self.fails:
            raise OSError("away")
        return self.data[offset : offset + length], True

    def close(self) -> None: ...


def opened(reader: Bytes) -> OpenFile:
    async def open_reader(_leaf: object) -> Bytes:
        return reader

    drive: Any = SimpleNamespace(writing=None, open=open_reader)

    def run(work: Callable[[Any], Awaitable[Any]], _path: str) -> Any:
        step: Any = work(drive)  # nothing in it waits
        try:
            step.send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("waits")

    leaf: Any = None
    return OpenFile(RawFile(leaf, "/a", run), None, "/a", {})


SIZES = st.sampled_from([0, 1, 4096, 50 * KIB, BUFFER_BYTES, 205 * KIB, MIB, -1, None])
PLACES = st.integers(0, len(DATA) + 10)
STEPS = st.one_of(
    st.tuples(st.just("read"), SIZES),
    st.tuples(st.just("readinto"), st.integers(0, 300 * KIB)),
    st.tuples(st.just("readline"), st.integers(0, 300)),
    st.tuples(st.just("seek"), PLACES),
    st.tuples(st.just("skip"), st.integers(0, 90 * KIB)),
)


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=12))
def test_it_is_a_file_as_any_other(steps: list[tuple[str, Any]]) -> None:
    ours, model = opened(Bytes(DATA)), io.BytesIO(DATA)
    for verb, much in steps:
        if verb == "skip":
            assert ours.seek(much, os.SEEK_CUR) == model.seek(much, os.SEEK_CUR)
        elif verb == "readinto":
            one, two = bytearray(much), bytearray(much)
            assert ours.readinto(one) == model.readinto(two)
            assert one == two
        else:
            assert getattr(ours, verb)(much) == getattr(model, verb)(much)
        assert ours.tell() == model.tell()


def test_threads_that_seek_and_read_one_file_get_their_own_bytes() -> None:
    """DuckDB's do, without a lock."""
    file = opened(Bytes(DATA))
    first, second, third = (ThreadPoolExecutor(1) for _ in range(3))
    places = {first: 300 * KIB, second: 5, third: 512 * KIB}

    def on(thread: ThreadPoolExecutor, verb: Callable[..., Any], *arguments: Any) -> Any:
        return thread.submit(verb, *arguments).result()

    for size in (100, 205 * KIB):
        for thread, place in places.items():
            on(thread, file.seek, place)
        assert on(first, file.tell) == 300 * KIB
        for thread, place in places.items():
            assert on(thread, file.read, size) == DATA[place : place + size]
    # what was sought before is no more where a thread has sought anew, or has read
    on(first, file.seek, 9)
    on(second, file.seek, 700)
    on(first, file.seek, 50)
    into = bytearray(10)
    assert on(second, file.readinto, into) == 10
    assert into == DATA[700:710]
    assert on(first, file.read, 10) == DATA[50:60]
    # a file is handed on: who has not sought reads on where it stands
    assert on(third, file.read, 10) == DATA[60:70]
    assert on(first, file.read, 10) == DATA[70:80]
    for thread in places:
        thread.shutdown()


def test_threads_read_one_file_at_once() -> None:
    """Many seeks and reads at random: each gets the bytes of its place."""
    file = opened(Bytes(DATA))

    def reader(seed: int) -> bool:
        dice = random.Random(seed)
        for _ in range(300):
            place = dice.randrange(len(DATA))
            size = dice.choice((3, 4096, 150 * KIB))
            file.seek(place)
            if file.read(size) != DATA[place : place + size]:
                return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(reader, range(4)))


def test_a_read_that_fails_is_read_again_from_its_place() -> None:
    reader = Bytes(DATA)
    file = opened(reader)
    file.seek(1000)
    reader.fails = True
    with pytest.raises(OSError, match="away"):
        file.read(300 * KIB)
    reader.fails = False
    assert file.read(300 * KIB) == DATA[1000 : 1000 + 300 * KIB]
    reader.data = DATA[: 400 * KIB]  # what was written there is truncated
    assert len(file.read(300 * KIB)) == 100 * KIB - 1000
    assert file.tell() == 400 * KIB


def test_what_is_wanted_is_asked_for_in_one_read_and_a_buffer_ends_with_a_block() -> None:
    reader = Bytes(DATA)
    file = opened(reader)
    place = 2 * BLOCK_BYTES - 1000
    for size in (205 * KIB, 4096):  # both are of two blocks
        file.seek(place)
        file.read(size)
        assert reader.asked.pop() == (place, size, place + size)
    file.seek(50)
    file.read(10)
    assert reader.asked == [(50, BLOCK_BYTES - 50, 0)]


@pytest.mark.parametrize("verb", ["read", "readinto"])
def test_a_long_read_goes_in_steps_that_tell_its_end(verb: str) -> None:
    reader = Bytes(bytes(10 * MIB))
    file = opened(reader)
    file.seek(7)
    getattr(file, verb)(9 * MIB if verb == "read" else bytearray(9 * MIB))
    end = 7 + 9 * MIB
    assert reader.asked == [
        (at, min(READ_BYTES, end - at), end) for at in range(7, end, READ_BYTES)
    ]


def test_columns_cost_the_blocks_that_they_lie_in(
    emulator: EmulatorProcess, fs: DmfsFileSystem
) -> None:
    """Chunks of a Parquet file: 3 of 20 columns, 205 KiB each."""
    emulator.change("add_item", path=BENCH.lstrip("/"), name="a.parquet", size=40 * MIB)
    chunks = [(20 * group + n) * 205 * KIB + 4 for group in range(9) for n in (3, 9, 15)]
    with fs.open(f"{BENCH}/a.parquet") as file:
        emulator.reset()
        file.seek(-64 * KIB, os.SEEK_END)
        file.read()
        for place in chunks:
            file.seek(place)
            assert len(file.read(205 * KIB)) == 205 * KIB
    blocks = {n for at in chunks for n in range(at >> 17, (at + 205 * KIB - 1 >> 17) + 1)}
    calls = emulator.calls()
    assert calls["cdn_bytes"] == (len(blocks) + 1) * BLOCK_BYTES
    assert calls["counts"]["cdn_get"] <= len(chunks) + 1


def test_a_member_of_a_zip_costs_its_blocks(emulator: EmulatorProcess, fs: DmfsFileSystem) -> None:
    """As zipfile reads it: the directory, the header, the name, and then all at once."""
    emulator.change("add_item", path=BENCH.lstrip("/"), name="a.zip", size=40 * MIB)
    header = 20 * MIB + 500
    with fs.open(f"{BENCH}/a.zip") as file:
        emulator.reset()
        file.seek(-22, os.SEEK_END)
        file.read(22)
        file.seek(header)
        file.read(30)
        file.read(12)
        file.read(1536 * KIB)
    calls = emulator.calls()
    assert calls["cdn_bytes"] == (1 + 13) * BLOCK_BYTES
    assert calls["counts"]["cdn_get"] <= 4
