"""Uploads over a made-up service, and rows of its answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dmfs.aps.uploads import Uploads
from dmfs.http.json_client import JsonClient
from dmfs.model import FolderId, ItemId, ProjectId, StorageId, VersionId
from dmfs.ratelimit.limiter import RateLimiter
from tests.support.fake_http import API_URL, FakeService

B, A = ProjectId("b.1234"), ProjectId("a.YnVzaW5lc3M")
FOLDER = FolderId("urn:adsk.wipprod:fs.folder:co.aaaaaaaaaaaaaaaaaaaaaa")
ITEM = ItemId("urn:adsk.wipprod:dm.lineage:bbbbbbbbbbbbbbbbbbbbbb")
VERSION = VersionId("urn:adsk.wipprod:fs.file:vf.bbbbbbbbbbbbbbbbbbbbbb?version=3")
STORAGE = StorageId("urn:adsk.objects:os.object:wip.dm.prod/c c?/d.dwg")
OBJECT = "/oss/v2/buckets/wip.dm.prod/objects/c%20c%3F%2Fd.dwg"
KEY = "k3y-s3cret"


class Tokens:
    """Each renewal makes the next token."""

    def __init__(self) -> None:
        self.number = 1

    async def token(self) -> str:
        return f"token{self.number}"

    async def renew(self, refused: str) -> str:
        assert refused == await self.token()
        self.number += 1
        return await self.token()


@asynccontextmanager
async def uploads_over(
    *answers: Any, **more: Any
) -> AsyncIterator[tuple[Uploads, FakeService, RateLimiter]]:
    service, limiter = FakeService(*answers), RateLimiter()
    yield Uploads(JsonClient(API_URL, service, limiter), Tokens(), **more), service, limiter


def sent(service: FakeService) -> tuple[str, str, Any]:
    """Method, path and body of the only request."""
    assert len(service.requests) == 1
    request = service.requests[0]
    body = None if request.content is None else json.loads(request.content)
    return request.method, service.paths[0], body


def version_row(number: int = 4, **attributes: Any) -> dict[str, Any]:
    return {
        "type": "versions", "id": f"urn:adsk.wipprod:fs.file:vf.b?version={number}",
        "attributes": {
            "name": "a.dwg", "versionNumber": number, "storageSize": 7, "createUserId": "ADA",
            "extension": {"type": "versions:autodesk.bim360:File", "data": {}}, **attributes,
        },
        "relationships": {"item": {"data": {"type": "items", "id": ITEM}},
                          "storage": {"data": {"type": "objects", "id": STORAGE}}},
    }  # fmt: skip


def item_answer(tip: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    tip = version_row() if tip is None else tip
    return {
        "data": {
            "type": "items", "id": ITEM,
            "attributes": {"displayName": "a.dwg", "hidden": False,
                           "extension": {"type": "items:autodesk.bim360:File"}, **attributes},
            "relationships": {"tip": {"data": {"type": "versions", "id": tip.get("id")}},
                              "parent": {"data": {"type": "folders", "id": FOLDER}}},
        },
        "included": [tip],
    }  # fmt: skip
