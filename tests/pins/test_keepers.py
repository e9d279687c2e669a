"""Who is the keeper: one, and one that reaches the service."""

from __future__ import annotations

import trio

from dmfs.pins.keeper_lock import KeeperLock
from tests.pins.keeping import (
    BIG,
    ONE,
    SMALL,
    TREE,
    complete,
    file_at,
    keeping,
    listed,
    pinned,
    state,
    until,
)
from tests.support.helpers import real


@real
async def test_a_mount_that_is_asked_to_work_offline_does_not_stop_the_pins_of_another_one(
    emulator, settings
):
    async with keeping(settings()) as one:
        await complete(one, f"{SMALL}/small-00000.txt")
        async with keeping(settings()) as two:
            one.force_offline(True)
            await until(lambda: two.parts.pins.keeper.works)
            await complete(two, BIG)
            assert not one.parts.pins.keeper.works


@real
async def test_without_another_keeper_one_that_works_offline_says_so_and_goes_on_afterwards(
    emulator, settings
):
    async with keeping(settings()) as drive:
        await complete(drive, SMALL)
        await file_at(drive, ONE)
        drive.force_offline(True)
        with trio.fail_after(20):
            events = await pinned(drive, ONE)
        assert [each["state"] for each in events[-1]["pins"]] == ["waiting"]
        drive.force_offline(False)
        await until(lambda: state(drive, ONE) == "complete")


@real
async def test_mounts_that_show_service_folders_share_pins_and_keeper_with_others(
    emulator, settings
):
    async with keeping(settings()) as one, keeping(settings(), service_folders=True) as two:
        await complete(one, TREE)
        assert (await listed(two))[0]["path"] == TREE
        await trio.sleep(1.5)
        works = [drive.parts.pins.keeper.works for drive in (one, two)]
        assert sorted(works) == [False, True]  # whichever of them was first


def test_a_lock_whose_file_was_deleted_is_given_back(tmp_path):
    one, two = (KeeperLock(tmp_path / "keeper.lock") for _ in range(2))
    assert one.acquire()
    assert one.is_good()
    assert not two.acquire()
    (tmp_path / "keeper.lock").unlink()
    assert two.acquire()
    assert not one.is_good()
    assert not one.acquire(), "the other one has it"
    two.release()
    assert one.acquire()
    one.release()


@real
async def test_two_keepers_are_one_again_after_the_lock_was_deleted(emulator, settings):
    async with keeping(settings()) as one:
        await complete(one, TREE)
        lock = one.parts.pins.keeper._lock
        lock._path.unlink()
        async with keeping(settings()) as two:
            keepers = [each.parts.pins.keeper for each in (one, two)]
            await until(lambda: keepers[1].works or lock.is_good())
            await trio.sleep(2)
            assert sorted(each.works for each in keepers) == [False, True]
