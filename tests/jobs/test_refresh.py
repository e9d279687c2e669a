"""``refresh``: each folder one listing, and what changed is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
import trio

from dmfs.assembly import open_drive
from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import DriveError, NotFoundError, OfflineError, UsageError
from dmfs.model import File, Folder
from tests.support.helpers import real
from tests.support.told import Told, run_job

TOP = "/Bench/Bench Project/Project Files"
TREE = f"{TOP}/tree"
MakeSettings = Callable[..., Settings]


def calls(emulator: EmulatorProcess) -> dict[str, int]:
    """Calls by route, but for tokens."""
    return {route: n for route, n in emulator.counts().items() if n and route != "token"}


def a_folder(emulator: EmulatorProcess, name: str, files: int = 2, folders: int = 0) -> str:
    """A new folder; its path in the emulator."""
    path = f"{TOP[1:]}/{name}"
    emulator.change("add_folder", path=TOP[1:], name=name)
    for number in range(files):
        emulator.change("add_item", path=path, name=f"{number}.dwg", size=1000)
    for number in range(folders):
        emulator.change("add_folder", path=path, name=f"sub {number:02d}")
        emulator.change("add_item", path=f"{path}/sub {number:02d}", name="in.dwg", size=1000)
    return path


async def known(drive: Drive, path: str) -> None:
    """Make all below known."""
    await run_job(drive, "refresh", path=path, recursive=True)


@real
async def test_265_folders_refreshed_are_265_calls(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings()) as drive:
        await drive.resolve(TREE)
        for _ in range(2):  # unknown, and known and fresh
            emulator.reset()
            told = await run_job(drive, "refresh", path=TREE, recursive=True)
            assert calls(emulator) == {"contents": 265}
            assert told.last == {
                "event": "done", "folders": 265, "calls": 265,
                "added": 0, "removed": 0, "changed": 0, "failed": 0,
            }  # fmt: skip
        assert told.of("progress")
        assert all(each["done"] <= each["known"] <= 265 for each in told.of("progress"))


@real
async def test_what_changed_is_told_and_reaches_the_kernel(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    path = a_folder(emulator, "changing", files=3, folders=2)
    async with open_drive(settings()) as drive:
        await known(drive, f"/{path}")
        feed: list[tuple[str, tuple[str, ...]]] = []
        drive.subscribe(lambda directory, names: feed.append((directory.name, tuple(names))))
        emulator.change("new_version", path=f"{path}/0.dwg", size=2000)
        emulator.change("hide", path=f"{path}/1.dwg")
        emulator.change("add_item", path=f"{path}/sub 01", name="new\nname \ud800.dwg", size=5)
        emulator.change("add_folder", path=path, name="later")
        told = await run_job(drive, "refresh", path=f"/{path}", recursive=True)
        assert {(each["path"], each["what"]) for each in told.of("change")} == {
            (f"/{path}/0.dwg", "changed"),
            (f"/{path}/1.dwg", "removed"),
            (f"/{path}/sub 01/new\nname \ufffd.dwg", "added"),
            (f"/{path}/later", "added"),
        }
        assert told.last["folders"] == told.last["calls"] == 4
        assert [told.last[what] for what in ("added", "removed", "changed")] == [2, 1, 1]
        assert sorted(feed) == [
            ("changing", ("0.dwg", "1.dwg", "later")), ("sub 01", ("new\nname \ufffd.dwg",))
        ]  # fmt: skip
        file = await drive.resolve(f"/{path}/0.dwg")
        assert isinstance(file, File)
        assert drive.size_of(file) == 2000


@real
async def test_refresh_asks_now_whatever_another_process_has_asked_just_now(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    path = a_folder(emulator, "shared")
    async with open_drive(settings()) as one, open_drive(settings()) as two:
        await known(one, f"/{path}")
        await two.resolve(f"/{path}/0.dwg")
        emulator.reset()
        told = await run_job(two, "refresh", path=f"/{path}")
        assert calls(emulator) == {"contents": told.last["calls"]} == {"contents": 1}


@real
async def test_refresh_does_not_take_an_answer_that_was_on_its_way_before(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    path = a_folder(emulator, "under way")
    async with open_drive(settings()) as drive, trio.open_nursery() as nursery:
        folder = await drive.resolve(f"/{path}")
        assert isinstance(folder, Folder)
        await drive.list(folder)
        emulator.fault("stall_before_headers", route="contents", seconds=0.5)
        nursery.start_soon(drive.parts.listings.renew, folder)
        await trio.sleep(0.2)
        emulator.change("add_item", path=path, name="meanwhile.dwg", size=1)
        told = await run_job(drive, "refresh", path=f"/{path}")
        assert "meanwhile.dwg" in (await drive.list(folder)).entries
        assert told.last["folders"] == told.last["calls"] == 1


@real
async def test_a_folder_that_fails_is_told_and_the_other_eleven_go_on(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    path = a_folder(emulator, "twelve", folders=11)
    async with open_drive(settings()) as drive:
        await known(drive, f"/{path}")
        bad = await drive.resolve(f"/{path}/sub 05")
        assert isinstance(bad, Folder)
        for number in range(11):
            emulator.change("add_item", path=f"{path}/sub {number:02d}", name="new.dwg", size=1)
        emulator.fault(
            "status", route="contents", contains=bad.id.rpartition(":")[2], times=None, status=400
        )
        told = Told()
        with pytest.raises(DriveError, match="1 of 12 folders could not be listed"):
            await run_job(drive, "refresh", told, path=f"/{path}", recursive=True)
        (failed,) = told.of("failed")
        assert failed["path"] == f"/{path}/sub 05"
        assert failed["message"]
        assert told.last["event"] == "done"
        assert [told.last[key] for key in ("folders", "added", "failed")] == [11, 10, 1]


@real
async def test_a_huge_folder_costs_its_pages(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings()) as drive:
        await drive.resolve(f"{TOP}/wide/item-000001.dwg")
        emulator.reset()
        told = await run_job(drive, "refresh", path=f"{TOP}/wide", recursive=True)
        assert calls(emulator) == {"contents": 4}
        assert (told.last["folders"], told.last["calls"]) == (1, 4)


@real
async def test_any_path_can_be_refreshed(emulator: EmulatorProcess, settings: MakeSettings) -> None:
    """A file, the root, a hub, a project; and a name that is not known yet."""
    path = a_folder(emulator, "any")
    async with open_drive(settings()) as drive:
        await drive.resolve(f"/{path}/0.dwg")
        for given, route in (
            (f"/{path}/0.dwg", "contents"), (f"/{path}/", "contents"), ("/", "hubs"),
            ("/Bench", "projects"), ("/Bench/Bench Project", "topFolders"),
        ):  # fmt: skip
            emulator.reset()
            told = await run_job(drive, "refresh", path=given)
            assert calls(emulator) == {route: 1}, given
            assert (told.last["folders"], told.last["calls"]) == (1, 1)
        emulator.change("add_folder", path=path, name="made just now")
        told = await run_job(drive, "refresh", path=f"/{path}/made just now")
        assert told.last["calls"] == 2  # the folder that it is in, to learn of it
        with pytest.raises(NotFoundError, match="nowhere"):
            await run_job(drive, "refresh", path=f"/{path}/nowhere")
        for wrong in ({}, {"path": 5}, {"path": "/", "recursive": "yes"}):
            with pytest.raises(UsageError):
                await run_job(drive, "refresh", **wrong)


@real
async def test_a_refresh_that_is_cancelled_leaves_nothing_behind(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    path = a_folder(emulator, "cancelled", folders=120)
    emulator.settings(api_latency_ms=150)
    async with open_drive(settings()) as drive:
        await drive.resolve(f"/{path}")
        before = trio.lowlevel.current_statistics().tasks_living
        emulator.reset()
        told = Told()
        async with trio.open_nursery() as nursery:
            run = partial(run_job, drive, "refresh", told, path=f"/{path}", recursive=True)
            nursery.start_soon(run)
            while len(told.of("progress")) < 2:
                await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
        await trio.sleep(0.5)  # those that were under way are answered, and stay
        sent = emulator.counts()["contents"]
        assert 0 < sent < 121
        await trio.sleep(0.5)
        assert emulator.counts()["contents"] == sent
        assert drive.gauges()["listings.cached"] >= sent
        assert trio.lowlevel.current_statistics().tasks_living <= before
        emulator.settings(api_latency_ms=0)
        told = await run_job(drive, "refresh", path=f"/{path}", recursive=True)
        assert told.last["folders"] == 121


@real
async def test_a_refresh_ends_when_the_service_goes_away(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    path = a_folder(emulator, "leaving", folders=40)
    # without polls: one that begins when the service is back may be joined, and is not counted
    async with open_drive(settings(poll=0.0)) as drive:
        await known(drive, f"/{path}")

        class Breaking(Told):
            async def __call__(self, event: Mapping[str, Any]) -> None:
                await super().__call__(event)
                drive.force_offline(True)

        emulator.reset()
        breaking = Breaking()
        with pytest.raises(OfflineError, match="offline"):
            await run_job(drive, "refresh", breaking, path=f"/{path}", recursive=True)
        assert calls(emulator)["contents"] < 30
        assert not breaking.of("failed")  # 250 times the same
        drive.force_offline(False)
        told = await run_job(drive, "refresh", path=f"/{path}", recursive=True)
        assert told.last["calls"] == 41


@real
async def test_a_refresh_waits_as_long_as_the_limit_asks(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    """Longer than any request of the kernel may take: a job has no deadline."""
    path = a_folder(emulator, "limited")
    async with open_drive(settings(metadata_timeout=1.0)) as drive:
        await known(drive, f"/{path}")
        emulator.fault("status", route="contents", status=429, retry_after=2)
        told = await run_job(drive, "refresh", path=f"/{path}")
        (waiting,) = told.of("waiting")
        assert 1 <= waiting["seconds"] <= 2
        assert told.last["folders"] == 1
