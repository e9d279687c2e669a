"""Pins that want designs exported: each new version, by whoever keeps the pins."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from dmfs.assembly import open_drive
from dmfs.errors import AccessError, UsageError
from dmfs.exports import standing
from dmfs.exports.records import ExportedFile
from dmfs.jobs import pinning
from dmfs.pins import keeper
from tests.exports.exporting import PROJECT, content, directory_at, exported, posts
from tests.pins.keeping import until
from tests.support.helpers import real


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(keeper, "LOOK_S", 0.05)
    monkeypatch.setattr(pinning, "LOOK_S", 0.05)
    monkeypatch.setattr(standing, "RETRY_FIRST_S", 0.05)
    monkeypatch.setattr(standing, "RETRY_MAX_S", 0.05)


async def pinned(drive, path=PROJECT, export="f3z"):
    events = []

    async def tell(event):
        events.append(dict(event))

    await pinning.pin(drive, {"paths": [path], "export": export}, tell)
    return events


def pin_of(drive):
    return drive.parts.pins.contents.pins[0]


async def kept(drive):
    listing = await drive.list(await directory_at(drive, PROJECT))
    return {n: e for n, e in listing.entries.items() if isinstance(e, ExportedFile)}


@real
async def test_all_designs_are_kept_and_each_newer_version_after_it(emulator, settings):
    emulator.exports(queue_polls=1)
    async with open_drive(settings(), keeper=True) as drive:
        events = await pinned(drive)
        done = events[-1]["pins"][0]
        assert (done["state"], done["files"], done["files_done"]) == ("complete", 40, 40)
        assert done["export"] == "f3z"
        assert len(await kept(drive)) == 40
        old = (await kept(drive))["Part 001.f3z"]
        emulator.change("new_version", path=f"{PROJECT}/Part 001".strip("/"))
        await drive.parts.listings.list_again(await directory_at(drive, PROJECT))
        assert "Part 001.f3z" not in await kept(drive)
        exports = drive.parts.exports
        assert exports is not None
        await until(lambda: len(exports._shown) == 40 and _newer(drive, old), 20)
        new = (await kept(drive))["Part 001.f3z"]
        assert new.version_number == old.version_number + 1
        assert len(await content(drive, new)) == new.size_bytes
    assert max(posts(emulator).values()) == 1
    emulator.reset()
    async with open_drive(settings(), keeper=True) as drive:
        pins = drive.parts.pins
        assert pins is not None
        keeper: Any = pins.keeper
        await until(lambda: keeper.works and pin_of(drive).progress.state)
        assert len(await kept(drive)) == 40
    assert not any(each["route"].startswith("download") for each in emulator.calls()["log"])


def _newer(drive, old):
    return not any(key.version_id == old.version_id for key in drive.parts.exports._shown)


@real
async def test_what_fails_is_told_and_not_ordered_again_for_a_day(emulator, settings):
    emulator.export_rule(match={"name": "Part 001*"}, outcome="failed")
    async with open_drive(settings(), keeper=True) as drive:
        await pinned(drive)
        await until(lambda: pin_of(drive).progress.files_done == 39, 20)
        assert pin_of(drive).progress.state == "failed"
        assert "could not make it" in pin_of(drive).progress.error
        await trio.sleep(0.2)  # it is tried again, and the store says no
        assert sum(posts(emulator).values()) == 40
        emulator.clear_exports()
        _, error = await exported(drive, f"{PROJECT}/Part 001.url", keep=True)
        assert error is None, "a person asks"
        await until(lambda: pin_of(drive).progress.state == "complete", 20)


@real
async def test_designs_that_are_not_to_be_had_so_are_left_out(emulator, settings):
    async with open_drive(settings(), keeper=True) as drive:
        events = await pinned(drive, export="usdz")
        assert events[-1]["pins"][0]["state"] == "complete"
        await until(lambda: not pin_of(drive).progress.files, 20)
    assert posts(emulator) == {}


@real
async def test_bad_input(emulator, settings):
    async with open_drive(settings(scopes="data:read"), keeper=True) as drive:
        with pytest.raises(AccessError, match="data:create"):
            await pinned(drive)
        assert drive.parts.pins is not None
        assert not drive.parts.pins.contents.pins
    async with open_drive(settings(), keeper=True) as drive:
        await exported(drive, f"{PROJECT}/Part 001.url", keep=True)
        with pytest.raises(UsageError) as caught:
            await pinned(drive, f"{PROJECT}/Part 001.f3z")
        assert "--export" in caught.value.hint
        with pytest.raises(UsageError):
            await pinned(drive, f"{PROJECT}/Part 001.url")
    assert len(posts(emulator)) == 1
