"""Pins over the emulator: whole, newest, offline."""

from __future__ import annotations

import trio

from dmfs.assembly import open_drive
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
    cut,
    file_at,
    keeping,
    listed,
    state,
    truth,
    unpinned,
    until,
)
from tests.support.helpers import real


@real
async def test_what_is_pinned_reads_without_a_network(emulator, settings):
    async with keeping(settings()) as drive:
        events = await complete(drive, PROJECT)
        assert events[0]["event"] == "estimate"
        assert events[0]["files"] == 22
        done = events[-1]["pins"][0]
        assert (done["files"], done["files_done"]) == (22, 22)
        assert done["bytes"] == done["bytes_done"] == events[0]["bytes"]
        assert emulator.calls()["cdn_bytes"] == done["bytes"]
    names = [f"{SMALL}/small-{n:05}.txt" for n in range(12)] + [
        f"{BIG}/big-0{n}.bin" for n in (0, 1)
    ]
    async with keeping(settings()) as drive:
        true = {}
        for name in names:
            true[name] = truth(emulator, await file_at(drive, name))
    await cut(emulator)
    async with keeping(settings()) as drive:
        for name in names:
            assert await content(drive, await file_at(drive, name)) == true[name]


@real
async def test_a_complete_and_unchanged_pin_costs_no_call(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, PROJECT)
    emulator.reset()
    async with keeping(settings()) as drive:
        await until(lambda: drive.parts.pins.keeper.works)
        await trio.sleep(1)  # some looks
        assert costly(emulator) == {}
        reader = await drive.open(await file_at(drive, ONE))  # nor does an open of it
        await reader.read(0, 1000)
        reader.close()
        assert costly(emulator) == {}


@real
async def test_a_new_version_takes_the_place_of_the_old_one_once_it_is_whole(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, f"/{FILES}")
        old = await file_at(drive, ONE)
        emulator.change("new_version", path=f"{FILES}/big/big-00.bin", size=3_000_000)
        emulator.change("add_item", path=f"{FILES}/tree", name="later.dat", size=5000)
        emulator.reset()
        project = await drive.resolve(PROJECT)
        await drive.parts.listings.renew(project)  # as the poller does
        pins = drive.parts.pins
        await until(lambda: not pins.is_whole(old))
        new = await file_at(drive, ONE)
        assert pins.is_whole(new)
        assert await content(drive, new) == truth(emulator, new)
        await until(lambda: state(drive, f"/{FILES}") == "complete")
        assert pins.is_whole(await file_at(drive, f"{TREE}/later.dat"))
        # what the rollups show changed, and no other folder
        assert costly(emulator) == {"topFolders": 1, "contents": 3, "sign": 2, "cdn_get": 2}
        held = await drive.parts.blocks.disk.held()
        assert new.storage_id in held
        assert old.storage_id not in held


@real
async def test_between_two_versions_the_old_one_reads_when_the_network_is_cut(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, f"/{FILES}/big")
        old = await file_at(drive, ONE)
        true = truth(emulator, old)
        emulator.change("new_version", path=f"{FILES}/big/big-00.bin", size=9_000_000)
        emulator.fault("stall_before_headers", origin="cdn", times=None, seconds=None)
        await drive.parts.listings.renew(await drive.resolve(f"/{FILES}/big"))
        new = await file_at(drive, ONE)
        assert new.version_number == 2, "online a name shows the newest version"
        await until(lambda: state(drive, f"/{FILES}/big") == "fetching")
        changes: list[list[str]] = []
        drive.subscribe(lambda _directory, names: changes.append([*names]))
        await cut(emulator)
        drive.parts.client.breaker.failed()
        await until(lambda: drive.parts.client.breaker.is_open)
        assert changes == [["big-00.bin"]]
        assert (await file_at(drive, ONE)).version_id == old.version_id
        assert await content(drive, await file_at(drive, ONE)) == true
    async with keeping(settings()) as drive:  # and after a remount
        shown = await file_at(drive, ONE)
        assert shown.version_id == old.version_id
        assert await content(drive, shown) == true


@real
async def test_a_version_with_wrong_bytes_never_takes_the_place_of_a_right_one(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, f"/{FILES}/big")
        old = await file_at(drive, ONE)
        emulator.change("new_version", path=f"{FILES}/big/big-00.bin", size=9_000_000)
        emulator.fault("wrong_bytes", origin="cdn", times=None)
        await drive.parts.listings.renew(await drive.resolve(f"/{FILES}/big"))
        await until(lambda: state(drive, f"/{FILES}/big") == "failed")
        assert "checksum" in (await listed(drive))[0]["error"]
        assert drive.parts.pins.is_whole(old)
        assert old.storage_id in await drive.parts.blocks.disk.held()
        emulator.clear_faults()
        await until(lambda: state(drive, f"/{FILES}/big") == "complete")  # it is tried again
        assert not drive.parts.pins.is_whole(old)


