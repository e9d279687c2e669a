"""The gate without a mount: what is at hand is read without a word, also by a drive of its own."""

from __future__ import annotations

import os

import pytest

import dmfs.drive.gate
from dmfs.assembly import open_drive
from dmfs.blocks.whole.at_hand import from_cache_alone, is_at_hand
from dmfs.errors import AccessError, NeighbourRefusedError
from dmfs.neighbours.table import Kind
from dmfs.telemetry.processes import Process
from tests.support.helpers import real

SIZES = [0, 300_000, 9 * 1024 * 1024]
"""Nothing, three blocks, and more than is fetched in one piece."""


async def read(reader) -> bytes:
    found = b""
    try:
        while data := bytes((await reader.read(len(found), 1 << 20))[0]):
            found += data
    finally:
        reader.close()
    return found


@pytest.mark.parametrize("size", SIZES)
@real
async def test_what_is_at_hand_is_read_without_a_call(emulator, settings, new_file, size) -> None:
    file = new_file(size)
    async with open_drive(settings()) as drive:
        parts = drive.parts
        assert await is_at_hand(parts.blocks, parts.sizes, file) == (size == 0)
        whole = await read(await drive.open(file))
        assert len(whole) == size
        assert await is_at_hand(parts.blocks, parts.sizes, file)
    emulator.reset()
    async with open_drive(settings()) as drive:
        parts = drive.parts
        assert await is_at_hand(parts.blocks, parts.sizes, file)
        with from_cache_alone():
            reader = await drive.open(file)
        assert await read(reader) == whole
    assert emulator.counts()["sign"] == emulator.counts()["cdn_get"] == 0


@real
async def test_without_a_cache_on_disk_what_is_in_memory_is_at_hand(settings, new_file) -> None:
    file = new_file(300_000)
    async with open_drive(settings(cache_size=0)) as drive:
        parts = drive.parts
        whole = await read(await drive.open(file))
        assert await is_at_hand(parts.blocks, parts.sizes, file)
        with from_cache_alone():
            reader = await drive.open(file)
        assert await read(reader) == whole
        with from_cache_alone():
            reader = await drive.open(file)
        parts.blocks.drop_memory()
        with pytest.raises(AccessError, match="not in the cache any more"):
            await read(reader)


@real
async def test_a_part_is_not_at_hand_and_nothing_is_fetched(
    emulator, settings, new_file, monkeypatch
) -> None:
    """What was evicted after the open is an error, too."""
    monkeypatch.setattr(dmfs.drive.gate, "has_terminal", lambda _pid: False)
    file, indexer = new_file(9 * 1024 * 1024), Process(os.getpid(), "baloo_file", Kind.INDEXER)
    async with open_drive(settings()) as drive:
        reader = await drive.open(file)
        await reader.read(0, 1000)
        reader.close()
        emulator.reset()

        async def opens(found_in):
            return await drive.open(file, found_in)

        with pytest.raises(NeighbourRefusedError, match="is kept away"):
            await drive.open_by(indexer, file, None, opens)
        monkeypatch.setattr(dmfs.drive.gate, "is_at_hand", lambda *_: _true())
        reader = await drive.open_by(indexer, file, None, opens)
        with pytest.raises(AccessError, match="not in the cache any more"):
            await reader.read(8 * 1024 * 1024, 1000)
        reader.close()
        assert emulator.counts()["sign"] == 0
        assert [each.times for each in drive.activity.refusals.rows()] == [1]


async def _true() -> bool:
    return True
