"""Items, versions and folders that are posted, and what the answers say: a made-up service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dmfs.aps.change import documents
from dmfs.aps.change.answers import decode_permissions
from dmfs.aps.uploads import PERMISSIONS_MAX
from dmfs.errors import (
    BadNameError,
    NotPermittedError,
    TokenRefusedError,
    UnknownOutcomeError,
)
from dmfs.http.client import Response
from dmfs.model import FolderId, HubId, ProjectId
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from tests.aps.posting import (
    FOLDER,
    ITEM,
    STORAGE,
    VERSION,
    A,
    B,
    item_answer,
    sent,
    uploads_over,
    version_row,
)
from tests.support.fake_http import json_response, status
from tests.support.helpers import virtual


@pytest.mark.parametrize(("project", "family"), [(B, "bim360"), (A, "core")])
def test_types_follow_the_hub(project: ProjectId, family: str) -> None:
    item = documents.item(project, FOLDER, "a", STORAGE)
    assert item["data"]["attributes"]["extension"]["type"] == f"items:autodesk.{family}:File"
    version = documents.version(project, ITEM, "a", STORAGE)
    for row in (item["included"][0], version["data"]):
        assert row["attributes"]["extension"]["type"] == f"versions:autodesk.{family}:File"
    folder = documents.folder(project, FOLDER, "a")["data"]["attributes"]["extension"]["type"]
    assert folder == f"folders:autodesk.{family}:Folder"


@virtual
async def test_a_new_item() -> None:
    odd = version_row(1, extension={"type": "versions:autodesk.bim360:File",
                                    "data": {"conformingStatus": "NON_CONFORMING"}})  # fmt: skip
    async with uploads_over(
        json_response(item_answer(version_row(1)), 201), json_response(item_answer(odd), 201)
    ) as (uploads, service, limiter):
        posted = await uploads.new_item(B, FOLDER, "a.dwg", STORAGE, hub_id=HubId("b.h"))
        assert not (await uploads.new_item(B, FOLDER, "a.dwg", STORAGE)).conforming
    assert (posted.item_id, posted.conforming, posted.created_by) == (ITEM, True, "ADA")
    assert (posted.file.version_number, posted.file.folder_id) == (1, FOLDER)
    assert (posted.file.hub_id, posted.file.project_id) == ("b.h", B)
    assert service.paths[0] == "/data/v1/projects/b.1234/items"
    assert service.requests[0].headers["Content-Type"] == "application/vnd.api+json"
    body = json.loads(service.requests[0].content or b"")
    assert body["data"]["attributes"]["displayName"] == body["included"][0]["attributes"]["name"]
    assert body["data"]["relationships"]["tip"]["data"]["id"] == body["included"][0]["id"]
    assert body["included"][0]["relationships"]["storage"]["data"]["id"] == STORAGE
    assert limiter.counts["new_item", "write"] == 2


@virtual
async def test_a_new_version_a_copy_and_a_restored_one() -> None:
    answers = [json_response({"data": version_row()}, 201) for _ in range(3)]
    async with uploads_over(*answers) as (uploads, service, limiter):
        posted = await uploads.new_version(B, ITEM, "a.dwg", STORAGE)
        assert (posted.file.version_number, posted.file.item_id) == (4, ITEM)
        await uploads.copy_version(B, ITEM, VERSION, "b.dwg")
        await uploads.copy_version(B, ITEM, VERSION)
    copied = "?copyFrom=urn%3Aadsk.wipprod%3Afs.file%3Avf.bbbbbbbbbbbbbbbbbbbbbb%3Fversion%3D3"
    top = "/data/v1/projects/b.1234/versions"
    assert service.paths == [top, top + copied, top + copied]
    bodies = [json.loads(request.content or b"")["data"] for request in service.requests]
    assert bodies[0]["relationships"]["item"]["data"]["id"] == ITEM
    assert bodies[1:] == [
        {"type": "versions", "attributes": {"name": "b.dwg"}}, {"type": "versions"}
    ]  # fmt: skip
    assert limiter.counts["new_version", "write"] == 3


@pytest.mark.parametrize(
    "answer",
    [
        {}, {"data": []}, {"data": version_row() | {"id": ""}},
        {"data": version_row(versionNumber=None)}, {"data": version_row() | {"relationships": {}}},
        {"data": version_row(name=5)}, {"data": version_row() | {"type": "items"}},
        {"data": version_row() | {"relationships": {"item": {"data": {"id": "another"}},
         "storage": {"data": {"id": STORAGE}}}}},
    ],
)  # fmt: skip
def test_a_version_that_is_none_is_an_unknown_outcome(answer: Any) -> None:
    @virtual
    async def body() -> None:
        async with uploads_over(json_response(answer, 201)) as (uploads, service, _):
            with pytest.raises(UnknownOutcomeError):
                await uploads.new_version(B, ITEM, "a.dwg", STORAGE)
            assert len(service.requests) == 1

    body()


@virtual
async def test_a_copied_item_has_a_name_and_no_storage() -> None:
    async with uploads_over(json_response(item_answer(version_row(1)), 201)) as (
        uploads,
        service,
        _,
    ):
        await uploads.copy_item(B, FOLDER, VERSION, "b.dwg")
    method, path, body = sent(service)
    assert method == "POST"
    assert path.startswith("/data/v1/projects/b.1234/items?copyFrom=urn%3A")
    assert "relationships" not in body["included"][0]
    assert body["included"][0]["attributes"]["name"] == "b.dwg"


@virtual
async def test_a_rename_in_place_and_a_tombstone() -> None:
    deleted = version_row(5, extension={"type": "versions:autodesk.core:Deleted"})
    async with uploads_over(
        json_response({}), Response(204, {}, b""), json_response({"data": deleted}, 201),
        json_response({"data": version_row()}, 201),
    ) as (uploads, service, limiter):  # fmt: skip
        await uploads.rename_in_place(A, ITEM, VERSION, "b.dwg")
        await uploads.delete_item(B, ITEM)
        with pytest.raises(UnknownOutcomeError):
            await uploads.delete_item(B, ITEM)
    assert [request.method for request in service.requests] == ["PATCH", "PATCH", "POST", "POST"]
    assert service.paths[1].endswith("vf.bbbbbbbbbbbbbbbbbbbbbb%3Fversion%3D3")
    bodies = [json.loads(request.content or b"")["data"] for request in service.requests]
    assert bodies[0]["attributes"] == {"displayName": "b.dwg"}
    assert bodies[1]["attributes"] == {"name": "b.dwg"}
    assert bodies[2]["attributes"]["extension"]["type"] == "versions:autodesk.core:Deleted"
    assert limiter.counts["change", "write"] == 2


@virtual
async def test_folders() -> None:
    row = {"type": "folders", "id": FOLDER, "attributes": {"name": "New", "hidden": False}}
    async with uploads_over(
        json_response({"data": row}, 201), json_response({"data": row}), Response(200, {}, b""),
        json_response({"data": row}), json_response({"data": row | {"attributes": {}}}, 201),
    ) as (uploads, service, limiter):  # fmt: skip
        assert (await uploads.new_folder(B, FOLDER, "New", hub_id=HubId("b.h"))).name == "New"
        await uploads.change_folder(B, FOLDER, name="Newer", parent=FolderId("p"))
        await uploads.change_folder(B, FOLDER, hidden=True)
        with pytest.raises(NotPermittedError):  # 200, and nothing happens
            await uploads.change_folder(A, FOLDER, hidden=True)
        with pytest.raises(UnknownOutcomeError):
            await uploads.new_folder(B, FOLDER, "New")
    bodies = [json.loads(request.content or b"")["data"] for request in service.requests]
    assert bodies[1]["attributes"] == {"name": "Newer"}
    assert bodies[1]["relationships"] == {"parent": {"data": {"type": "folders", "id": "p"}}}
    assert bodies[2] == {"type": "folders", "id": FOLDER, "attributes": {"hidden": True}}
    assert (limiter.counts["new_folder", "write"], limiter.counts["change", "write"]) == (2, 3)


@virtual
async def test_permissions_come_in_fifties_and_are_asked_for_again() -> None:
    def answer(ids: list[str]) -> Response:
        rows = [{"type": "folders", "id": each, "details": {"upload": True, "admin": True},
                 "permission": False} for each in ids]  # fmt: skip
        data = {"attributes": {"extension": {"data": {"permissions": rows}}}}
        return json_response({"data": data})

    ids = [f"f{number}" for number in range(PERMISSIONS_MAX + 1)]
    async with uploads_over(status(503), answer(ids[:50]), answer(ids[50:])) as (
        uploads,
        service,
        _,
    ):
        found = await uploads.permissions(B, [*ids[:-1], ITEM], ["upload", "create"])
    assert found == dict.fromkeys(ids, frozenset({"upload"}))
    types = {request.headers["Content-Type"] for request in service.requests}
    assert types == {"application/vnd.api+json"}
    asked = json.loads(service.requests[2].content or b"")["data"]["relationships"]
    assert asked["resources"]["data"] == [{"type": "items", "id": ITEM}]


def test_permissions_without_details_are_all_or_none() -> None:
    rows: list[Any] = [{"id": "a", "meta": {"permission": True}},
                       {"id": "b", "meta": {"permission": False}}, {"id": "c"}, {}, 5]  # fmt: skip
    answer = {"data": {"relationships": {"resources": {"data": rows}}}}
    assert decode_permissions(answer, ["upload"]) == {
        "a": {"upload"}, "b": frozenset(), "c": frozenset()
    }  # fmt: skip
    assert decode_permissions({}, ["upload"]) == {}


@virtual
async def test_a_refused_token_is_renewed_once() -> None:
    made = json_response({"data": version_row()}, 201)
    async with uploads_over(status(401), made, x_user_id="ada") as (uploads, service, _):
        await uploads.new_version(B, ITEM, "a.dwg", STORAGE)
    tokens = [request.headers["Authorization"] for request in service.requests]
    assert tokens == ["Bearer token1", "Bearer token2"]
    assert service.requests[0].headers["x-user-id"] == "ada"
    async with uploads_over(status(401), status(401), made) as (uploads, service, _):
        with pytest.raises(TokenRefusedError):
            await uploads.new_version(B, ITEM, "a.dwg", STORAGE)
    assert len(service.requests) == 2


@virtual
async def test_who_waits_has_a_priority_of_ones_own() -> None:
    async with uploads_over(status(404), status(404)) as (uploads, _service, limiter):
        with at_priority(RequestPriority(Priority.LOOKUP)):
            await uploads.details(STORAGE)
        await uploads.details(STORAGE)
    assert (limiter.counts["details", "lookup"], limiter.counts["details", "write"]) == (1, 1)


@pytest.mark.parametrize("name", ["", "\udc80", "ä" * 128])
def test_a_name_that_no_document_can_have_is_refused_here(name: str) -> None:
    @virtual
    async def body() -> None:
        async with uploads_over() as (uploads, service, _):
            for call in (
                uploads.storage(B, FOLDER, name), uploads.new_item(B, FOLDER, name, STORAGE),
                uploads.new_version(B, ITEM, name, STORAGE), uploads.new_folder(B, FOLDER, name),
                uploads.change_folder(B, FOLDER, name=name),
                uploads.rename_in_place(A, ITEM, VERSION, name),
                uploads.copy_item(B, FOLDER, VERSION, name),
            ):  # fmt: skip
                with pytest.raises(BadNameError):
                    await call
            assert not service.requests

    body()
