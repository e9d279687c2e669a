"""Rows, items, hubs and projects that are no use, among others that are, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from dmfs.aps.client import Aps
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import BusyError, DriveError, PartialAnswerError, UnreachableError
from dmfs.http.client import Response
from dmfs.model import File, Folder, Hub, HubId, Root
from dmfs.namespace.directory_query import DirectoryQuery
from dmfs.system.concurrency import deadline
from tests.aps.test_client import HQ, listed, service_of, walk
from tests.support.fake_http import FakeService, json_client_of, json_response
from tests.support.helpers import real, virtual

FOLDERS = (HQ, "Quirks", "Project Files", "Folders")
SMALL = ("Bench", "Bench Project", "Project Files", "small")


@real
async def test_items_that_answer_503_for_good_do_not_hide_their_folder(
    emulator: EmulatorProcess,
) -> None:
    async with service_of(emulator) as aps:
        place = await walk(aps, *FOLDERS, "included missing")
        whole = {child.name for child in await aps.children(place)}
        rows = [e for e in emulator.calls()["log"] if e["route"] == "item"]
        bad = [row["path"].rpartition("/")[2] for row in rows][:2]
        for identifier in bad:
            emulator.fault("status", route="item", contains=identifier, status=503, times=None)
        children = await aps.children(place)
        assert {child.name for child in children} == whole
        refused = [child for child in children if isinstance(child, File) and not child.version]
        assert len(refused) == len(bad) < len(whole)


@pytest.mark.parametrize("kind", ["stall_before_headers", "malformed_json", "wrong_json_types"])
def test_whatever_the_reason(emulator: EmulatorProcess, kind: str) -> None:
    @real
    async def body() -> None:
        async with service_of(emulator) as aps:
            place = await walk(aps, *FOLDERS, "included missing")
            whole = {child.name for child in await aps.children(place)}
            emulator.fault(kind, route="item", times=None)
            with deadline(3, "list"):
                children = await aps.children(place)
            assert {child.name for child in children} == whole

    body()


@pytest.mark.parametrize(
    ("fault", "error"),
    [({"status": 429, "retry_after": 300}, BusyError), ({"status": 401}, DriveError)],
)
def test_what_fails_for_everybody_fails_the_folder(
    emulator: EmulatorProcess, fault: dict[str, Any], error: type[DriveError]
) -> None:
    @real
    async def body() -> None:
        async with service_of(emulator) as aps:
            place = await walk(aps, *FOLDERS, "included missing")
            emulator.fault("status", route="item", times=None, **fault)
            with pytest.raises(error), deadline(5, "list"):
                await aps.children(place)

    body()


@real
async def test_a_network_that_answers_for_no_item_fails_the_folder(
    emulator: EmulatorProcess,
) -> None:
    async with service_of(emulator) as aps:
        place = await walk(aps, *FOLDERS, "included missing")
        emulator.fault("reset_before_headers", route="item", times=None)
        with pytest.raises(UnreachableError):
            await aps.children(place)


@pytest.mark.parametrize("how", ["number", "no_id"])
def test_a_rotten_row_leaves_the_others_and_says_so(emulator: EmulatorProcess, how: str) -> None:
    @real
    async def body() -> None:
        async with service_of(emulator) as aps:
            whole = await listed(aps, *SMALL)
            small = await walk(aps, *SMALL)
            emulator.fault("rotten_row", route="contents", at=1, how=how, times=None)
            with pytest.raises(PartialAnswerError) as caught:
                await aps.children(small)
            assert len(caught.value.rest) == len(whole) - 1
            assert len(caught.value.lost) == 1

    body()


@real
async def test_a_row_of_no_known_type_stays_listed_by_its_name(emulator: EmulatorProcess) -> None:
    async with service_of(emulator) as aps:
        whole = {child.name for child in await listed(aps, *SMALL)}
        small = await walk(aps, *SMALL)
        emulator.fault("rotten_row", route="contents", at=1, how="no_type", times=None)
        children = await aps.children(small)
        assert {child.name for child in children} == whole
        assert sum(isinstance(child, File) and not child.version for child in children) == 1


@pytest.mark.parametrize("route", ["hubs", "projects", "topFolders"])
def test_one_bad_hub_project_or_top_folder_does_not_hide_the_others(
    emulator: EmulatorProcess, route: str
) -> None:
    @real
    async def body() -> None:
        async with service_of(emulator) as aps:
            names = {"hubs": (), "projects": (HQ,), "topFolders": (HQ, "Service Folders")}[route]
            place = await walk(aps, *names) if names else Root()
            whole = {child.name for child in await aps.children(place)}
            emulator.fault("rotten_row", route=route, at=0, how="no_name", times=None)
            with pytest.raises(PartialAnswerError) as caught:
                await aps.children(place)
            shown = {child.name for child in caught.value.rest}
            assert shown < whole
            assert len(shown) >= len(whole) - 1
            assert caught.value.lost[0]

    body()


@real
async def test_an_answer_that_is_rotten_throughout_is_none(emulator: EmulatorProcess) -> None:
    async with service_of(emulator) as aps:
        small = await walk(aps, *SMALL)
        assert isinstance(small, Folder)
        emulator.fault("wrong_json_types", route="contents", times=None)
        with pytest.raises(DriveError) as caught, trio.fail_after(20):
            await aps.children(small)
        assert not isinstance(caught.value, PartialAnswerError)


def region(name: str, status: str | int) -> dict[str, Any]:
    """A warning of the hubs answer, as the service sends it."""
    return {
        "Id": None, "HttpStatusCode": status, "ErrorCode": "BIM360DM_ERROR",
        "Title": f"Unable to get hubs from BIM360DM {name}.", "Detail": "made up",
    }  # fmt: skip


def answer(names: str, *warnings: dict[str, Any]) -> Response:
    rows = [{"type": "x", "id": f"b.{name}", "attributes": {"name": name}} for name in names]
    return json_response({"data": rows, "meta": {"warnings": list(warnings)}})


class Tokens:
    async def token(self) -> str:
        return "made up"

    async def renew(self, refused: str) -> str:
        return refused


async def no_size(file: File) -> None:
    raise AssertionError("no hub is a file")


@asynccontextmanager
async def query_of(*answers: Response) -> AsyncIterator[DirectoryQuery]:
    async with json_client_of(FakeService(*answers)) as http:
        aps = Aps(http, Tokens(), url_minutes=60)
        yield DirectoryQuery(aps.children, no_size, service_folders=False)


@pytest.mark.parametrize("place", [Root(), Hub(HubId("b.h"), "hub")])
def test_what_a_region_that_fails_holds_is_not_absent(place: Root | Hub) -> None:
    @virtual
    async def body() -> None:
        failing = answer("a", region("EMEA", "503"), region("AUS", "403"))
        async with query_of(answer("ab"), failing, answer("a"), failing) as query:
            whole = await query.entries(place)
            assert (set(whole.by_name), whole.undescribed, whole.lost) == ({"a", "b"}, 0, 0)
            kept = await query.entries(place, whole.by_name)
            assert (set(kept.by_name), kept.undescribed, kept.lost) == ({"a", "b"}, 1, 0)
            healed = await query.entries(place, kept.by_name)
            assert (set(healed.by_name), healed.undescribed, healed.lost) == ({"a"}, 0, 0)
            unknown = await query.entries(place)
            assert (set(unknown.by_name), unknown.undescribed, unknown.lost) == ({"a"}, 0, 1)

    body()


@pytest.mark.parametrize("status", ["403", 403])
def test_a_region_that_refuses_is_normal(status: str | int) -> None:
    @virtual
    async def body() -> None:
        refusals = [region(name, status) for name in ("EMEA", "AUS", "CAN", "DEU")]
        async with query_of(answer("a", *refusals)) as query:
            found = await query.entries(Root())
            assert (set(found.by_name), found.undescribed, found.lost) == ({"a"}, 0, 0)

    body()


@pytest.mark.parametrize("place", [Root(), Hub(HubId("b.h"), "hub")])
def test_regions_of_which_none_answers_are_no_empty_list_and_no_refusal(place: Root | Hub) -> None:
    @virtual
    async def body() -> None:
        async with query_of(answer("", region("US", "503"), region("AUS", "403"))) as query:
            with pytest.raises(UnreachableError, match="BIM360DM US"):
                await query.entries(place)

    body()
