"""Places, addresses, completions and looks of an upload: a made-up service."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from dmfs.errors import (
    BadResponseError,
    DriveError,
    InUseError,
    PartsRefusedError,
    UnknownOutcomeError,
)
from dmfs.model import HubId, Project
from tests.aps.posting import (
    FOLDER,
    ITEM,
    KEY,
    OBJECT,
    STORAGE,
    B,
    item_answer,
    sent,
    uploads_over,
    version_row,
)
from tests.support.fake_http import json_response, status
from tests.support.helpers import virtual


@virtual
async def test_a_place_for_bytes() -> None:
    made = json_response({"data": {"type": "objects", "id": STORAGE}}, 201)
    for target, kind in ((FOLDER, "folders"), (ITEM, "items")):
        async with uploads_over(made) as (uploads, service, _):
            assert await uploads.storage(B, target, "ä.dwg") == STORAGE
        method, path, body = sent(service)
        assert (method, path) == ("POST", "/data/v1/projects/b.1234/storage")
        assert body["data"] == {
            "type": "objects", "attributes": {"name": "ä.dwg"},
            "relationships": {"target": {"data": {"type": kind, "id": target}}},
        }  # fmt: skip


@virtual
async def test_addresses_of_parts() -> None:
    answer = {
        "uploadKey": KEY, "urls": ["https://s3/1?sig", "https://s3/2?sig"],
        "urlExpiration": "2026-01-01T00:00:00Z", "uploadExpiration": "2026-01-02T00:00:00Z",
    }  # fmt: skip
    async with uploads_over(json_response(answer)) as (uploads, service, limiter):
        began = trio.current_time()
        urls = await uploads.part_urls(STORAGE, first=3, count=2, upload_key=KEY, accelerate=False)
    method, path, _ = sent(service)
    assert method == "GET"
    assert path == (
        f"{OBJECT}/signeds3upload?parts=2&firstPart=3&minutesExpiration=60&useAcceleration=false"
        f"&uploadKey={KEY}"
    )
    assert (urls.upload_key, urls.urls) == (KEY, tuple(answer["urls"]))
    assert urls.expires_at == began + 59 * 60
    assert urls.upload_ends_s == 1767312000.0
    assert KEY not in repr(urls)
    assert "sig" not in repr(urls)
    assert limiter.counts["upload_urls", "write"] == 1


@pytest.mark.parametrize(
    "answer",
    [
        {}, {"urls": ["u"]}, {"uploadKey": "", "urls": ["u"]}, {"uploadKey": 5, "urls": ["u"]},
        {"uploadKey": "k\n", "urls": ["u"]}, {"uploadKey": "k" * 9000, "urls": ["u"]},
        {"uploadKey": "k"}, {"uploadKey": "k", "urls": []}, {"uploadKey": "k", "urls": ["u", "v"]},
        {"uploadKey": "k", "urls": [""]}, {"uploadKey": "k", "urls": [5]},
        {"uploadKey": "k", "urls": "u"},
    ],
)  # fmt: skip
def test_addresses_that_are_none(answer: Any) -> None:
    @virtual
    async def body() -> None:
        async with uploads_over(json_response(answer)) as (uploads, _service, _limiter):
            with pytest.raises(BadResponseError):
                await uploads.part_urls(STORAGE, first=1, count=1)

    body()


@pytest.mark.parametrize(("first", "count"), [(0, 1), (1, 0), (1, 26)])
def test_more_addresses_than_a_call_has_are_a_mistake(first: int, count: int) -> None:
    @virtual
    async def body() -> None:
        async with uploads_over() as (uploads, service, _):
            with pytest.raises(ValueError, match="25"):
                await uploads.part_urls(STORAGE, first=first, count=count)
            assert not service.requests

    body()


@virtual
async def test_a_completion_tells_size_and_etags() -> None:
    async with uploads_over(json_response({"size": 9}), json_response({"size": 9})) as (
        uploads, service, limiter,
    ):  # fmt: skip
        assert await uploads.complete(STORAGE, KEY, 9, ["e1", "e2"]) == 9
        assert await uploads.complete(STORAGE, KEY, 9, ["e1", ""]) == 9
    bodies = [json.loads(request.content or b"") for request in service.requests]
    assert bodies == [
        {"uploadKey": KEY, "size": 9, "eTags": ["e1", "e2"]}, {"uploadKey": KEY, "size": 9},
    ]  # fmt: skip
    assert service.paths == [f"{OBJECT}/signeds3upload"] * 2
    assert {request.headers["Content-Type"] for request in service.requests} == {"application/json"}
    assert limiter.counts["complete", "write"] == 2


@pytest.mark.parametrize(
    ("answer", "kind", "parts"),
    [
        (json_response({"status": "error", "reason": "MissingOrInvalidParts",
                        "parts": [{"part": 2, "status": "Pending"}]}), PartsRefusedError, (2,)),
        (json_response({"status": "error", "reason": "MissingOrInvalidParts",
                        "parts": [{"part": 2, "status": "Pending"}]}, 400),
         PartsRefusedError, (2,)),
        (json_response({"size": 8}), PartsRefusedError, ()),
        (json_response({}), UnknownOutcomeError, None),
        (json_response({"size": "9"}), UnknownOutcomeError, None),
        (status(500), UnknownOutcomeError, None),
    ],
)  # fmt: skip
def test_a_completion_that_failed(answer: Any, kind: type[DriveError], parts: Any) -> None:
    @virtual
    async def body() -> None:
        async with uploads_over(answer) as (uploads, service, _):
            with pytest.raises(kind) as caught:
                await uploads.complete(STORAGE, KEY, 9, ["e"])
            assert type(caught.value) is kind
            assert getattr(caught.value, "parts", None) == parts
            assert KEY not in str(caught.value)
            assert len(service.requests) == 1

    body()


@virtual
async def test_an_object_that_is_not_there_is_none() -> None:
    sha1 = "a" * 40
    async with uploads_over(
        status(404), json_response({"size": 9, "sha1": sha1.upper()}), json_response({"size": 9}),
        json_response({"size": 9, "sha1": "?" * 40}), json_response({"size": -1}),
    ) as (uploads, service, _):  # fmt: skip
        assert await uploads.details(STORAGE) is None
        assert await uploads.details(STORAGE) == (9, sha1)
        assert await uploads.details(STORAGE) == (9, "")
        assert await uploads.details(STORAGE) == (9, "")
        with pytest.raises(BadResponseError):
            await uploads.details(STORAGE)
    assert service.paths[0] == f"{OBJECT}/details"


@virtual
async def test_a_tip_with_its_lock() -> None:
    project = Project(B, HubId("b.h"), "p")
    locked = item_answer(reserved=True, reservedUserId="BOB", reservedUserName="Bob E")
    gone = item_answer(version_row(extension={"type": "versions:autodesk.core:Deleted"}))
    tipless, empty = item_answer(), item_answer(version_row() | {"relationships": {}})
    tipless["included"] = []
    async with uploads_over(
        *map(json_response, (item_answer(), locked, item_answer(hidden=True), gone)), status(404),
        json_response(tipless), json_response({"data": {}}), json_response(empty),
    ) as (uploads, service, _):  # fmt: skip
        tip = await uploads.item(project, ITEM)
        assert tip.file is not None
        assert (tip.file.version_number, tip.file.storage_id, tip.file.size_bytes) == (
            4,
            STORAGE,
            7,
        )
        assert (tip.name, tip.reserved_by, tip.exists, tip.created_by) == ("a.dwg", "", True, "ADA")
        tip = await uploads.item(project, ITEM)
        assert (tip.reserved_by, tip.reserved_by_id) == ("Bob E", "BOB")
        for _ in range(2):
            tip = await uploads.item(project, ITEM)
            assert (tip.file, tip.exists) == (None, True)
        assert not (await uploads.item(project, ITEM)).exists
        for _ in range(2):
            with pytest.raises(BadResponseError):
                await uploads.item(project, ITEM)
        with pytest.raises(InUseError):
            await uploads.item(project, ITEM)
    assert service.paths[0] == (
        "/data/v1/projects/b.1234/items/urn%3Aadsk.wipprod%3Adm.lineage%3Abbbbbbbbbbbbbbbbbbbbbb"
    )
