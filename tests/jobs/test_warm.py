"""``warm``: what it will cost is told exactly; only what is missing is fetched; people go first."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

from dmfs.assembly import open_drive
from dmfs.blocks.store.block_store import DIRECTORY
from dmfs.config import Settings
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import DriveError, NoRoomError, OfflineError, UsageError
from dmfs.model import File
from dmfs.spans import BLOCK_BYTES, MIB
from dmfs.system.clock import wall_time_s
from tests.jobs.test_offline import read
from tests.jobs.test_refresh import TOP, calls
from tests.support.helpers import real
from tests.support.stores import bytes_at_rest, fill_index
from tests.support.told import Told, run_job

MakeSettings = Callable[..., Settings]
SIZES = {"a.rvt": 300_000, "b.dwg": 5000, "c.txt": BLOCK_BYTES, "empty.txt": 0}
FOLDERS = 4
BYTES = FOLDERS * sum(SIZES.values())
FILES = FOLDERS * 3


@pytest.fixture(scope="module")
def tree(running: EmulatorProcess) -> str:
    """A folder with three below it; its path in the drive."""
    running.change("add_folder", path=TOP[1:], name="warm")
    for number in range(FOLDERS):
        path = f"{TOP[1:]}/warm"
        if number:
            running.change("add_folder", path=path, name=f"sub {number}")
            path += f"/sub {number}"
        for name, size in SIZES.items():
            running.change("add_item", path=path, name=name, size=size)
    return f"{TOP}/warm"


def cost(emulator: EmulatorProcess) -> tuple[int, int, int]:
    """Calls of listings, signings, bytes."""
    counted = emulator.calls()
    found = {route: n for route, n in counted["counts"].items() if n}
    signed, _, _ = found.pop("sign", 0), found.pop("token", 0), found.pop("cdn_get", 0)
    return sum(found.values()), signed, counted["cdn_bytes"]


@real
async def test_the_estimate_of_a_dry_run_is_what_the_run_costs(
    emulator: EmulatorProcess, settings: MakeSettings, tree: str, tmp_path: Path
) -> None:
    async with open_drive(settings()) as drive:
        emulator.reset()
        told = await run_job(drive, "warm", paths=[tree], dry_run=True)
        (estimate,) = told.of("estimate")
        assert cost(emulator) == (estimate["listing_calls"], 0, 0)
        assert estimate["listing_calls"] == 3 + 1 + FOLDERS  # hubs, projects, top folders; these
        assert estimate["folders_known"] == FOLDERS
        assert estimate["folders_to_list"] == 0
        assert (estimate["files"], estimate["bytes"]) == (FILES, BYTES)
        assert (estimate["calls"], estimate["bytes_missing"]) == (FILES, BYTES)
        assert told.last == {
            "event": "done", "folders": FOLDERS, "files": 0, "bytes": 0,
            "calls": estimate["listing_calls"], "failed": 0,
        }  # fmt: skip
        assert bytes_at_rest(tmp_path / "cache") == 0
        emulator.reset()
        told = await run_job(drive, "warm", paths=[tree])
        (again,) = told.of("estimate")
        # what is free on the disk is not ours alone
        assert again == estimate | {"listing_calls": 0, "room": again["room"]}
        assert cost(emulator) == (0, estimate["calls"], estimate["bytes_missing"])
        assert (told.last["files"], told.last["bytes"]) == (FILES, BYTES)
        assert told.last["calls"] == FILES
        gauges = drive.gauges()
        assert gauges["ratelimit.sign.ahead"] == FILES
        assert "ratelimit.sign.read" not in gauges
        assert bytes_at_rest(tmp_path / "cache") == BYTES
        emulator.reset()
        told = await run_job(drive, "warm", paths=[tree])
        assert told.of("estimate")[0]["calls"] == told.of("estimate")[0]["bytes_missing"] == 0
        assert cost(emulator) == (0, 0, 0)
        drive.force_offline(True)
        file = await drive.resolve(f"{tree}/sub 2/a.rvt")
        assert isinstance(file, File)
        assert len(await read(drive, file)) == SIZES["a.rvt"]


@real
async def test_what_is_signed_or_at_rest_in_part_is_not_counted(
    emulator: EmulatorProcess, settings: MakeSettings, tree: str, tmp_path: Path
) -> None:
    async with open_drive(settings()) as drive:
        await run_job(drive, "warm", paths=[tree], listings_only=True)
        at_rest = await drive.resolve(f"{tree}/b.dwg")
        signed = await drive.resolve(f"{tree}/a.rvt")
        assert isinstance(at_rest, File)
        assert isinstance(signed, File)
        await read(drive, at_rest)
        await drive.parts.sizes.authoritative(signed)
        opened = await drive.parts.blocks.open(signed, SIZES["a.rvt"])
        store = drive.parts.blocks.disk._store
        assert store is not None
        assert opened.stored is not None
        content = emulator.bytes(signed.storage_id, 0, BLOCK_BYTES)
        assert store.write(opened.stored, 0, memoryview(content))
        drive.parts.blocks.close(opened)
        assert await drive.parts.blocks.drain(10)
        with sqlite3.connect(tmp_path / "cache" / DIRECTORY / "index.db") as db:
            db.execute("UPDATE objects SET used_at = 1e9")
        emulator.reset()
        told = await run_job(drive, "warm", paths=[tree])
        (oldest,) = db.execute("SELECT MIN(used_at) FROM objects").fetchone()
        db.close()
        assert oldest > wall_time_s() - 60  # what is wanted does not go for the rest of it
        (estimate,) = told.of("estimate")
        assert estimate["calls"] == FILES - 2
        assert estimate["bytes_missing"] == BYTES - SIZES["b.dwg"] - BLOCK_BYTES
        assert cost(emulator) == (0, estimate["calls"], estimate["bytes_missing"])


@real
async def test_listings_only_and_what_is_chosen(
    emulator: EmulatorProcess, settings: MakeSettings, tree: str, tmp_path: Path
) -> None:
    async with open_drive(settings()) as drive:
        told = await run_job(drive, "warm", paths=[tree, f"{tree}/sub 1"], listings_only=True)
        assert (told.last["folders"], told.last["files"]) == (FOLDERS, 0)
        emulator.reset()
        for chosen, files in (
            ({"match": "*.rvt"}, FOLDERS), ({"match": "sub ?/*.dwg"}, FOLDERS - 1),
            ({"max_size": 5000}, FOLDERS), ({"newer": "1h"}, FILES), ({"newer": "2099-01-01"}, 0),
            ({"match": "*.DWG"}, 0), ({}, FILES),
        ):  # fmt: skip
            told = await run_job(drive, "warm", paths=[tree], dry_run=True, **chosen)
            assert told.of("estimate")[0]["files"] == files, chosen
        told = await run_job(drive, "warm", paths=[f"{tree}/a.rvt"])  # a file
        assert (told.last["folders"], told.last["bytes"]) == (0, SIZES["a.rvt"])
        assert cost(emulator) == (0, 1, SIZES["a.rvt"])
        assert bytes_at_rest(tmp_path / "cache") == SIZES["a.rvt"]
        for wrong in (
            {"newer": "yesterday"}, {"newer": 5}, {"match": 5}, {"max_size": -1},
            {"max_size": "1G"}, {"max_size": True}, {"dry_run": 1},
        ):  # fmt: skip
            with pytest.raises(UsageError):
                await run_job(drive, "warm", paths=[tree], **wrong)


class Ending(Told):
    """Does something when it has heard of so many files."""

    def __init__(self, files: int, then: Callable[[], object]) -> None:
        super().__init__()
        self._files, self._then = files, then

    async def __call__(self, event: Mapping[str, Any]) -> None:
        await super().__call__(event)
        if event["event"] == "progress" and event["files_done"] >= self._files:
            self._then()


@real
async def test_a_warm_that_is_ended_goes_on_where_it_was(
    emulator: EmulatorProcess, settings: MakeSettings, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """By a person, or because the service went away; in the same process or the next."""
    small = f"{TOP}/small"
    monkeypatch.setattr("dmfs.jobs.reports.PROGRESS_S", 0.0)
    monkeypatch.setattr("dmfs.jobs.warm.FILES_AT_ONCE", 2)
    async with open_drive(settings()) as drive:
        await run_job(drive, "warm", paths=[f"{small}/small-00039.txt"])  # its host is watched now
        before = trio.lowlevel.current_statistics().tasks_living
        with trio.CancelScope() as scope:
            await run_job(drive, "warm", Ending(10, scope.cancel), paths=[small])
        assert scope.cancelled_caught
        assert await drive.parts.blocks.drain(10)
        await trio.sleep(0.2)
        assert trio.lowlevel.current_statistics().tasks_living <= before
        first = bytes_at_rest(tmp_path / "cache")
        assert first > 0
        emulator.settings(cdn_latency_ms=20)
        told: Told = Ending(8, lambda: drive.force_offline(True))
        with pytest.raises(OfflineError):
            await run_job(drive, "warm", told, paths=[small])
        assert told.of("estimate")[0]["bytes_missing"] == total(told) - first
        assert not told.of("failed")
    second = bytes_at_rest(tmp_path / "cache")
    assert first < second < total(told)
    emulator.settings(cdn_latency_ms=0)
    emulator.reset()
    async with open_drive(settings()) as drive:
        again = await run_job(drive, "warm", paths=[small])
        assert cost(emulator)[2] == again.last["bytes"] == total(told) - second
    assert bytes_at_rest(tmp_path / "cache") == total(told)


def total(told: Told) -> int:
    return int(told.of("estimate")[0]["bytes"])


def fill(cache: Path, used_at: float, count: int, size_bytes: int = 100_000) -> None:
    """What others have read: objects that are not those of the test."""
    fill_index(cache, count, size_bytes, used_at)


@real
async def test_a_warm_takes_no_room_from_the_last_hour(
    emulator: EmulatorProcess, settings: MakeSettings, tree: str, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    fill(cache, wall_time_s() - 365 * 86_400, 60)
    size = 6 * MIB
    async with open_drive(settings(cache_size=size, cache_free_percent=0)) as drive:
        await run_job(drive, "warm", paths=[tree])  # of 6 000 000 bytes a third had to go
        assert BYTES < bytes_at_rest(cache) <= size
        evicted = drive.gauges()["store.evicted_objects"]
        assert evicted > 0
    lately = tmp_path / "lately"
    fill(lately, wall_time_s() - 600, 60)
    async with open_drive(
        settings(cache_dir=lately, cache_size=size, cache_free_percent=0)
    ) as drive:
        told = Told()
        with pytest.raises(NoRoomError, match="within the last hour"):
            await run_job(drive, "warm", told, paths=[tree])
        assert drive.gauges()["store.evicted_objects"] == 0
        assert told.last["event"] == "done"
        assert told.last["bytes"] <= told.of("estimate")[0]["room"] == size - 6_000_000
        assert told.last["bytes"] > 0
    pinned = tmp_path / "pinned"
    fill(pinned, 1e9, 60)
    with sqlite3.connect(pinned / DIRECTORY / "index.db") as db:
        db.execute("INSERT INTO held SELECT storage_id FROM objects")
    db.close()
    async with open_drive(
        settings(cache_dir=pinned, cache_size=size, cache_free_percent=0)
    ) as drive:
        with pytest.raises(NoRoomError, match="pinned"):
            await run_job(drive, "warm", paths=[tree])


@real
async def test_more_than_the_cache_holds_is_refused_with_both_numbers(
    emulator: EmulatorProcess, settings: MakeSettings, tree: str
) -> None:
    async with open_drive(settings(cache_size=MIB)) as drive:
        for dry_run in (True, False):
            told = Told()
            with pytest.raises(NoRoomError, match=r"1\.7 MiB: the cache holds 1\.0 MiB"):
                await run_job(drive, "warm", told, paths=[tree], dry_run=dry_run)
            assert told.of("estimate")[0]["bytes"] == BYTES
        assert calls(emulator).get("sign", 0) == 0
        await run_job(drive, "warm", paths=[tree], match="*.dwg")
    async with open_drive(settings(cache_size=0)) as drive:
        with pytest.raises(DriveError, match="off"):
            await run_job(drive, "warm", paths=[tree])
        await run_job(drive, "warm", paths=[tree], listings_only=True)


@real
async def test_files_and_folders_that_fail_are_told_and_the_rest_goes_on(
    emulator: EmulatorProcess, settings: MakeSettings, tree: str
) -> None:
    async with open_drive(settings()) as drive:
        await run_job(drive, "warm", paths=[tree], listings_only=True)
        bad = await drive.resolve(f"{tree}/sub 1/a.rvt")
        assert isinstance(bad, File)
        key = bad.storage_id.rpartition("/")[2]
        emulator.fault("status", route="sign", contains=key, times=None, status=403)
        told = Told()
        with pytest.raises(DriveError, match="1 folders or files failed"):
            await run_job(drive, "warm", told, paths=[tree])
        (failed,) = told.of("failed")
        assert failed["path"] == f"{tree}/sub 1/a.rvt"
        assert (told.last["files"], told.last["failed"]) == (FILES - 1, 1)


@real
async def test_a_service_that_stumbles_is_asked_again(
    emulator: EmulatorProcess, settings: MakeSettings, tree: str
) -> None:
    """``http`` does not try speculation again; a person waits for this one."""
    async with open_drive(settings()) as drive:
        emulator.fault("status", route="contents", times=1, status=503, skip=1)
        emulator.fault("status", route="sign", times=1, status=503, skip=3)
        told = await run_job(drive, "warm", paths=[tree])
        assert not told.of("failed")
        assert told.last["bytes"] == BYTES
