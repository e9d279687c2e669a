"""What cannot be pinned, what vanishes, and what has no room."""

from __future__ import annotations

import pytest
import trio

from dmfs.errors import DriveError, NoRoomError, NotFoundError, SetupError, UsageError
from dmfs.model import File, Root, Shortcut
from dmfs.spans import MIB
from tests.pins.keeping import (
    BIG,
    FILES,
    ONE,
    PROJECT,
    SMALL,
    TREE,
    complete,
    content,
    costly,
    file_at,
    keeping,
    listed,
    pin_of,
    pinned,
    state,
    truth,
    unpinned,
    until,
)
from tests.support.fixtures import drive_settings, running_emulator
from tests.support.helpers import real


@real
async def test_more_than_there_is_room_for_is_refused_before_anything_is_fetched(
    emulator, settings
):
    async with keeping(settings(cache_size=16 * MIB)) as drive:
        with pytest.raises(NoRoomError, match=r"needs 20971520 bytes, and 14680064 are left"):
            await pinned(drive, BIG)
        assert (await listed(drive))[-1] == {"event": "done", "pins": 0}
        assert "cdn_get" not in costly(emulator)
        await complete(drive, ONE)  # what fits does
        with pytest.raises(NoRoomError, match=r"needs 10485760 bytes, and 4194304 are left"):
            await pinned(drive, f"{BIG}/big-01.bin")
        await pinned(drive, BIG.replace("big", "small"))


@real
async def test_what_arrives_and_does_not_fit_says_so_with_both_numbers(emulator, settings):
    async with keeping(settings(cache_size=16 * MIB)) as drive:
        await complete(drive, TREE)
        emulator.change("add_item", path=f"{FILES}/tree", name="later.bin", size=15_000_000)
        await drive.parts.listings.renew(await drive.resolve(TREE))
        await until(lambda: state(drive, TREE) == "no room")
        assert "15000000 bytes are needed" in pin_of(drive, TREE).progress.error
        assert pin_of(drive, TREE).progress.files_done == 8
        emulator.change("hide", path=f"{FILES}/tree/later.bin")
        await drive.parts.listings.renew(await drive.resolve(TREE))
        await until(lambda: state(drive, TREE) == "complete")


@real
async def test_what_makes_no_sense_to_pin_is_refused_with_the_reason(emulator, settings):
    async with keeping(settings()) as drive:
        for path in ("/", "/Bench"):
            with pytest.raises(UsageError, match="too much to pin"):
                await pinned(drive, path)
        with pytest.raises(NotFoundError):
            await pinned(drive, f"{PROJECT}/nothing")
        with pytest.raises(NotFoundError, match="is not pinned"):
            await unpinned(drive, PROJECT)
        with pytest.raises(UsageError):
            await pinned(drive)
        # all or none
        with pytest.raises(NotFoundError):
            await pinned(drive, TREE, f"{PROJECT}/nothing")
        assert len(await listed(drive)) == 1
    async with keeping(settings(cache_size=0)) as drive:
        with pytest.raises(SetupError, match="cache_size = 0"):
            await pinned(drive, TREE)


@real
async def test_a_shortcut_has_nothing_to_keep(tmp_path):

    with running_emulator(world="sample") as emulator:
        settings = drive_settings(emulator, tmp_path)
        async with keeping(settings) as drive:
            path = await _a_shortcut(drive)
            with pytest.raises(UsageError, match="shortcut"):
                await pinned(drive, path)


async def _a_shortcut(drive) -> str:
    waiting = [("", Root())]
    while waiting:
        path, directory = waiting.pop(0)
        try:
            listing = await drive.list(directory)
        except DriveError:
            continue
        for name, child in listing.entries.items():
            if isinstance(child, Shortcut):
                return f"{path}/{name}"
            if not isinstance(child, File):
                waiting.append((f"{path}/{name}", child))
    raise AssertionError("no shortcut in the sample")


@real
async def test_twice_inside_another_pin_and_an_empty_file(emulator, settings):
    emulator.change("add_item", path=f"{FILES}/tree", name="empty.txt", size=0)
    async with keeping(settings()) as drive:
        await complete(drive, TREE)
        await complete(drive, TREE, f"{TREE}/d0001")
        await complete(drive, f"{TREE}/empty.txt")
        assert [each["path"] for each in (await listed(drive))[:-1]] == [
            TREE, f"{TREE}/d0001", f"{TREE}/empty.txt",
        ]  # fmt: skip
        await unpinned(drive, TREE)
        await until(lambda: len(drive.parts.pins.contents.files) < 9)
        assert state(drive, f"{TREE}/d0001") == "complete"


