"""A storage object whose bytes and ETag change: what a drive gives is of one content, before and
after a restart. (A storage id stands for its bytes; should the service ever break that rule, a file
must not be made of two.)"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from dmfs.assembly import open_drive
from dmfs.blocks.reader import AnyReader
from dmfs.blocks.store.block_store import DIRECTORY
from dmfs.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import ObjectChangedError
from dmfs.model import File
from dmfs.spans import BLOCK_BYTES, MIB
from tests.support.helpers import a_new_file, real

Make = Callable[..., Any]
LARGE = 20 * MIB + 12_345
SMALL = 3 * BLOCK_BYTES + 777
STEP = MIB


class Changing:
    """A file whose object is going to change."""

    def __init__(self, emulator: EmulatorProcess, size: int) -> None:
        self._emulator = emulator
        self.file = a_new_file(emulator, size)
        self.size = size
        self.contents = [emulator.bytes(self.file.storage_id)]

    def change(self) -> None:
        self._emulator.change("replace_bytes", id=self.file.item_id)
        self.contents.append(self._emulator.bytes(self.file.storage_id))
        assert self.contents[-1] != self.contents[-2]

    async def read(self, reader: AnyReader, offset: int, length: int) -> set[int] | None:
        """Which of the contents the bytes are of; None for ESTALE."""
        try:
            data, _ = await reader.read(offset, length)
        except ObjectChangedError:
            return None
        stop = min(offset + length, self.size)
        assert len(data) == stop - offset
        found = {n for n, each in enumerate(self.contents) if each[offset:stop] == bytes(data)}
        assert found, "bytes of neither"
        return found

    async def read_all(self, reader: AnyReader, *, backwards: bool = False) -> set[int]:
        """Everything up to an ESTALE; all bytes are of one content."""
        offsets = range(0, self.size, STEP)
        possible = set(range(len(self.contents)))
        for offset in reversed(offsets) if backwards else offsets:
            found = await self.read(reader, offset, STEP)
            if found is None:
                break
            possible &= found
            assert possible, "bytes of two contents in one open file"
        return possible

    async def read_anew(self, drive: Drive) -> None:
        """A file opened now is all new."""
        async with opened(drive, self.file) as reader:
            newest = {len(self.contents) - 1}
            assert await self.read_all(reader) == newest
            assert await self.read(reader, 0, STEP) == newest


@asynccontextmanager
async def opened(drive: Drive, file: File) -> AsyncIterator[AnyReader]:
    reader = await drive.open(file)
    try:
        yield reader
    finally:
        reader.close()


async def read_half(drive: Drive, changing: Changing) -> None:
    """The first half, and whatever is read ahead of it."""
    async with opened(drive, changing.file) as reader:
        for offset in range(0, changing.size // 2, STEP):
            assert await changing.read(reader, offset, STEP) is not None
    await drive.parts.blocks.drain()


KINDS = pytest.mark.parametrize("signing", [None, "chunked"], ids=["whole", "in parts"])


@KINDS
@pytest.mark.parametrize("backwards", [False, True])
@real
async def test_an_object_that_changed_between_two_runs_is_not_mixed(
    emulator: EmulatorProcess, settings: Make, signing: str | None, backwards: bool
) -> None:
    emulator.settings(signing=signing)
    changing = Changing(emulator, LARGE)
    chosen = settings(max_window=MIB)
    async with open_drive(chosen) as drive:
        await read_half(drive, changing)
    changing.change()
    async with open_drive(chosen) as drive:
        async with opened(drive, changing.file) as reader:
            assert reader.keep_cache
            seen = await changing.read_all(reader, backwards=backwards)
            assert seen == ({1} if backwards else {0}), "the cached half, then ESTALE"
            assert await changing.read(reader, LARGE // 2, STEP) == ({1} if backwards else None)
        await changing.read_anew(drive)
        async with opened(drive, changing.file) as reader:
            assert not reader.keep_cache, "the kernel may have pages of the old content"
        await drive.parts.blocks.drain()
    emulator.reset()
    async with open_drive(chosen) as drive:
        await changing.read_anew(drive)
    assert emulator.calls()["cdn_bytes"] == 0, "what came after the change is at rest"


@real
async def test_a_small_file_that_changed_between_two_runs_is_not_mixed(
    emulator: EmulatorProcess, settings: Make
) -> None:
    changing = Changing(emulator, SMALL)
    async with open_drive(settings()) as drive:
        await read_half(drive, changing)
    changing.change()
    data = [each for each in settings().cache_dir.rglob(f"{DIRECTORY}/data/*/*") if each.is_file()]
    (path,) = data
    with path.open("r+b") as file:  # one of its blocks is lost
        file.seek(2 * BLOCK_BYTES)
        file.write(b"\0" * 100)
    async with open_drive(settings()) as drive:
        async with opened(drive, changing.file) as reader:
            assert len(await changing.read_all(reader)) == 1
        await changing.read_anew(drive)


@KINDS
@real
async def test_two_drives_over_one_cache_do_not_mix_an_object_that_changes(
    emulator: EmulatorProcess, settings: Make, signing: str | None
) -> None:
    emulator.settings(signing=signing)
    changing = Changing(emulator, LARGE)
    chosen = settings(max_window=MIB)
    async with open_drive(chosen) as one, open_drive(chosen) as two:
        await read_half(one, changing)
        async with opened(one, changing.file) as first, opened(two, changing.file) as second:
            assert await changing.read(first, 0, STEP) == {0}
            assert await changing.read(second, STEP, STEP) == {0}
            changing.change()
            assert await changing.read_all(second) == {0}
            assert await changing.read(second, LARGE - STEP, STEP) is None
            await changing.read_anew(two)
            await two.parts.blocks.drain()
            one.parts.blocks.drop_memory()
            assert 0 in await changing.read_all(first), "what it has open, as far as it is there"
            assert await changing.read(first, LARGE - STEP, STEP) is None
        await changing.read_anew(one)
        await changing.read_anew(two)


@real
async def test_an_odd_etag_after_a_restart_does_not_cost_the_cache(
    emulator: EmulatorProcess, settings: Make
) -> None:
    changing = Changing(emulator, LARGE)
    chosen = settings(max_window=MIB)
    async with open_drive(chosen) as drive:
        await read_half(drive, changing)
    emulator.reset()
    emulator.fault("changed_etag", origin="cdn", times=1)
    async with open_drive(chosen) as drive:
        for _ in range(2):
            await changing.read_anew(drive)
    assert [fault["hits"] for fault in emulator.faults()] == [1]
    assert emulator.calls()["cdn_bytes"] < LARGE * 0.75, "the first half stayed"


@real
async def test_an_object_that_changes_while_it_is_read_by_many_is_not_mixed(
    emulator: EmulatorProcess, settings: Make
) -> None:
    changing = Changing(emulator, LARGE)
    async with open_drive(settings(max_window=MIB)) as drive:
        await read_half(drive, changing)

        async def read(backwards: bool) -> None:
            async with opened(drive, changing.file) as reader:
                assert len(await changing.read_all(reader, backwards=backwards)) == 1

        emulator.settings(cdn_latency_ms=20)
        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(read, bool(number % 2))
            await trio.to_thread.run_sync(changing.change)
        await changing.read_anew(drive)
