"""Drives over the real emulator, without a mount: what is asked, by how many, and how often."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio

import dmfs.system.clock
from dmfs.assembly import open_drive
from dmfs.errors import AccessError, DriveError, OfflineError
from dmfs.model import File, Folder, Listing
from tests.drive.conftest import PROJECT
from tests.support.helpers import no_thread, real
from tests.support.mounts import wait_until

WIDE = f"{PROJECT}/Project Files/wide"
TREE = f"{PROJECT}/Project Files/tree"


async def listing(drive, path: str) -> Listing:
    return await drive.parts.listings.get(await drive.resolve(path))


def go_away(emulator, seconds: float, *origins: str) -> None:
    """The API last: with it goes the way to tell the emulator anything."""
    for origin in sorted(origins, reverse=True):
        emulator.refuse(origin, seconds)
    if "api" in origins:
        wait_until(lambda: not _answers(emulator), 5)


async def read(drive, file: File) -> bytes:
    reader = await drive.open(file)
    try:
        data, _ = await reader.read(0, 1 << 20)
        return bytes(data)
    finally:
        reader.close()


async def until(done) -> None:
    with trio.fail_after(20):
        while not done():
            await trio.sleep(0.05)


@real
async def test_a_drive_ends_where_the_machine_has_no_thread(settings, monkeypatch):
    opened = AsyncExitStack()
    await opened.enter_async_context(open_drive(settings()))
    with no_thread(monkeypatch):
        await opened.aclose()
    async with open_drive(settings()) as drive:
        assert await listing(drive, TREE)


@real
async def test_pages_are_requested_at_once_and_none_in_vain(emulator, settings):
    async with open_drive(settings()) as drive:
        directory = await drive.resolve(WIDE)
        assert isinstance(directory, Folder)
        emulator.fault("stall_before_headers", route="contents", times=None, seconds=None)
        emulator.reset()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drive.parts.aps.children, directory)
            # none is answered, so each page is requested without the one before it
            await until(lambda: emulator.counts()["contents"] == 12)
            nursery.cancel_scope.cancel()
        emulator.clear_faults()
        emulator.reset()
        assert len((await listing(drive, WIDE)).entries) == 2300
        assert {k: n for k, n in emulator.counts().items() if n} == {"contents": 12}


@real
async def test_a_listing_that_fails_at_page_7_of_12_leaves_the_old_one(emulator, settings):
    async with open_drive(settings(ttl=0.0)) as drive:
        old = await listing(drive, WIDE)
        directory = old.directory
        emulator.fault("status", route="contents", page=7, times=None, status=500)
        assert (await drive.parts.listings.get(directory)).entries == old.entries
        with pytest.raises(DriveError):
            await drive.parts.listings.renew(directory)
        assert drive.parts.listings.known(directory) is old
        assert drive.parts.listings.fresh_for(directory) <= 0


@real
async def test_two_drives_and_a_command_at_once_make_one_call(emulator, settings):
    """Three drives with one cache, as three processes have."""
    emulator.settings(api_latency_ms=200)
    async with open_drive(settings()) as one, open_drive(settings()) as two:
        await one.resolve(TREE)
        await two.resolve(TREE)
        emulator.reset()
        async with open_drive(settings()) as three, trio.open_nursery() as nursery:
            for drive in (one, two, three):
                nursery.start_soon(listing, drive, TREE)
        assert emulator.counts()["contents"] == 1
        assert emulator.counts()["hubs"] == 0


@real
async def test_a_drive_starts_warm(emulator, settings):
    async with open_drive(settings()) as drive:
        first = await listing(drive, WIDE)
    emulator.reset()
    async with open_drive(settings()) as drive:
        assert len(drive.parts.listings.cache) == 0, "nothing is loaded before it is needed"
        assert (await listing(drive, WIDE)).entries == first.entries
    assert emulator.counts()["contents"] == emulator.counts()["hubs"] == 0


@real
async def test_an_unchanged_project_is_one_call(emulator, settings):
    async with open_drive(settings(ttl=1.0)) as drive:
        top = await listing(drive, TREE)
        below = [each for each in top.entries.values() if isinstance(each, Folder)]
        for each in below:
            await drive.parts.listings.get(each)
        await trio.sleep(1.1)
        emulator.reset()
        await listing(drive, TREE)
        for each in below:
            await drive.parts.listings.get(each)
        assert {k: n for k, n in emulator.counts().items() if n} == {"topFolders": 1}


@real
async def test_a_folder_that_was_taken_away_is_shown_so(emulator, settings):
    made = emulator.change("add_folder", path="Bench/Bench Project/Project Files", name="secret")
    async with open_drive(settings(ttl=0.0, patience=30.0)) as drive:
        found = await listing(drive, f"{PROJECT}/Project Files/secret")
        emulator.fault("status", route="contents", contains=made["id"].rpartition(":")[2],
                       times=None, status=403)  # fmt: skip
        emulator.fault("status", route="contents", times=None, status=503)
        emulator.fault("status", route="topFolders", times=None, status=503)
        assert (await drive.parts.listings.get(found.directory)).entries == found.entries
        emulator.clear_faults()
        emulator.change("revoke", id=made["id"])
        drive.parts.listings.cache.end_cooldowns()
        with pytest.raises(AccessError):
            await drive.parts.listings.get(found.directory)
        emulator.change("grant", id=made["id"])


@real
async def test_offline_and_back(emulator, settings):
    """Known things answer at once, the rest fails at once, and all comes back by itself."""
    async with open_drive(settings(ttl=0.0, patience=0.2)) as drive:
        known = await listing(drive, TREE)
        go_away(emulator, 6.0, "api")
        with pytest.raises(DriveError):
            await drive.parts.listings.renew(known.directory)
        await until(lambda: drive.parts.client.breaker.is_open)
        for _ in range(50):
            assert (await drive.parts.listings.get(known.directory)).entries == known.entries
            with pytest.raises(OfflineError):  # nothing was tried
                await drive.parts.listings.get(
                    next(each for each in known.entries.values() if isinstance(each, Folder))
                )
        await until(lambda: not drive.parts.client.breaker.is_open)
        await drive.parts.listings.renew(known.directory)


@pytest.mark.parametrize("away", [("cdn",), ("api", "cdn")])
def test_bytes_without_a_network(emulator, settings, away):
    """What is cached can be read; the rest fails at once, without a GET; and all comes back."""

    @real
    async def run() -> None:
        async with open_drive(settings(ttl=600.0)) as drive:
            top = await listing(drive, TREE)
            files = [each for each in top.entries.values() if isinstance(each, File)]
            for each in top.entries.values():
                if len(files) < 12 and isinstance(each, Folder):
                    below = await drive.parts.listings.get(each)
                    files += [each for each in below.entries.values() if isinstance(each, File)]
            cached, first, *others = files[:12]
            data = await read(drive, cached)
            for file in (first, *others):
                await drive.parts.sizes.authoritative(
                    file
                )  # signed: the API has nothing to do with it
            go_away(emulator, 6.0, *away)
            with pytest.raises(DriveError):
                await read(drive, first)
            gets = drive.parts.fetcher.gets
            for file in others:
                if "api" in away:  # found out by a stream that never asks it
                    await until(lambda: drive.parts.client.breaker.is_open)
                with pytest.raises(OfflineError):
                    await read(drive, file)
            assert drive.parts.fetcher.gets == gets
            assert await read(drive, cached) == data
            await until(lambda: not drive.parts.client.breaker.is_open)
            with trio.fail_after(15):
                while True:
                    try:
                        assert len(await read(drive, first)) == first.size_bytes
                        break
                    except DriveError:
                        await trio.sleep(0.2)

    run()


@real
async def test_a_captive_portal_is_offline_and_one_web_page_is_not(emulator, settings):
    async with open_drive(settings(ttl=0.0)) as drive:
        known = await listing(drive, TREE)
        emulator.fault("html_200", route="contents", times=3)
        with pytest.raises(DriveError):
            await drive.parts.listings.renew(known.directory)
        await trio.sleep(0.5)
        assert not drive.parts.client.breaker.is_open
        emulator.clear_faults()
        emulator.fault("html_200", origin="api", times=None)
        with pytest.raises(DriveError):
            await drive.parts.listings.renew(known.directory)
        await until(lambda: drive.parts.client.breaker.is_open)
        emulator.clear_faults()
        await until(lambda: not drive.parts.client.breaker.is_open)


@real
async def test_a_drive_starts_offline(emulator, settings):
    async with open_drive(settings()) as drive:
        known = await listing(drive, TREE)
    emulator.refuse("api", 3.0)
    async with open_drive(settings(ttl=0.0, hub_ttl=0.0)) as drive:
        assert (await listing(drive, TREE)).entries == known.entries
    await until(lambda: _answers(emulator))


def _answers(emulator) -> bool:
    try:
        emulator.counts()
    except OSError:
        return False
    return True


@real
async def test_a_clock_set_back_does_no_harm(emulator, settings, monkeypatch):
    """By an hour, while the drive runs and before the next one starts."""
    async with open_drive(settings()) as drive:
        first = await listing(drive, TREE)
        now_s = dmfs.system.clock.wall_time_s()
        monkeypatch.setattr(dmfs.system.clock, "wall_time_s", lambda: now_s - 3600)
        emulator.reset()
        assert await listing(drive, TREE) is first
        renewed = await drive.parts.listings.renew(first.directory)
        assert renewed.entries == first.entries
    async with open_drive(settings()) as drive:
        assert (await listing(drive, TREE)).entries == first.entries
        assert 0 < drive.parts.listings.fresh_for(first.directory) <= 60
    assert {k: n for k, n in emulator.counts().items() if n and k != "token"} == {"contents": 1}


@real
async def test_sleep_makes_everything_older(emulator, settings):
    async with open_drive(settings()) as drive:
        known = await listing(drive, TREE)
        assert drive.parts.listings.fresh_for(known.directory) > 0
        drive.parts.listings.cache.on_suspend(3600)
        assert drive.parts.listings.fresh_for(known.directory) <= 0