@real
async def test_two_keepers_at_once_fetch_nothing_twice_and_one_takes_over(emulator, settings):
    async with keeping(settings()) as second:
        async with keeping(settings()) as first:
            emulator.reset()
            async with trio.open_nursery() as nursery:
                for drive in (first, second):
                    nursery.start_soon(complete, drive, f"/{FILES}")
            size = (await listed(first))[0]["bytes"]
            assert emulator.calls()["cdn_bytes"] == size
            assert emulator.counts()["sign"] == 22
            works = [drive.parts.pins.keeper.works for drive in (first, second)]
            assert sorted(works) == [False, True]
            ends, stays = (first, second) if works[0] else (second, first)
        if ends is second:
            return  # the other one ended: nothing to take over
        emulator.change("add_item", path=f"{FILES}/tree", name="later.dat", size=5000)
        await until(lambda: stays.parts.pins.keeper.works)
        # not ``renew``: it may take what the other drive listed a moment before the change
        await stays.parts.listings.list_again(await stays.resolve(PROJECT))
        await until(lambda: (f := stays.parts.pins.contents.files) and len(f) == 23)


@real
async def test_what_is_unpinned_is_let_go_of(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, f"{TREE}", f"{SMALL}/small-00001.txt")
        events = await listed(drive)
        assert [each["path"] for each in events[:-1]] == [TREE, f"{SMALL}/small-00001.txt"]
        disk = drive.parts.blocks.disk
        assert len(await disk.held()) == 9
        await unpinned(drive, TREE)
        with trio.fail_after(10):
            while len(await disk.held()) != 1:
                await trio.sleep(0.05)
        await unpinned(drive, f"{SMALL}/small-00001.txt")
        with trio.fail_after(10):
            while await disk.held():
                await trio.sleep(0.05)
        assert drive.parts.pins.contents.leaving == frozenset()


@real
async def test_a_cache_that_was_deleted_is_filled_again(emulator, settings, tmp_path):
    async with keeping(settings()) as drive:
        await complete(drive, TREE)
    (tmp_path / "cache").rename(tmp_path / "gone")
    emulator.reset()
    async with keeping(settings()) as drive:
        await until(lambda: state(drive, TREE) == "complete" and emulator.counts()["cdn_get"] == 8)
        assert len(await drive.parts.blocks.disk.held()) == 8
        assert emulator.counts()["contents"] == 4


@real
async def test_what_is_pinned_is_never_evicted(emulator, settings, monkeypatch):
    monkeypatch.setattr("dmfs.blocks.open_objects.IDLE_OBJECTS", 2)  # what is open stays, too
    monkeypatch.setattr("dmfs.blocks.open_objects.RELEASED_AT_ONCE", 1)
    for number in range(40):
        emulator.change("add_item", path=f"{FILES}/small", name=f"r{number}.bin", size=2 * MIB)
    small_cache = {"cache_size": 8 * MIB}
    async with keeping(settings(**small_cache)) as one, keeping(settings(**small_cache)) as two:
        await complete(one, TREE)
        names = [f"{SMALL}/r{number}.bin" for number in range(40)]
        files = [await file_at(one, name) for name in names]
        for file in files:
            for drive in (one, two):
                await content(drive, file)
                drive.parts.blocks.drop_memory()
        for drive in (one, two):
            await drive.parts.blocks.drain()
        assert sum(d.gauges()["store.evicted_bytes"] for d in (one, two)) > 32 * MIB
        pinned = [each.whole for each in two.parts.pins.contents.files.values()]
        at_rest = await two.parts.blocks.disk.at_rest([each.storage_id for each in pinned])
        assert len(pinned) == 8
        assert all(each.whole for each in at_rest.values())
        emulator.reset()
        for file in pinned:
            assert await content(two, file) == truth(emulator, file)
        assert costly(emulator) == {}


@real
async def test_a_keeper_hears_of_a_pin_that_somebody_else_in_its_process_saw_first(
    emulator, settings
):
    async with keeping(settings()) as keeps, open_drive(settings()) as other:
        await complete(keeps, f"{SMALL}/small-00001.txt")
        tree = await keeps.resolve(TREE)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(complete, other, TREE)
            with trio.fail_after(10):
                while await keeps.unlisted_xattr(tree, "user.dmfs.pinned") != b"yes":
                    await trio.lowlevel.checkpoint()
        assert keeps.parts.pins.keeper.works
        await until(lambda: len(keeps.parts.pins.contents.files) == 9)
