"""Answers that list hubs or projects, as nodes of the model. Pure."""

from __future__ import annotations

from dmfs.aps.json_values import Json, dig, shared_text, text
from dmfs.aps.jsonapi import rows_of
from dmfs.errors import BadResponseError
from dmfs.model import FolderId, Hub, HubId, Project, ProjectId


def decode_hubs(answer: Json, action: str) -> list[Hub]:
    """The hubs of an answer. BadResponseError for a row without an id or a usable name."""
    return [
        Hub(
            id=HubId(row["id"]),
            name=_plain_name(row, action),
            extension_type=shared_text(row, "attributes", "extension", "type"),
        )
        for row in rows_of(answer, action)
    ]


def decode_projects(answer: Json, action: str, hub_id: HubId) -> list[Project]:
    """One page of a hub's projects. BadResponseError as for hubs."""
    return [
        Project(
            id=ProjectId(row["id"]),
            hub_id=hub_id,
            name=_plain_name(row, action),
            root_folder_id=FolderId(root)
            if (root := text(row, "relationships", "rootFolder", "data", "id"))
            else None,
            extension_type=shared_text(row, "attributes", "extension", "type"),
            web_url=text(row, "links", "webView", "href"),
        )
        for row in rows_of(answer, action)
    ]


def _plain_name(row: Json, action: str) -> str:
    """The name of a hub or a project; '' if the service gives none."""
    name = dig(row, "attributes", "name")
    if not isinstance(name, str | None):
        raise BadResponseError(f"cannot {action}: the answer holds an entry without a usable name")
    return name or ""
