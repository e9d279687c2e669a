"""Items, versions and folders by their ids alone: what is above them, one call each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from dmfs.aps.contents import is_tombstone
from dmfs.aps.json_values import Json, dig, number, text
from dmfs.aps.jsonapi import Tips
from dmfs.aps.signed_in import SignedIn, path_id
from dmfs.errors import BadResponseError, DriveError
from dmfs.http.json_body import T
from dmfs.http.json_client import Call
from dmfs.model import FolderId, ItemId, Project

ABSENT = frozenset({404, 410})


class FoundItem(NamedTuple):
    """An item, and the folder that it is in."""

    item_id: ItemId
    folder_id: FolderId
    name: str
    is_deleted: bool
    tip_id: str = ""
    version_number: int | None = None
    """Of the tip."""
    above: tuple[str, ...] | None = None
    """The service's names of the folders above it, the highest first; None where not told."""


class FoundFolder(NamedTuple):
    """A folder, and the one that it is in ('' where the service does not tell)."""

    folder_id: FolderId
    name: str
    parent_id: FolderId
    is_deleted: bool


class ById:
    """Asks the Data service. Each question gives None where the project has no such thing."""

    def __init__(self, service: SignedIn) -> None:
        self._service = service

    async def item(self, project: Project, item_id: str) -> FoundItem | None:
        """In ``b.`` projects with the names above it: the service refuses that elsewhere."""
        action = "look up the file of a link"
        query = {"includePathInProject": "true"} if project.id.startswith("b.") else {}
        return await self._ask(action, "item", project, f"items/{path_id(item_id)}", query, _item)

    async def item_of(self, project: Project, version_id: str) -> ItemId | None:
        """The item that a version is one of."""
        action = "look up the version of a link"
        where = f"versions/{path_id(version_id)}"
        return await self._ask(action, "version", project, where, {}, _item_of)

    async def folder(self, project: Project, folder_id: str) -> FoundFolder | None:
        """A folder. The root folder of a project has a parent above all projects."""
        action = "look up the folder of a link"
        return await self._ask(
            action, "folder", project, f"folders/{path_id(folder_id)}", {}, _folder
        )

    async def _ask(
        self, action: str, route: str, project: Project, where: str, query: Mapping[str, str],
        decode: Callable[[Json, str], T],
    ) -> T | None:  # fmt: skip
        path = f"/data/v1/projects/{path_id(project.id)}/{where}"
        call = Call(action, route, "GET", path, query)
        try:
            return await self._service.request(call, lambda answer: decode(answer, action))
        except DriveError as error:
            if error.status in ABSENT:
                return None
            raise


def _row(answer: Json, action: str, kind: str) -> Json:
    row = answer.get("data")
    if not isinstance(row, Mapping) or text(row, "type") != kind or not text(row, "id"):
        raise BadResponseError(f"cannot {action}: the answer holds none of {kind}")
    return row


def _item(answer: Json, action: str) -> FoundItem:
    row = _row(answer, action, "items")
    tip = Tips(answer.get("included")).of(row)
    folder_id = text(row, "relationships", "parent", "data", "id")
    if not folder_id:
        raise BadResponseError(f"cannot {action}: the answer names no folder")
    above = dig(row, "attributes", "pathInProject")
    return FoundItem(
        ItemId(row["id"]),
        FolderId(folder_id),
        text(row, "attributes", "displayName") or text(tip, "attributes", "name"),
        dig(row, "attributes", "hidden") is True or is_tombstone(tip),
        text(tip, "id"),
        number(tip, "attributes", "versionNumber"),
        tuple(filter(None, above.split("/"))) if isinstance(above, str) else None,
    )


def _item_of(answer: Json, action: str) -> ItemId:
    row = _row(answer, action, "versions")
    item_id = text(row, "relationships", "item", "data", "id")
    if not item_id:
        raise BadResponseError(f"cannot {action}: the answer names no file")
    return ItemId(item_id)


def _folder(answer: Json, action: str) -> FoundFolder:
    row = _row(answer, action, "folders")
    return FoundFolder(
        FolderId(row["id"]),
        text(row, "attributes", "name") or text(row, "attributes", "displayName"),
        FolderId(text(row, "relationships", "parent", "data", "id")),
        dig(row, "attributes", "hidden") is True,
    )
