"""Answers of the service, as rows and pages of JSON:API."""

from __future__ import annotations

from typing import Any

from dmfs.aps.contents import decode_contents
from dmfs.model import FolderId, HubId, Project, ProjectId

ROOT = FolderId("urn:adsk.wipprod:fs.folder:co.ROOT")
PROJECT = Project(ProjectId("b.p"), HubId("b.h"), "P", root_folder_id=ROOT)
STORAGE = "urn:adsk.objects:os.object:wip.dm.prod/9b0b.dwg"


def version(number: int = 1, item: str = "item", **attributes: Any) -> dict[str, Any]:
    values = {
        "name": "Site.dwg", "versionNumber": number, "storageSize": 100 + number,
        "createTime": "2022-05-06T08:24:41.1234567Z",
        "lastModifiedTime": "2022-05-06T08:24:46.0000000Z",
        "extension": {"type": "versions:autodesk.bim360:File"},
    }  # fmt: skip
    return {
        "type": "versions",
        "id": f"urn:{item}?version={number}",
        "attributes": values | attributes,
        "relationships": {
            "item": {"data": {"type": "items", "id": item}},
            "storage": {"data": {"type": "objects", "id": STORAGE}},
        },
    }


def item(name: str = "item", tip: str | None = "urn:item?version=1", **attributes: Any) -> Any:
    values = {
        "displayName": f"{name}.dwg", "hidden": False, "createTime": "2020-01-01T00:00:00Z",
        "extension": {"type": "items:autodesk.bim360:File"},
    }  # fmt: skip
    row: dict[str, Any] = {"type": "items", "id": name, "attributes": values | attributes}
    if tip is not None:
        row["relationships"] = {"tip": {"data": {"type": "versions", "id": tip}}}
    return row


def folder(name: str = "Plans", parent: str = "x", **attributes: Any) -> dict[str, Any]:
    return {
        "type": "folders",
        "id": f"folder {name}",
        "attributes": {"name": name, "hidden": False} | attributes,
        "relationships": {"parent": {"data": {"type": "folders", "id": parent}}},
    }


def page(*rows: Any, included: Any = None) -> dict[str, Any]:
    return {"data": list(rows)} | ({} if included is None else {"included": included})


def only(answer: dict[str, Any]) -> Any:
    contents = decode_contents(answer, "list", PROJECT)
    assert not contents.tipless
    (child,) = contents.children
    return child