@real
async def test_a_folder_that_is_renamed_and_moved_stays_pinned(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, f"{TREE}/d0001")
        emulator.change("rename", path=f"{FILES}/tree/d0001", name="another name")
        emulator.change("move", path=f"{FILES}/tree/another name", to=f"{FILES}/small")
        emulator.change("add_item", path=f"{FILES}/small/another name", name="n.dat", size=5000)
    async with keeping(settings()) as drive:
        await drive.parts.listings.renew(await drive.resolve(PROJECT))
        await drive.parts.listings.renew(await drive.resolve(SMALL))
        file = await file_at(drive, f"{SMALL}/another name/n.dat")
        await until(lambda: drive.parts.pins.is_whole(file))
        assert await content(drive, file) == truth(emulator, file)
        pin = drive.parts.pins.contents.pins[0]
        assert pin.chain[-1].name == "small", "changes there show by what is above it now"
        emulator.change("add_item", path=f"{FILES}/small/another name", name="m.dat", size=5000)
        await drive.parts.listings.renew(await drive.resolve(PROJECT))
        later = await file_at(drive, f"{SMALL}/another name/m.dat")
        await until(lambda: drive.parts.pins.is_whole(later))
        await unpinned(drive, f"{SMALL}/another name")


@real
async def test_an_item_that_is_moved_stays_pinned_and_one_that_is_deleted_is_gone(
    emulator, settings
):
    async with keeping(settings()) as drive:
        await complete(drive, ONE, f"{BIG}/big-01.bin")
        emulator.change("move", path=f"{FILES}/big/big-00.bin", to=f"{FILES}/tree")
        emulator.change("hide", path=f"{FILES}/big/big-01.bin")
        await drive.parts.listings.renew(await drive.resolve(BIG))
        await until(lambda: state(drive, f"{BIG}/big-01.bin") == "gone")
        await until(lambda: state(drive, ONE) == "complete" and pin_of(drive, ONE).progress.files)
        moved = await file_at(drive, f"{TREE}/big-00.bin")
        assert drive.parts.pins.is_whole(moved)
        assert len(drive.parts.pins.contents.pins) == 2, "the intention stays"


@real
async def test_a_pinned_folder_without_permission_keeps_its_intention_and_says_so(
    emulator, settings
):
    async with keeping(settings()) as drive:
        await complete(drive, TREE)
        whole = len(drive.parts.pins.contents.files)
        emulator.change("add_item", path=f"{FILES}/tree", name="later.dat", size=5000)
        emulator.change("revoke", path=f"{FILES}/tree")
        with pytest.raises(Exception):  # noqa: B017 - whichever
            await drive.parts.listings.renew(await drive.resolve(TREE))
        await trio.sleep(1)
        assert [each["path"] for each in (await listed(drive))[:-1]] == [TREE]
        assert len(drive.parts.pins.contents.files) == whole, "failure never looks like absence"
        assert len(await drive.parts.blocks.disk.held()) == whole


@real
async def test_another_sign_in_sees_none_of_them_and_they_sleep(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, TREE)
    async with keeping(settings(profile="other")) as drive:
        assert (await listed(drive))[-1]["pins"] == 0
        await complete(drive, ONE)
        await unpinned(drive, ONE)
        await until(lambda: not drive.parts.pins.contents.files)
        with trio.fail_after(10):
            while len(await drive.parts.blocks.disk.held()) != 8:
                await trio.sleep(0.05)
    async with keeping(settings()) as drive:
        assert state(drive, TREE) == "complete"


@real
async def test_attributes_tell_what_is_cached_and_pinned(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, TREE)
        tree, one = await drive.resolve(TREE), await file_at(drive, ONE)
        below = next(iter((await drive.list(tree)).entries.values()))
        pinned_, cached = "user.dmfs.pinned", "user.dmfs.cached"
        assert await drive.unlisted_xattr(tree, pinned_) == b"yes"
        assert await drive.unlisted_xattr(below, pinned_) == b"inherited"
        assert await drive.unlisted_xattr(one, pinned_) is None
        assert await drive.unlisted_xattr(tree, cached) is None
        assert await drive.unlisted_xattr(one, cached) == b"0"
        reader = await drive.open(one)
        await reader.read(0, 5 * MIB)
        reader.close()
        await drive.parts.blocks.drain()
        assert 20 <= int(await drive.unlisted_xattr(one, cached)) <= 90
        file = await file_at(drive, f"{TREE}/f00000.dat")
        assert await drive.unlisted_xattr(file, cached) == b"100"
        assert not {pinned_, cached} & {*drive.xattrs(file), *drive.xattrs(tree)}
