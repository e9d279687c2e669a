"""Links of what moved, is new, cannot be told now, or is not there."""

from __future__ import annotations

import pytest

from dmfs.assembly import open_drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import DriveError
from dmfs.jobs.links.page import page_of
from dmfs.model import Folder
from dmfs.system.clock import Moment
from tests.jobs.link_world import (
    MakeSettings,
    calls,
    directory_at,
    forget,
    path_of,
    url_of,
    why_not,
)
from tests.support.helpers import real
from tests.support.sample import ACCOUNT, SAMPLE


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "sample"


@real
async def test_without_a_network_nothing_is_called_absent(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings(cache_size=0, hub_ttl=0.001)) as drive:
        sample = await drive.resolve(f"/{SAMPLE}")
        link = await url_of(drive, f"/{SAMPLE}")
        readme = await url_of(drive, f"/{SAMPLE}/README.txt")
        drive.force_offline(True)
        assert await path_of(drive, link) == f"/{SAMPLE}"
        assert await path_of(drive, readme) == f"/{SAMPLE}/README.txt"
        assert isinstance(sample, Folder)
        for unknown in (
            link.replace(sample.project_id[2:], "0" * 8 + sample.project_id[10:]),
            link.partition("?")[0][:-4] + "0000",
            "urn:adsk.wipprod:dm.lineage:AAAAAAAAAAAAAAAAAAAAAA",
        ):
            drive.parts.listings.cache.drop("root" if "?" in unknown else "")
            assert "offline" in await why_not(drive, unknown)


@real
async def test_a_project_that_was_shared_a_moment_ago_is_found(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings(cache_size=0)) as drive:
        await drive.prepare(await directory_at(drive, f"/{ACCOUNT}"))
        raw = ACCOUNT.replace("\uff0f", "~1")
        made = emulator.change("add_project", path=raw, name="Shared just now")
        link = f"https://acc.autodesk.com/docs/files/projects/{made['id'][2:]}"
        for each in drive.parts.listings.cache.all():
            each.moment = Moment((each.moment[0] - 60, each.moment[1], each.moment[2] - 60))
        emulator.reset()
        assert await path_of(drive, link) == f"/{ACCOUNT}/Shared just now"
        assert calls(emulator) == {"hubs": 1, "projects": 1}


@real
async def test_an_item_that_was_moved_leads_to_where_it_is(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    raw = SAMPLE.replace("\uff0f", "~1")
    emulator.change("add_item", path=raw, name="moves.dwg", size=5)
    async with open_drive(settings(cache_size=0)) as drive:
        link = await url_of(drive, f"/{SAMPLE}/moves.dwg")  # with the folder that it is in
        emulator.change("move", path=f"{raw}/moves.dwg", to=f"{raw}/Drawings")
        forget(drive)
        assert await path_of(drive, link) == f"/{SAMPLE}/Drawings/moves.dwg"


@real
async def test_what_leads_nowhere_says_why(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    project = f"{ACCOUNT}/Sample Project".replace("\uff0f", "~1")
    async with open_drive(settings(cache_size=0)) as drive:
        sample = await drive.resolve(f"/{SAMPLE}")
        assert isinstance(sample, Folder)
        page = f"https://acc.autodesk.com/docs/files/projects/{sample.project_id[2:]}"
        raw = SAMPLE.replace("\uff0f", "~1")
        emulator.change("add_item", path=raw, name="gone.dwg", size=5)
        emulator.change("add_folder", path=raw, name="gone")
        await drive.parts.listings.list_again(sample)
        for name, word in (("gone.dwg", "'gone.dwg', where"), ("gone", "'gone', where")):
            link = await url_of(drive, f"/{SAMPLE}/{name}")
            emulator.change("hide", path=f"{raw}/{name}")
            forget(drive)
            assert word in await why_not(drive, link)
        never = "urn:adsk.wipprod:dm.lineage:AAAAAAAAAAAAAAAAAAAAAA"
        assert "no such thing" in await why_not(drive, f"{page}?entityId={never}")
        folder = "urn:adsk.wipprod:fs.folder:co.AAAAAAAAAAAAAAAAAAAAAA"
        assert "no such thing" in await why_not(drive, f"{page}?folderUrn={folder}")
        emulator.reset()
        assert "in none of the projects" in await why_not(drive, never)
        assert 10 < calls(emulator)["item"] < 30, (
            "the 230 projects of another region cannot have it"
        )
        nobodys = page[:-4] + "0000"
        assert "archived, of another account" in await why_not(drive, nobodys)
        assert "none of the hubs" in await why_not(drive, "https://nobody.autodesk360.com/g/")
        assert "no file with these bytes" in await why_not(
            drive, "urn:adsk.objects:os.object:wip.dm.prod/none.dwg"
        )
        link = await url_of(drive, f"/{SAMPLE}/README.txt")
        for order in ("revoke", "archive"):
            emulator.change(order, path=project)
            forget(drive)
            line = await why_not(drive, link)
            emulator.change({"revoke": "grant", "archive": "activate"}[order], path=project)
            assert "archived" in line or "no permission" in line
        of_tools = await directory_at(drive, f"/{ACCOUNT}/Service Folders")
        folders = await drive.parts.aps.children(of_tools)
        tools = next(each for each in folders if isinstance(each, Folder) and each.service)
        assert "does not show" in await why_not(drive, page_of(tools))
        lingers = await url_of(drive, f"/{ACCOUNT}/Just Archived Project")
        assert "archived or inactive" in await why_not(drive, f"{lingers}?entityId={never}")
        for wrong in ("", "https://example.com/x", "https://acc.autodesk.com/"):
            await why_not(drive, wrong)
        for path, word in (("/", "as a whole"), ("/Nowhere", "there is no 'Nowhere'")):
            with pytest.raises(DriveError, match=word):
                await url_of(drive, path)
