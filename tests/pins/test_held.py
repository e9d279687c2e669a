"""What is held is what pins want: nothing leaks, and nothing of somebody else is let go of."""

from __future__ import annotations

import os
import sqlite3

import pytest
import trio

from dmfs.errors import DriveError
from tests.pins.keeping import (
    BIG,
    ONE,
    SMALL,
    TREE,
    complete,
    content,
    file_at,
    keeping,
    state,
    truth,
    unpinned,
    until,
)
from tests.support.helpers import real


async def _at_rest(drive, file):
    return (await drive.parts.blocks.disk.at_rest([file.storage_id]))[file.storage_id]


async def _holds(drive, number: int) -> None:
    with trio.fail_after(20):
        while len(await drive.parts.blocks.disk.held()) != number:
            await trio.sleep(0.05)


@real
async def test_a_lost_pins_db_holds_nothing_for_ever(emulator, settings, tmp_path):
    async with keeping(settings()) as drive:
        await complete(drive, SMALL)
    mine = settings()
    for ending in ("-wal", "-shm"):
        (mine.state_dir / f"pins.db{ending}").unlink(missing_ok=True)
    (mine.state_dir / "pins.db").write_bytes(b"x" * 5000)
    async with keeping(settings(state_dir=tmp_path / "another")) as another:
        await complete(another, f"{BIG}/big-01.bin")  # it shares the cache
        async with keeping(settings()) as drive:
            await _holds(drive, 1)
            await complete(drive, TREE)
            await _holds(drive, 9)
            await unpinned(drive, TREE)
            await _holds(drive, 1)
    assert not [*mine.state_dir.glob("held-*")]


@real
async def test_what_was_held_and_not_recorded_before_a_kill_is_let_go_of(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, f"{SMALL}/small-00001.txt")
        one = await file_at(drive, ONE)
        await drive.parts.pins.keeper._holdings.hold([one.storage_id])
    async with keeping(settings()) as drive:
        await _holds(drive, 1)


@real
async def test_files_of_a_pin_that_cannot_be_read_are_kept(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, TREE, ONE)
    with sqlite3.connect(settings().state_dir / "pins.db") as db:
        db.execute("UPDATE pins SET node = '[1,2' WHERE kind = 'folder'")
    db.close()
    async with keeping(settings()) as drive:
        await until(lambda: drive.parts.pins.keeper.works)
        await complete(drive, f"{SMALL}/small-00001.txt")
        await trio.sleep(1)
        assert len(drive.parts.pins.contents.files) == 10
        assert len(await drive.parts.blocks.disk.held()) == 10


@real
async def test_a_lost_block_of_a_pinned_file_is_fetched_again(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, ONE)
        file, store = await file_at(drive, ONE), drive.parts.block_store
        row = store._index.find(file.storage_id)
        with store._evictor.path(row.id).open("r+b") as handle:
            handle.write(b"\0" * 1000)
            handle.flush()
            os.fsync(handle.fileno())
        drive.parts.blocks.drop_memory()
        drive.force_offline(True)
        with pytest.raises(DriveError):
            await content(drive, file)  # which finds the damage
        drive.force_offline(False)
        await until(lambda: not drive.parts.client.breaker.is_open)
        store.tidy()
        emulator.reset()
        keeper = drive.parts.pins.keeper
        await until(lambda: keeper._pass_pause.left_s)
        keeper._pass_pause.end()
        with trio.fail_after(20):
            while not (await _at_rest(drive, file)).whole:
                await trio.sleep(0.1)
        await until(lambda: state(drive, ONE) == "complete")
        assert await content(drive, file) == truth(emulator, file)
