"""``url`` and ``path``: every entry of the sample world there and back, and what that costs."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from dmfs.assembly import open_drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.model import File, Folder
from dmfs.web_links.link import to_base64
from tests.jobs.link_world import (
    MakeSettings,
    calls,
    directory_at,
    every_path,
    forget,
    path_of,
    url_of,
    why_not,
)
from tests.support.helpers import real
from tests.support.sample import ACCOUNT, QUIRKS, SAMPLE
from tests.support.told import run_job


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "sample"


@real
async def test_the_path_of_a_url_is_that_of_its_entry(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings()) as drive:
        paths = await every_path(drive)
        emulator.reset()
        links = {path: await url_of(drive, path) for path in paths}
        assert [path for path in paths if await path_of(drive, links[path]) != path] == []
        assert calls(emulator) == {}
    assert len(set(links.values())) == len(paths) > 200
    async with open_drive(settings()) as drive:  # by what is on disk
        some = paths[::5]
        assert [path for path in some if await path_of(drive, links[path]) != path] == []
        told = await run_job(drive, "path", link=links[some[-1]])
        assert (told.last["calls"], told.last["as_of"][:2]) == (0, "20")
        assert await url_of(drive, paths[-1]) == links[paths[-1]]
        assert calls(emulator) == {}
    async with open_drive(settings(cache_size=0)) as drive:  # nothing is known
        wrong = []
        for path in paths:
            forget(drive)
            wrong += [path] if await path_of(drive, links[path]) != path else []
        assert wrong == []


COLD = {
    # a file whose folder the link names, among the project's folders: no call for the item
    f"/{SAMPLE}/README.txt": {"hubs": 1, "projects": 1, "topFolders": 1, "contents": 1},
    f"/{SAMPLE}/Drawings": {
        "hubs": 1, "projects": 1, "topFolders": 1, "folder": 1, "contents": 1,
    },
    # anywhere: one call for the item, one for each level
    f"/{QUIRKS}/Versions/seven versions.txt": {
        "hubs": 1, "projects": 1, "topFolders": 1, "item": 1, "contents": 2,
    },
    f"/{QUIRKS}/Folders/only subfolders/one": {
        "hubs": 1, "projects": 1, "topFolders": 1, "folder": 3, "contents": 3,
    },
    f"/{ACCOUNT}/Guest Project/Drawings": {"hubs": 1, "projects": 1, "topFolders": 1},
    f"/{ACCOUNT}/Sample Project": {"hubs": 1, "projects": 1},
    f"/{ACCOUNT}": {"hubs": 1},
    "/Ada's Hub": {"hubs": 1},
    # its page names no project: one call in each that may have it, the first of them here
    "/Ada's Hub/My First Project/notes.txt": {
        "hubs": 1, "projects": 1, "item": 1, "contents": 1,
    },
}  # fmt: skip


@real
async def test_a_link_that_nobody_knows_costs_a_call_a_level_and_one(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings(cache_size=0)) as drive:
        links = {path: await url_of(drive, path) for path in COLD}
        for path, expected in COLD.items():
            forget(drive)
            emulator.reset()
            told = await run_job(drive, "path", link=links[path])
            assert told.last["path"] == path
            assert calls(emulator) == expected, path
            assert told.last["calls"] == sum(expected.values())
            await run_job(drive, "path", link=links[path])
            assert calls(emulator) == {}, "now it is known"


@real
async def test_bare_ids_and_odd_texts_lead_there_too(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    path = f"/{QUIRKS}/Versions/seven versions.txt"
    async with open_drive(settings(cache_size=0)) as drive:
        file = await drive.resolve(path)
        link = await url_of(drive, path)
        assert isinstance(file, File)
        folder = await drive.resolve(path.rpartition("/")[0])
        assert isinstance(folder, Folder)
        b360 = f"docs.b360.autodesk.com/projects/{file.project_id[2:]}/folders/{file.folder_id}"
        texts = [
            file.item_id, file.version_id, file.storage_id, f"<{quote(link)}>,",
            quote(quote(link)), f"[InternetShortcut]\r\nURL={link}\r\n", to_base64(file.version_id),
            f"{b360}/detail/viewer/items/{file.item_id}",
            f"https://whoever.autodesk360.com/g/projects/1/data/{to_base64(file.item_id)}",
        ]  # fmt: skip
        for text in texts:
            assert await path_of(drive, text) == path
        assert await path_of(drive, b360) == path.rpartition("/")[0]
        assert await path_of(drive, file.project_id) == f"/{ACCOUNT}/Quirks"
        assert await path_of(drive, file.hub_id) == f"/{ACCOUNT}"
        # cold, by an id that says nothing of its project
        for text in (file.item_id, file.version_id, folder.id):
            forget(drive)
            assert (await path_of(drive, text)).startswith(path[:-20])


@real
async def test_a_link_to_a_version_leads_to_the_version(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    path = f"/{QUIRKS}/Versions/seven versions.txt"
    async with open_drive(settings(cache_size=0)) as drive:
        file = await drive.resolve(path)
        assert isinstance(file, File)
        base = file.version_id.partition("?")[0]
        emulator.reset()
        assert await path_of(drive, f"{base}?version=7") == path
        assert await path_of(drive, base) == path
        for number in (1, 6):
            told = await run_job(drive, "path", link=f"{base}?version={number}")
            assert told.last["path"] == path.replace(".txt", f"@v{number}.txt")
            assert told.last["version"] == number
        assert calls(emulator) == {}
        assert "no version 8" in await why_not(drive, f"{base}?version=8")
        assert calls(emulator) == {"contents": 1}, "what is known may be old"
        assert "no version 0" in await why_not(drive, f"{base}?version=0")
        forget(drive)
        link = f"https://acc.autodesk.com/docs/files/projects/{file.project_id[2:]}?entityId="
        emulator.reset()
        assert await path_of(drive, link + quote(f"{base}?version=2", safe="")) == path.replace(
            ".txt", "@v2.txt"
        )
        assert calls(emulator)["item"] == 1


@real
async def test_the_path_of_a_versions_url_is_the_version(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings(cache_size=0)) as drive:
        directory = f"/{QUIRKS}/Versions"
        wrong, count = [], 0
        for base in (await drive.list(await directory_at(drive, f"{directory}/.versions"))).names:
            history, tip = (
                f"{directory}/.versions/{base}",
                await drive.resolve(f"{directory}/{base}"),
            )
            names = (await drive.list(await directory_at(drive, history))).names
            emulator.reset()
            for name in names[:12]:
                link = await url_of(drive, f"{directory}/{name}")
                assert await url_of(drive, f"{history}/{name}") == link
                is_tip = await drive.resolve(f"{directory}/{name}") == tip
                path, count = await path_of(drive, link), count + 1
                wrong += [] if path == f"{directory}/{base if is_tip else name}" else [path]
            assert await path_of(drive, await url_of(drive, history)) == f"{directory}/{base}"
            assert calls(emulator) == {}
        assert (wrong, count > 15) == ([], True)
        assert await path_of(drive, await url_of(drive, f"{directory}/.versions")) == directory


@real
async def test_a_version_whose_name_is_an_entrys_is_named_in_its_history(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    raw = f"{SAMPLE}/named".replace("\uff0f", "~1")
    emulator.change("add_folder", path=raw.rpartition("/")[0], name="named")
    for name in ("plan.dwg", "plan@v1.dwg"):
        emulator.change("add_item", path=raw, name=name, size=5)
    emulator.change("new_version", path=f"{raw}/plan.dwg", size=6)
    async with open_drive(settings(cache_size=0)) as drive:
        file = await drive.resolve(f"/{SAMPLE}/named/plan.dwg")
        assert isinstance(file, File)
        first = file.version_id.replace("=2", "=1")
        path = f"/{SAMPLE}/named/.versions/plan.dwg/plan@v1.dwg"
        assert await path_of(drive, first) == path
        assert await path_of(drive, await url_of(drive, path)) == path
        node = await drive.resolve(path)
        assert isinstance(node, File)
        assert node.version_id == first
        # a deletion is a version without bytes
        emulator.change("hide", path=f"{raw}/plan.dwg")
        emulator.change("restore", id=file.item_id)
        tip = await run_job(drive, "refresh", path=f"/{SAMPLE}/named", recursive=False)
        assert tip.of("change")
        file = await drive.resolve(f"/{SAMPLE}/named/plan.dwg")
        assert isinstance(file, File)
        await run_job(drive, "versions", path=f"/{SAMPLE}/named/plan.dwg")
        third = first.replace("=1", "=3")
        assert "one without bytes" in await why_not(drive, third)


@real
async def test_a_version_that_shares_no_id_with_its_item(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings(cache_size=0)) as drive:
        listing = await drive.prepare(await drive.resolve(f"/{QUIRKS}/Versions"))  # type: ignore[arg-type]
        odd = next(
            (name, child.version_id)
            for name, child in listing.entries.items()
            if isinstance(child, File)
            and child.version_id
            and child.item_id.rpartition(":")[2] not in child.version_id
        )
        assert await path_of(drive, odd[1]) == f"/{QUIRKS}/Versions/{odd[0]}"
        forget(drive)
        emulator.reset()
        assert await path_of(drive, odd[1]) == f"/{QUIRKS}/Versions/{odd[0]}"
        assert calls(emulator)["version"] >= 1
