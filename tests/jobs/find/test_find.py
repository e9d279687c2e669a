"""``find``: what it tells, and how many calls that takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from dmfs.aps.questions.search import FolderAbove, Hits, Search
from dmfs.assembly import open_drive
from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import DriveError, NotADirectory, NotFoundError, UsageError
from dmfs.model import Folder, FolderId, ItemId, Project
from tests.support.helpers import real
from tests.support.told import Told, run_job

PROJECT = "/Bench/Bench Project"
TREE = f"{PROJECT}/Project Files/tree"
BRANCH = f"{TREE}/d0001/d0002"
DEEP = f"{BRANCH}/d0003"
LONG_AGO = "2024-09-01T00:00:00Z"
MakeSettings = Callable[..., Settings]


def calls(emulator: EmulatorProcess) -> dict[str, int]:
    """Calls by route, but for tokens."""
    return {route: n for route, n in emulator.counts().items() if n and route != "token"}


def paths(told: Told) -> list[str]:
    """What was found, in a fixed order."""
    return sorted(entry["path"] for event in told.of("found") for entry in event["entries"])


async def find(drive: Drive, path: str, **parameters: Any) -> Told:
    return await run_job(drive, "find", path=path, **parameters)


def add(emulator: EmulatorProcess, path: str, **facts: Any) -> str:
    """A file at a path of the drive, which it returns."""
    folder, _, name = path.rpartition("/")
    emulator.change("add_item", path=folder[1:], name=name, **{"size": 5} | facts)
    return path


def folders(emulator: EmulatorProcess, path: str) -> list[str]:
    """Paths of all folders below one, itself among them, as the emulator has them."""

    def below(node: Mapping[str, Any], at: str) -> list[str]:
        shown = [child for child in node["folders"] if not child["hidden"]]
        return [at, *(each for child in shown for each in below(child, f"{at}/{child['name']}"))]

    hub = next(each for each in emulator.world()["hubs"] if each["name"] == "Bench")
    (root,) = hub["projects"][0]["folders"]
    every = below(root, PROJECT)
    return [each for each in every if each == path or each.startswith(f"{path}/")]


@real
async def test_cold_one_file_in_2000_folders_is_few_calls(
    emulator: EmulatorProcess, searching: MakeSettings
) -> None:
    needle = add(emulator, f"{DEEP}/a needle in it.dwg")
    async with open_drive(searching()) as drive:
        emulator.reset()
        told = await find(drive, PROJECT, name="*needle*")
        assert paths(told) == [needle]
        asked = calls(emulator)
        assert asked.pop("search") == 1
        assert sum(asked.values()) <= 12, asked
        assert told.last["searched"] == 1
        assert told.last["calls"] == sum(calls(emulator).values())
        (note,) = told.of("note")
        assert "files alone" in note["message"]
        # a person who found it opens it: its folder is known now
        emulator.reset()
        assert await drive.resolve(needle)


@real
async def test_find_in_a_known_tree_is_no_call(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    add(emulator, f"{BRANCH}/known plan.DWG", size=12_000)
    every = folders(emulator, BRANCH)
    assert len(every) > 20
    async with open_drive(settings()) as drive:
        await run_job(drive, "refresh", path=BRANCH, recursive=True)
        emulator.reset()
        told = await find(drive, BRANCH, type="d")
        assert paths(told) == sorted(every)
        assert paths(await find(drive, BRANCH, iname="KNOWN*.dwg")) == [f"{BRANCH}/known plan.DWG"]
        assert paths(await find(drive, BRANCH, name="known*.dwg")) == []
        assert paths(await find(drive, BRANCH, name="known*", size="+11K")) == [
            f"{BRANCH}/known plan.DWG"
        ]
        assert paths(await find(drive, BRANCH, name="known*", size="-11K")) == []
        assert paths(await find(drive, BRANCH, newer="2200-01-01")) == []
        assert not calls(emulator)
        assert (told.last["folders"], told.last["unknown"]) == (len(every), 0)
        assert told.last["as_of"].startswith("20")


@real
async def test_a_walk_finds_all_and_lists_each_folder_once(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    every = folders(emulator, DEEP)
    async with open_drive(settings()) as drive:
        await drive.resolve(DEEP)
        emulator.reset()
        told = await find(drive, DEEP, type="d")
        assert paths(told) == sorted(every)
        assert calls(emulator) == {"contents": len(every)}


@real
async def test_without_the_scope_a_walk_finds_it_and_says_so_once(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    needle = add(emulator, f"{DEEP}/no scope.dwg")
    async with open_drive(settings()) as drive:
        await drive.resolve(BRANCH)
        emulator.reset()
        told = await find(drive, BRANCH, name="no scope*")
        assert paths(told) == [needle]
        assert set(calls(emulator)) == {"contents"}
        (note,) = told.of("note")
        assert "data:search" in note["message"]
        assert "walked" in note["message"]


@real
async def test_hits_that_are_gone_are_not_told(
    emulator: EmulatorProcess, searching: MakeSettings
) -> None:
    """The index trails: it knows files that were deleted, renamed, or lie in a deleted folder; and
    not those that have just come."""
    emulator.change("add_folder", path=DEEP[1:], name="leaving", at=LONG_AGO)
    for name in ("gone", "renamed", "staying", "leaving/inside"):
        add(emulator, f"{DEEP}/{name} liar.dwg", at=LONG_AGO)
    emulator.change("hide", path=f"{DEEP[1:]}/gone liar.dwg")
    emulator.change("hide", path=f"{DEEP[1:]}/leaving")
    emulator.change("rename", path=f"{DEEP[1:]}/renamed liar.dwg", name="other.dwg")
    add(emulator, f"{DEEP}/d0004/new liar.dwg")
    emulator.settings(search_lag_s=3600)
    async with open_drive(searching()) as drive:
        emulator.reset()
        told = await find(drive, TREE, name="*liar*")
        assert calls(emulator)["search"] == told.last["searched"] == 1
        assert paths(told) == [f"{DEEP}/staying liar.dwg"]
        assert told.last["failed"] == 0
        (note,) = told.of("note")
        assert "newer than its index" in note["message"]


@real
async def test_a_stale_tree_that_is_unchanged_costs_one_call(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings(ttl=0.5)) as drive:
        await run_job(drive, "refresh", path=DEEP, recursive=True)
        drive.parts.listings.cache.on_suspend(300)
        emulator.reset()
        told = await find(drive, DEEP, type="d")
        assert paths(told) == sorted(folders(emulator, DEEP))
        assert calls(emulator) == {"contents": 1}


@real
async def test_what_changed_in_a_stale_tree_is_found(
    emulator: EmulatorProcess, searching: MakeSettings
) -> None:
    async with open_drive(searching(ttl=0.5)) as drive:
        await run_job(drive, "refresh", path=BRANCH, recursive=True)
        fresh = add(emulator, f"{DEEP}/just came.dwg")
        drive.parts.listings.cache.on_suspend(300)
        emulator.reset()
        assert paths(await find(drive, BRANCH, name="just*")) == [fresh]
        assert sum(calls(emulator).values()) <= 6
        drive.parts.listings.cache.on_suspend(300)
        assert paths(await find(drive, BRANCH, name="just*", known=True)) == [fresh]


@real
async def test_known_says_what_it_does_not_know(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings()) as drive:
        await drive.resolve(f"{DEEP}/d0004")
        emulator.reset()
        told = await find(drive, DEEP, known=True, type="d")
        assert DEEP in paths(told)
        assert told.last["unknown"] > 0
        with pytest.raises(NotFoundError, match="as far as this drive knows"):
            await find(drive, f"{PROJECT}/nowhere", known=True)
        assert not calls(emulator)


@real
async def test_a_folder_that_is_refused_is_named_and_the_rest_is_told(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    emulator.change("add_folder", path=DEEP[1:], name="refused")
    add(emulator, f"{DEEP}/refused/in it.dwg")
    async with open_drive(settings()) as drive:
        await drive.resolve(f"{DEEP}/refused")
        emulator.change("revoke", path=f"{DEEP[1:]}/refused")
        told = Told()
        with pytest.raises(DriveError, match="1 folder could not be looked at"):
            await run_job(drive, "find", told, path=f"{DEEP}/refused", type="d")
        assert [each["path"] for each in told.of("failed")] == [f"{DEEP}/refused"]
        assert told.last["event"] == "done"
    emulator.change("hide", path=f"{DEEP[1:]}/refused")


@real
async def test_find_refuses_what_makes_no_sense(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    file = add(emulator, f"{DEEP}/a file.txt")
    async with open_drive(settings()) as drive:
        for wrong in (
            {"name": ""}, {"iname": ""}, {"name": "a/b"}, {"size": "big"}, {"size": "+"},
            {"newer": "yesterday"}, {"type": "x"}, {"size": "+1", "type": "d"}, {"known": "yes"},
        ):  # fmt: skip
            with pytest.raises(UsageError):
                await find(drive, TREE, **wrong)
        with pytest.raises(NotADirectory, match="is a file"):
            await find(drive, file)
        with pytest.raises(NotFoundError):
            await find(drive, f"{PROJECT}/nowhere")


@real
async def test_a_search_that_fails_is_a_walk(
    emulator: EmulatorProcess, searching: MakeSettings
) -> None:
    needle = add(emulator, f"{DEEP}/in spite of it.dwg")
    async with open_drive(searching()) as drive:
        await drive.resolve(BRANCH)
        emulator.fault("status", route="search", status=403)
        told = await find(drive, BRANCH, name="in spite*")
        assert paths(told) == [needle]
        assert told.last["searched"] == 0
        (note,) = told.of("note")
        assert "walked instead" in note["message"]


@real
async def test_more_hits_than_the_search_tells_are_walked(
    emulator: EmulatorProcess, searching: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    needle = add(emulator, f"{DEEP}/one of many.dwg")

    async def first_page_alone(*_: Any, **__: Any) -> Hits:
        return Hits(folder_ids={FolderId("urn:adsk.wipprod:fs.folder:co.nowhere")}, is_whole=False)

    monkeypatch.setattr(Search, "hits", first_page_alone)
    async with open_drive(searching()) as drive:
        await drive.resolve(BRANCH)
        told = await find(drive, BRANCH, name="one of many*")
        assert paths(told) == [needle]
        assert "more hits" in told.of("note")[0]["message"]


@pytest.mark.parametrize("lie", ["circle", "elsewhere", "hidden"])
@real
async def test_folders_that_lead_nowhere_are_no_hits(
    emulator: EmulatorProcess, searching: MakeSettings, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    """A folder that is in itself, one above the folder that was searched, one that is hidden."""
    parent = {"circle": "urn:made:up", "elsewhere": "", "hidden": "urn:made:up"}[lie]

    async def invented(_: Any, project: Project, folder_id: FolderId) -> FolderAbove:
        folder = Folder(folder_id, project.id, project.hub_id, "invented")
        return FolderAbove(folder, FolderId(parent), lie == "hidden")

    async def hits(*_: Any, **__: Any) -> Hits:
        return Hits(folder_ids={FolderId("urn:made:up")}, homeless={ItemId("urn:no:item")}, count=2)

    monkeypatch.setattr(Search, "folder", invented)
    monkeypatch.setattr(Search, "hits", hits)
    async with open_drive(searching()) as drive:
        await drive.resolve(BRANCH)
        told = await find(drive, BRANCH, name="whatever*")
        assert paths(told) == []
        assert (told.last["searched"], told.last["failed"]) == (1, 0)


@real
async def test_without_a_network_what_is_known_is_told_and_the_rest_named_once(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings()) as drive:
        await run_job(drive, "refresh", path=DEEP, recursive=True)
        drive.parts.listings.cache.on_suspend(3000)
        drive.force_offline(True)
        told = Told()
        with pytest.raises(DriveError, match="1 folder could not be looked at"):
            await run_job(drive, "find", told, path=DEEP, type="d")
        assert paths(told) == sorted(folders(emulator, DEEP))
        assert len(told.of("failed")) == 1
