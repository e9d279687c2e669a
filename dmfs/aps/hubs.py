"""Answers that list hubs or projects, as nodes of the model. Pure."""

from __future__ import annotations

from dmfs.aps.json_values import Json, dig, shared_text, text
from dmfs.aps.jsonapi import each_row
from dmfs.errors import BadResponseError
from dmfs.model import FolderId, Hub, HubId, Project, ProjectId


def decode_hubs(answer: Json, action: str, lost: list[str] | None = None) -> list[Hub]:
    """The hubs of an answer. A row without an id or a usable name goes to ``lost``, or is a
    BadResponseError: see ``jsonapi.each_row``."""

    def decode(row: Json) -> Hub:
        return Hub(
            id=HubId(row["id"]),
            name=_plain_name(row, action),
            extension_type=shared_text(row, "attributes", "extension", "type"),
        )

    return each_row(answer, action, decode, lost)


def decode_projects(
    answer: Json, action: str, hub_id: HubId, lost: list[str] | None = None
) -> list[Project]:
    """One page of a hub's projects; ``lost`` as for hubs."""

    def decode(row: Json) -> Project:
        root = text(row, "relationships", "rootFolder", "data", "id")
        return Project(
            id=ProjectId(row["id"]),
            hub_id=hub_id,
            name=_plain_name(row, action),
            root_folder_id=FolderId(root) if root else None,
            extension_type=shared_text(row, "attributes", "extension", "type"),
            web_url=text(row, "links", "webView", "href"),
        )

    return each_row(answer, action, decode, lost)


def _plain_name(row: Json, action: str) -> str:
    """The name of a hub or a project; '' if the service gives none."""
    name = dig(row, "attributes", "name")
    if not isinstance(name, str | None):
        raise BadResponseError(f"cannot {action}: the answer holds an entry without a usable name")
    return name or ""
