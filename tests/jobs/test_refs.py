"""``refs``: relations as paths, at exact costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dmfs.assembly import open_drive
from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import AccessError, DriveError, NotFoundError, OfflineError, UsageError
from dmfs.jobs.relations.splitting import SPLITS_MAX
from tests.drive.conftest import settings
from tests.support.fixtures import running_emulator
from tests.support.helpers import real
from tests.support.sample import ACCOUNT, QUIRKS, RAW_ACCOUNT
from tests.support.told import Told, run_job

__all__ = ["settings"]
MakeSettings = Callable[..., Settings]
TOP = "/Bench/Bench Project/Project Files/relations"
PLAN = f"{TOP}/Drawings/Site plan.dwg"
GRID = f"{TOP}/Drawings/Grid.dwg"
ADA = "ADAEMU000001"


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorProcess]:
    with running_emulator(world="relations+small:files=60,min=10,max=20+sample") as started:
        yield started


async def rows(drive: Drive, path: str) -> list[dict[str, Any]]:
    told = await run_job(drive, "refs", path=path)
    return told.of("ref")


def brief(row: dict[str, Any]) -> tuple[Any, ...]:
    name = row["path"].removeprefix(f"{TOP}/") or row["name"]
    return row["direction"], row["type"], name, row["version_number"], row["state"]


async def know(drive: Drive, *folders: str) -> None:
    for each in folders:
        await drive.prepare(await drive.resolve(f"{TOP}/{each}"))  # type: ignore[arg-type]


@real
async def test_what_a_drawing_refers_to_and_what_refers_to_it(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings()) as drive:
        await know(drive, "Drawings", "Shared", "Survey/2024")
        emulator.reset()
        told = await run_job(drive, "refs", path=PLAN)
        # of the two that may not be seen, one question each shows that it is so; the former version
        # costs two: to know of it, and to ask about it
        assert {key: n for key, n in emulator.counts().items() if n} == {
            "commands": 2, "item": 2, "versions": 1,
        }  # fmt: skip
        assert told.last == {
            "event": "done", "items": 1, "uses": 6, "used_by": 4, "stale": 1, "calls": 5,
            "failed": 0,
        }  # fmt: skip
        found = [brief(row) for row in told.of("ref")]
        assert [row[0] for row in found] == ["uses"] * 6 + ["used by"] * 4
        assert set(found) == {
            ("uses", "xrefs", "Drawings/Grid.dwg", 1, "stale"),
            ("uses", "xrefs", "Shared/Title block.dwg", 1, "current"),
            ("uses", "xrefs", "Survey/2024/Contours.dwg", 1, "current"),
            ("uses", "xrefs", "", 1, "not visible"),
            ("uses", "xrefs", "Deleted.dwg", 1, "deleted"),
            ("uses", "xrefs", "Shared/Facade.png", 1, "current"),
            ("used by", "xrefs", "Survey/2024/Overview.dwg", 1, "current"),
            ("used by", "xrefs", "", 1, "not visible"),
            ("used by", "xrefs", "Drawings/Grid.dwg", 2, "current"),
            ("used by", "derived", "Shared/Site plan.pdf", 1, "current"),
        }
        (stale,) = [row for row in told.of("ref") if row["state"] == "stale"]
        assert (stale["tip_number"], stale["is_tip"], stale["of"]) == (2, False, PLAN)
        assert stale["nesting"] == "attachment"


@real
async def test_what_still_refers_to_a_former_version(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings()) as drive:
        told = await run_job(drive, "refs", path=GRID)
        found = [(*brief(row), row["of_version_number"]) for row in told.of("ref")]
        assert found == [
            ("uses", "xrefs", "Drawings/Site plan.dwg", 2, "current", 2),
            ("used by", "xrefs", "Drawings/Site plan.dwg", 2, "current", 1),
        ]
        assert {row["of_tip_number"] for row in told.of("ref")} == {2}
        assert (told.last["items"], told.last["stale"]) == (1, 1)
        emulator.reset()
        # a version that was named is asked about alone
        former = GRID.replace("Grid", "Grid@v1")
        (row,) = await rows(drive, former)
        assert (row["of"], row["of_version_number"], row["direction"]) == (former, 1, "used by")
        assert (emulator.counts()["commands"], emulator.counts()["versions"]) == (1, 0)
        # and so is each that its history shows
        told = await run_job(drive, "refs", path=f"{TOP}/Drawings/.versions/Grid.dwg")
        assert [brief(row)[0] for row in told.of("ref")] == ["used by", "uses"]


@real
async def test_what_is_not_known_is_looked_for_once(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings()) as drive:
        await know(drive, "Drawings")
        emulator.reset()
        first = [row["path"] for row in await rows(drive, PLAN)]
        assert sum(1 for path in first if path) == 7
        assert f"{TOP}/Survey/2024/Contours.dwg" in first
        counts = {key: n for key, n in emulator.counts().items() if n}
        # one item of each of two folders, and the two that may not be seen; the ways down
        assert counts == {"commands": 2, "item": 4, "contents": 3, "versions": 1}
        emulator.reset()
        assert [row["path"] for row in await rows(drive, PLAN)] == first
        assert emulator.counts()["contents"] == 0
    async with open_drive(settings()) as drive:  # by what the disk has
        await know(drive, "Drawings")
        emulator.reset()
        assert [row["path"] for row in await rows(drive, PLAN)] == first
        counts = {key: n for key, n in emulator.counts().items() if n}
        assert counts == {"token": 1, "commands": 2, "item": 2}


@real
async def test_either_form_of_the_rows_tells_the_same(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings()) as drive:
        await know(drive, "Drawings", "Shared", "Survey/2024")
        first = await rows(drive, PLAN)
        emulator.settings(list_refs_rows="checked")
        assert await rows(drive, PLAN) == first
        emulator.settings(list_refs_rows="other")


@real
async def test_a_folder_is_asked_about_50_files_a_call(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings()) as drive:
        told = await run_job(drive, "refs", path=f"{TOP}/Drawings")
        assert {row["of"] for row in told.of("ref")} == {PLAN, GRID}
        assert told.last["items"] == 2
        # Grid's version 2 refers to the plan, whose version 2 refers to Grid's version 1
        assert [brief(row) for row in told.of("ref") if row["of"] == GRID] == [
            ("uses", "xrefs", "Drawings/Site plan.dwg", 2, "current")
        ]
        emulator.reset()
        small = TOP.replace("relations", "small")
        told = await run_job(drive, "refs", path=small)
        assert told.last["items"] == 60
        assert emulator.counts()["commands"] == 2


@real
async def test_one_refused_file_does_not_take_the_others_away(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    small = TOP.replace("relations", "small")
    async with open_drive(settings()) as drive:
        listing = await drive.prepare(await drive.resolve(small))  # type: ignore[arg-type]
        one, two = listing.names[7], listing.names[55]
        emulator.change("add_ref", path=f"{small[1:]}/{listing.names[6]}", uses=PLAN[1:])
        for name in (one, two):
            emulator.change("revoke", path=f"{small[1:]}/{name}")
        emulator.reset()
        told = Told()
        with pytest.raises(DriveError, match="2 of 60 files could not be asked about: cannot"):
            await run_job(drive, "refs", told, path=small)
        assert {row["path"] for row in told.of("failed")} == {f"{small}/{one}", f"{small}/{two}"}
        assert [row["path"] for row in told.of("ref")] == [PLAN]
        assert told.last["items"] == 58
        assert emulator.counts()["commands"] <= 2 + 2 * SPLITS_MAX
        for name in (one, two):
            emulator.change("grant", path=f"{small[1:]}/{name}")


@real
async def test_what_has_no_relations_and_what_is_no_file(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings()) as drive:
        small = TOP.replace("relations", "small")
        listing = await drive.prepare(await drive.resolve(small))  # type: ignore[arg-type]
        told = await run_job(drive, "refs", path=f"{small}/{listing.names[0]}")
        assert (told.of("ref"), told.last["uses"], told.last["used_by"]) == ([], 0, 0)
        emulator.reset()
        for path in ("/", "/Bench", ""):
            with pytest.raises(UsageError, match="no file and no folder of a project"):
                await run_job(drive, "refs", path=path)
        for path in ("/Bench/Bench Project", TOP):
            with pytest.raises(NotFoundError, match="there are no files in"):
                await run_job(drive, "refs", path=path)
        with pytest.raises(NotFoundError):
            await run_job(drive, "refs", path=f"{TOP}/none")
        for wrong in (None, 5, ["/"]):
            with pytest.raises(UsageError):
                await run_job(drive, "refs", path=wrong)
        assert emulator.counts()["commands"] == 0


@real
async def test_a_shortcut_has_relations_too(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    gearbox = "/Emulated Fusion Team/Gearbox"
    emulator.change("add_ref", path=f"{gearbox[1:]}/Datasheet.pdf", uses=f"{gearbox[1:]}/Housing")
    async with open_drive(settings()) as drive:
        found = await rows(drive, f"{gearbox}/Housing.url")
        assert ("used by", f"{gearbox}/Datasheet.pdf") in {
            (row["direction"], row["path"]) for row in found
        }


@real
async def test_offline_and_refused(emulator: EmulatorProcess, settings: MakeSettings) -> None:
    async with open_drive(settings()) as drive:
        await know(drive, "Drawings")
        emulator.fault("status", route="commands", status=403, times=1)
        with pytest.raises(AccessError, match="cannot ask what refers to what"):
            await run_job(drive, "refs", path=PLAN)
        emulator.fault("status", route="commands", status=503, times=1)
        assert await rows(drive, PLAN)
        drive.force_offline(True)
        with pytest.raises(OfflineError):
            await run_job(drive, "refs", path=PLAN)


@real
async def test_the_publish_state_of_models(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    model = f"/{QUIRKS}/Kinds/Published model.rvt"
    name = "user.dmfs.publish_state"
    for state, words in (
        ("waiting", "needs publishing"), ("published", "published"),
        ("publishing", "publishing"), ("failed", "publishing failed"),
    ):  # fmt: skip
        emulator.change("publish_state", path=model[1:].replace(ACCOUNT, RAW_ACCOUNT), state=state)
        async with open_drive(settings(x_user_id=ADA)) as drive:
            node = await drive.resolve(model)
            emulator.reset()
            assert name not in drive.xattrs(node)
            assert emulator.counts()["commands"] == 0
            assert await drive.unlisted_xattr(node, name) == words.encode()
            found = await drive.publication(node)
            assert found is not None
            assert found.state.value == words
            assert found.published_ns
            assert (emulator.counts()["commands"], emulator.counts()["item"]) == (1, 1)
    async with open_drive(settings()) as drive:  # an app without a user
        node = await drive.resolve(f"/{QUIRKS}/Kinds/Unpublished model.rvt.url")
        found = await drive.publication(node)
        assert found is not None
        assert (found.state.value, found.published_ns) == ("unknown", None)
