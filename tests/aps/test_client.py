"""The service through Aps, against the emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from dmfs.aps.client import Aps
from dmfs.auth.token_endpoint import App
from dmfs.auth.token_sources import TwoLegged
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import AccessError, BadResponseError
from dmfs.http.engines import open_engines
from dmfs.http.json_client import JsonClient
from dmfs.http.tls import ca_bundle
from dmfs.model import Child, File, Folder, Hub, HubId, Project, Root, Shortcut
from dmfs.names import entry_names
from dmfs.ratelimit.limiter import RateLimiter
from tests.support.helpers import real

HQ = "Emulated Builders / Headquarters"


@asynccontextmanager
async def service_of(
    emulator: EmulatorProcess, client: tuple[str, str] = ("emulator-app", "emulator-secret")
) -> AsyncIterator[Aps]:
    async with open_engines(ca_bundle("")) as engines, trio.open_nursery() as nursery:
        wire = JsonClient(emulator.api_url, engines, RateLimiter())
        yield Aps(wire, TwoLegged(wire, nursery, App(*client), "data:read"), url_minutes=60)


async def walk(aps: Aps, *names: str) -> Any:
    """The node at a path of raw names."""
    node: Any = Root()
    for name in names:
        children = await aps.children(node)
        node = next(child for child in children if child.name == name)
    return node


async def listed(aps: Aps, *names: str) -> list[Child]:
    return await aps.children(await walk(aps, *names))


@real
async def test_all_hubs_of_all_kinds_in_one_call(emulator: EmulatorProcess) -> None:
    async with service_of(emulator) as aps:
        # not partial: one warning for each region without a hub is normal, as from the service
        hubs = await aps.children(Root())
    assert {child.name for child in hubs} >= {HQ, "Emulated Fusion Team", "Ada's Hub", "Bench"}
    assert all(isinstance(hub, Hub) for hub in hubs)
    assert {hub.extension_type for hub in hubs if isinstance(hub, Hub)} == {
        "hubs:autodesk.core:Hub", "hubs:autodesk.a360:PersonalHub", "hubs:autodesk.bim360:Account",
    }  # fmt: skip
    assert emulator.counts()["hubs"] == 1


@real
async def test_no_hub_at_all_is_an_admission_problem_not_emptiness(
    emulator: EmulatorProcess,
) -> None:
    async with service_of(emulator, ("emulator-unadmitted", "unadmitted-secret")) as aps:
        with pytest.raises(AccessError) as caught:
            await aps.children(Root())
    assert "Custom Integrations" in caught.value.hint
    assert "the service says" in caught.value.message


@real
async def test_pages_are_followed_by_next_alone(emulator: EmulatorProcess) -> None:
    async with service_of(emulator) as aps:
        assert len(await listed(aps, "Emulated Europe")) == 230
        assert emulator.counts()["projects"] == 2
        before = await listed(aps, HQ, "Quirks", "Project Files", "Names")
        calls = emulator.counts()["contents"]
        emulator.settings(page_limit=7)  # short pages: not the end
        again = await listed(aps, HQ, "Quirks", "Project Files", "Names")
        assert sorted(map(repr, again)) == sorted(map(repr, before))
        assert emulator.counts()["contents"] - calls > len(before) // 7


@real
async def test_top_folders_where_projects_are_b_and_the_root_folder_where_a(
    emulator: EmulatorProcess,
) -> None:
    async with service_of(emulator) as aps:
        top = await listed(aps, HQ, "Sample Project")
        assert [child.name for child in top] == ["Project Files"]
        assert (emulator.counts()["topFolders"], emulator.counts()["contents"]) == (1, 0)
        gearbox = await listed(aps, "Emulated Fusion Team", "Gearbox")
        assert {child.name for child in gearbox} >= {"Parts", "Datasheet.pdf", "Housing.url"}
        assert emulator.counts()["topFolders"] == 1
        assert emulator.counts()["contents"] == 1
        assert await listed(aps, "Emulated Fusion Team", "Empty Fusion Project") == []


@real
async def test_deleted_top_folders_are_hidden_and_service_folders_are_known(
    emulator: EmulatorProcess,
) -> None:
    async with service_of(emulator) as aps:
        assert {child.name for child in await listed(aps, HQ, "Quirks")} == {"Project Files"}
        top = await listed(aps, HQ, "Service Folders")
        people = {c.name for c in top if isinstance(c, Folder) and not c.service}
        assert people == {"Project Files", "For the Field"}
        assert len(top) > 10
        rows = [e for e in emulator.calls()["log"] if e["route"] == "topFolders"]
        assert all("excludeDeleted=true" in entry["query"] for entry in rows)
        inside = await listed(aps, HQ, "Service Folders", "Project Files")
        assert not any(isinstance(child, Folder) and child.service for child in inside)
        guest = await listed(aps, HQ, "Guest Project")
        assert not any(isinstance(child, Folder) and child.service for child in guest)
        assert len(entry_names(guest)) == 3  # equal names told apart


@real
async def test_kinds_as_they_show(emulator: EmulatorProcess) -> None:
    async with service_of(emulator) as aps:
        kinds = {
            name: type(child)
            for name, child in entry_names(
                await listed(aps, HQ, "Quirks", "Project Files", "Kinds")
            ).items()
        }
    assert kinds["Published model.rvt"] is File
    assert kinds["Unpublished model.rvt.url"] is Shortcut
    assert kinds["Virtual sheet.pdf.url"] is Shortcut
    assert kinds["Unknown with bytes.holo"] is File
    assert kinds["Unknown without bytes.url"] is Shortcut
    assert not {"Titles", "Review", "Exchange", "Titles.url", "Review.url"} & set(kinds)
    assert all(name.endswith(".url") is (kind is Shortcut) for name, kind in kinds.items())


@real
async def test_tips_left_out_are_requested_one_by_one_not_lost(emulator: EmulatorProcess) -> None:
    async with service_of(emulator) as aps:
        folders = {
            child.name: child
            for child in await listed(aps, HQ, "Quirks", "Project Files", "Folders")
            if isinstance(child, Folder)
        }
        before = emulator.counts()["item"]
        lost = []
        for folder in folders.values():
            children = await aps.children(folder)
            facts = emulator.control("GET", "world")
            raw = _raw_folder(facts, folder.id)
            live = [
                item
                for item in raw["items"]
                if not item["hidden"] and not item["versions"][-1]["type"].endswith(":Deleted")
            ]
            shown = [child for child in children if isinstance(child, File | Shortcut)]
            if len(live) != len(shown):
                lost.append((folder.name, len(live), len(shown)))
        assert emulator.counts()["tip"] == 0  # 50 a minute only
        assert emulator.counts()["item"] > before
    assert lost == []


def _raw_folder(facts: Any, folder_id: str) -> Any:
    def look(folder: Any) -> Any:
        if folder["id"] == folder_id:
            return folder
        return next(filter(None, map(look, folder["folders"])), None)

    for hub in facts["hubs"]:
        for project in hub["projects"]:
            for folder in project["folders"]:
                if (found := look(folder)) is not None:
                    return found
    raise AssertionError(folder_id)


@real
async def test_a_circle_of_pages_ends(emulator: EmulatorProcess) -> None:
    emulator.settings(page_limit=2)
    async with service_of(emulator) as aps:
        small = await walk(aps, "Bench", "Bench Project", "Project Files", "small")
        for to in (0, 1):
            emulator.clear_faults()
            emulator.fault("page_circle", route="contents", page=1, to=to, times=None)
            calls = emulator.counts()["contents"]
            with pytest.raises(BadResponseError, match="circle"):
                await aps.children(small)
            assert emulator.counts()["contents"] - calls <= 5


@real
async def test_a_next_page_on_another_host_is_requested_of_ours(emulator: EmulatorProcess) -> None:
    """Only the query of a link is taken over: the token goes nowhere else."""
    emulator.settings(page_limit=2)
    async with service_of(emulator) as aps:
        small = await walk(aps, "Bench", "Bench Project", "Project Files", "small")
        emulator.fault(
            "next_other_host", route="contents", page=0, host=emulator.cdn_url, times=None
        )
        children = await aps.children(small)
        assert len(children) >= 3
    assert [entry for entry in emulator.calls()["log"] if entry["origin"] == "cdn"] == []


@real
async def test_a_failing_page_fails_the_listing(emulator: EmulatorProcess) -> None:
    """Part of a listing is none: rsync --delete would believe it."""
    emulator.settings(page_limit=2)
    async with service_of(emulator) as aps:
        small = await walk(aps, "Bench", "Bench Project", "Project Files", "small")
        emulator.fault("status", route="contents", page=1, status=403, shape="jsonapi", times=None)
        with pytest.raises(AccessError):
            await aps.children(small)


@real
async def test_odd_object_keys_sign_and_ids_are_encoded_once(emulator: EmulatorProcess) -> None:
    async with service_of(emulator) as aps:
        storage = await listed(aps, HQ, "Quirks", "Project Files", "Storage")
        odd = next(child for child in storage if child.name.startswith("object key"))
        assert isinstance(odd, File)
        assert (await aps.sign(odd)).size_bytes == odd.size_bytes
        for child in storage:
            if child.name in ("signed in chunks.bin", "signed by fallback.bin"):
                assert isinstance(child, File)
                assert (await aps.sign(child)).size_bytes == 3_000_000


@real
async def test_items_know_their_folder_and_a_project_without_root_says_so(
    emulator: EmulatorProcess,
) -> None:
    async with service_of(emulator) as aps:
        small = await walk(aps, "Bench", "Bench Project", "Project Files", "small")
        children = await aps.children(small)
        assert {child.folder_id for child in children if isinstance(child, File)} == {small.id}
        rootless = Project(small.project_id.replace("b.", "a."), HubId("a.x"), "Rootless")
        with pytest.raises(BadResponseError, match="no root folder"):
            await aps.children(rootless)


@real
async def test_a_silent_service_can_be_left(emulator: EmulatorProcess) -> None:
    emulator.fault("stall_before_headers", route="projects", seconds=None)
    async with service_of(emulator) as aps:
        with trio.move_on_after(0.2) as scope:
            await listed(aps, "Bench")
        assert scope.cancelled_caught
        assert len(await listed(aps, "Bench")) == 1
