"""The keeper goes on after what fails: nothing is owed for longer than a look or two, and nothing
makes it work where there is nothing to do."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import trio

from dmfs.drive import Drive
from dmfs.errors import BusyError, DriveError, NoRoomError, WrongBytesError
from dmfs.model import Directory, File, Listing
from dmfs.namespace.listing_cache import Freshness, ListingCache
from dmfs.pins.pin_plan import make_plan, progress_of, survey
from dmfs.pins.pinned_listings import PinnedListings
from dmfs.pins.records import PinnedFile
from dmfs.pins.retries import Retries
from dmfs.pins.whereabouts import ABSENT_S, Absences
from dmfs.spans import MIB
from dmfs.system.clock import Moment
from tests.pins.keeping import (
    BIG,
    FILES,
    ONE,
    PROJECT,
    SMALL,
    TREE,
    complete,
    file_at,
    keeping,
    pin_of,
    pinned,
    state,
    unpinned,
    until,
)
from tests.pins.test_pin_plan import a_folder, a_pin
from tests.support.helpers import a_file, real, virtual


def folder_of(drive: Drive, path: str) -> str:
    """Where a pinned file is now."""
    node = pin_of(drive, path).node
    assert isinstance(node, File)
    return node.folder_id


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


@real
async def test_after_a_move_that_was_followed_nothing_is_done_each_second(
    emulator, settings, monkeypatch
):
    monkeypatch.setattr("dmfs.pins.keeper.LOOK_S", 0.1)
    monkeypatch.setattr("dmfs.pins.retries.RETRY_FIRST_S", 0.5)
    async with keeping(settings()) as drive:
        await complete(drive, ONE)
        emulator.change("move", path=f"{FILES}/big/big-00.bin", to=f"{FILES}/tree")
        await drive.parts.listings.renew(await drive.resolve(BIG))
        moved = await file_at(drive, f"{TREE}/big-00.bin")
        await until(lambda: folder_of(drive, ONE) == moved.folder_id)
        await until(lambda: state(drive, ONE) == "complete")
        await trio.sleep(1)
        keeper = drive.parts.pins.keeper
        one_pass, passes = keeper._pass, 0

        async def counted():
            nonlocal passes
            passes += 1
            return await one_pass()

        keeper._pass = counted
        await trio.sleep(1.5)
        assert passes <= 1


@real
async def test_what_the_poller_finds_during_a_pass_is_seen_by_the_next_one(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, TREE)
        listings = drive.parts.pins.keeper._listings
        keep, late = listings.keep, ["first.bin", "second.bin"]

        async def poll_finds(*_):
            emulator.change("add_item", path=f"{FILES}/tree", name=late.pop(), size=5000)
            await drive.parts.listings.list_again(await drive.resolve(PROJECT))

        async def keep_later(*words):  # the pass has looked at all listings, and goes on
            if late:
                await poll_finds()
            await keep(*words)

        listings.keep = keep_later
        await poll_finds()
        await until(lambda: pin_of(drive, TREE).progress.files_done == 10, 20)


@virtual
async def test_what_failed_and_is_not_wanted_any_more_is_never_due():
    retries = Retries()
    retries.failed("not wanted", None)
    retries.failed("wanted", None)
    await trio.sleep(3600)
    retries.keep({"wanted"})
    assert retries.due()
    retries.worked("wanted")
    assert not retries.due()


@real
async def test_a_moved_item_is_held_until_it_is_known_where_it_went(emulator, settings):
    async with keeping(settings()) as drive:
        await complete(drive, ONE)
        emulator.change("move", path=f"{FILES}/big/big-00.bin", to=f"{FILES}/tree")
        where = drive.parts.pins.keeper._where
        asked = 0

        async def fails(*_words):
            nonlocal asked
            asked += 1
            raise BusyError("429")

        tools = where._tools
        where._tools = replace(tools, item=fails)
        await drive.parts.listings.renew(await drive.resolve(BIG))
        await until(lambda: asked)
        await trio.sleep(1.5)
        assert len(await drive.parts.blocks.disk.held()) == 1
        where._tools = tools
        emulator.reset()
        moved = await file_at(drive, f"{TREE}/big-00.bin")
        await until(lambda: folder_of(drive, ONE) == moved.folder_id, 30)
        await until(lambda: state(drive, ONE) == "complete")
        assert emulator.counts()["cdn_get"] == 0


@virtual
async def test_what_moved_between_two_pinned_folders_is_not_let_go_of_on_the_way():
    top, a, b = a_folder("top"), a_folder("a"), a_folder("b")
    file = a_file("x")
    row = PinnedFile(file.project_id, file.item_id, a.identity, file)
    listings = {
        top.identity: Listing(top, {"a": a, "b": b}, 0.0),
        a.identity: Listing(a, {}, 0.0),  # listed after the move, and b before it
        b.identity: Listing(b, {}, 0.0),
    }
    found = survey([a_pin(top, 1)], lambda each: listings.get(each.identity))
    files = {row.key: row}
    absences = Absences()
    plans = []
    for waiting, sleep_s in ((False, ABSENT_S - 1), (True, 2), (False, 1)):
        spared = absences.spared(found, files, (), waiting=waiting)
        plans.append(make_plan(found, files, lambda _file: 1, 100, (), spared).drop)
        await trio.sleep(sleep_s)
    assert plans == [[], [], [row.key]]
    assert absences.due()
    assert absences.spared(found, files, {row.key}, waiting=False) == {row.key}
    there = {**listings, b.identity: Listing(b, {"x": file}, 0.0)}
    found = survey([a_pin(top, 1)], lambda each: there.get(each.identity))
    assert absences.spared(found, files, (), waiting=False) == set()
    assert make_plan(found, files, lambda _file: 1, 100).leaving == set()


@real
async def test_a_pinned_folder_that_was_not_wholly_described_is_listed_anew(emulator, settings):
    async with keeping(settings()) as drive:
        top = await drive.resolve(TREE)
        await drive.prepare(top)
        cache = drive.parts.listings.cache
        cached = cache.get(top.identity)
        cache.put(replace(cached.listing, undescribed=1), cached.moment)
        await complete(drive, TREE)
        emulator.change("add_item", path=f"{FILES}/tree", name="later.bin", size=5000)
        await drive.parts.listings.renew(await drive.resolve(PROJECT))
        await drive.parts.listings.renew(await drive.resolve(f"/{FILES}"))
        await until(lambda: pin_of(drive, TREE).progress.files == 9)


@virtual
async def test_an_incomplete_listing_is_listed_anew_after_a_while_that_doubles():
    cache, top = ListingCache(Freshness()), a_folder("top")

    async def renew(directory):
        times.append(trio.current_time() - began)
        listing = Listing(directory, {}, trio.current_time(), 1, undescribed=1)
        cache.put(listing, Moment.now())

    listings = SimpleNamespace(cache=cache, renew=renew)
    times: list[float] = []
    began = trio.current_time()
    await renew(top)
    pinned = PinnedListings(listings, None, lambda: False, Retries())  # type: ignore[arg-type]
    pins = [a_pin(top, 1)]
    while trio.current_time() < began + 4 * 3600:
        if pinned.is_due() or len(times) == 1:
            await pinned.refresh_changed(pins)
            pinned.remember(pins, survey(pins, pinned.look))
        await trio.sleep(1)
    pauses = [round(b - a) for a, b in pairwise(times)]
    assert pauses[:6] == [31, 61, 121, 241, 481, 961]
    assert set(pauses[6:]) == {1801}


def _only(listing: Listing, _directory: Directory) -> Listing:
    return listing


def test_what_cannot_be_described_or_read_is_not_called_complete():
    top = a_folder("top")
    for listing, words in (
        (Listing(top, {"x": a_file("x", storage_id="")}, 0.0, undescribed=1), "1 of its files"),
        (Listing(top, {}, 0.0, lost=1), "cannot be read"),
    ):
        found = survey([a_pin(top, 1)], partial(_only, listing))
        plan = make_plan(found, {}, lambda _file: 1, 100)
        pin = a_pin(top, 1)
        told = progress_of(pin, found, plan, lambda _file: 1, 100, trouble="", errors={})
        assert told.state == "failed"
        assert words in told.error


@real
async def test_bytes_that_are_wrong_twice_are_fetched_again_after_an_hour_also_by_another_keeper(
    emulator, settings, monkeypatch
):
    monkeypatch.setattr("dmfs.pins.retries.RETRY_FIRST_S", 0.2)
    monkeypatch.setattr("dmfs.pins.keeper.LOOK_S", 0.1)
    size = 10 * MIB
    async with keeping(settings()) as drive:
        drive.parts.blocks.disk.sha1_of = lambda _file: "0" * 40
        await pinned(drive, ONE)
        await until(lambda: emulator.calls()["cdn_bytes"] == 2 * size)
        await trio.sleep(2)
        assert emulator.calls()["cdn_bytes"] == 2 * size
    async with keeping(settings()) as drive:
        await until(lambda: drive.parts.pins.keeper.works)
        await trio.sleep(1)
        assert emulator.calls()["cdn_bytes"] == 2 * size
        assert state(drive, ONE) == "failed"
        emulator.change("new_version", path=f"{FILES}/big/big-00.bin", size=3_000_000)
        await drive.parts.listings.renew(await drive.resolve(BIG))
        await until(lambda: state(drive, ONE) == "complete")  # another version, at once


@virtual
async def test_the_pause_after_wrong_bytes_grows_from_an_hour_to_a_day():
    retries, pauses = Retries(), []
    for _ in range(8):
        retries.failed("x", WrongBytesError(""))
        began = trio.current_time()
        while not retries.may_try("x"):
            await trio.sleep(5)
        pauses.append(trio.current_time() - began)
    assert pauses == [5, 3600, 7200, 14400, 28800, 57600, 86400, 86400]


@real
async def test_many_files_are_planned_in_a_thread(emulator, settings, monkeypatch):
    threads = set()

    def planned(*words):
        threads.add(threading.current_thread() is threading.main_thread())
        return make_plan(*words)

    monkeypatch.setattr("dmfs.pins.keeper.MANY_FILES", 5)
    monkeypatch.setattr("dmfs.pins.keeper.make_plan", planned)
    async with keeping(settings()) as drive:
        await complete(drive, SMALL)
        await until(lambda: False in threads)
