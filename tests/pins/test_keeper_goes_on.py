"""The keeper goes on after what fails: nothing is owed for longer than a look or two, and nothing
makes it work where there is nothing to do."""

from __future__ import annotations

import time

import trio

from dmfs.errors import DriveError, NoRoomError
from tests.pins.keeping import (
    BIG,
    SMALL,
    complete,
    keeping,
    unpinned,
)
from tests.support.helpers import real


@real
async def test_one_failed_write_of_pins_db_costs_seconds(emulator, settings):
    async with keeping(settings()) as drive:
        store = drive.parts.pins.store
        change, calls = store.change, 0

        def full(*words, **more):
            nonlocal calls
            calls += 1
            if calls == 3:
                raise NoRoomError("cannot write pins.db: its disk is full")
            return change(*words, **more)

        store.change = full
        with trio.fail_after(30):  # in a task of a nursery: no bug, which would cost 300 s
            await complete(drive, SMALL)
        assert calls > 3


@real
async def test_a_pass_that_failed_is_made_again_at_once(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, f"{SMALL}/small-00000.txt")
        keeper = drive.parts.pins.keeper
        room_bytes, calls = keeper._room_bytes, 0

        async def fails_once(others):
            nonlocal calls
            calls += 1
            if calls == 1:
                raise DriveError("the disk cache failed: database is locked")
            return await room_bytes(others)

        keeper._room_bytes = fails_once
        with trio.fail_after(30):
            await complete(drive, BIG)


@real
async def test_what_is_unpinned_while_pins_db_is_slow_is_let_go_of(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, SMALL)
        store = drive.parts.pins.store
        load = store.load

        def slow(scope):
            found = load(scope)
            time.sleep(1.5)  # the keeper looks meanwhile
            return found

        store.load = slow
        await unpinned(drive, SMALL)
        store.load = load
        with trio.fail_after(20):
            while await drive.parts.blocks.disk.held():
                await trio.sleep(0.1)
