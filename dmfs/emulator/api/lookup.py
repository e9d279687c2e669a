"""From ids in a path to things in the world, as far as this token may see them; paging."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from dmfs.emulator.api.service import Service
from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import JSONAPI_TYPE, Refusal
from dmfs.emulator.http.messages import Answer, Request, json_answer
from dmfs.emulator.sign_in.tokens import Token
from dmfs.emulator.world.model import (
    Folder,
    Hub,
    Item,
    Json,
    Project,
    Version,
    is_revoked,
    project_of,
)

PAGE_MAX = 200
_PERMISSION_TEXT = "You don't have permission to access this API"


def hub(service: Service, token: Token, hub_id: str) -> Hub:
    """The hub of that id; Refusal: 404 if unknown, 403 if this token may not see it."""
    found = service.world.hub(hub_id)
    if found is None:
        raise Refusal(errors.jsonapi(404, "NOT_FOUND", "The requested resource does not exist."))
    if not may_see(token, found):
        raise Refusal(errors.jsonapi(403, "BIM360DM_ERROR", _PERMISSION_TEXT))
    return found


def may_see(token: Token, node: Hub) -> bool:
    """``a.`` hubs need a user (facts 1.4); accounts need the app to be admitted."""
    return token.app.admitted and (node.is_account or token.sees_teams)


def project(service: Service, token: Token, project_id: str) -> Project:
    """The project of that id; Refusal: 404 if unknown, 403 if out of reach or archived."""
    found = service.world.projects.get(project_id)
    if found is None:
        raise Refusal(errors.jsonapi(404, "NOT_FOUND", "The requested resource does not exist."))
    if found.revoked or not may_see(token, found.hub):
        raise Refusal(errors.jsonapi(403, "BIM360DM_ERROR", _PERMISSION_TEXT))
    if not found.active:
        detail = f"Project is not active: {found.id}"
        raise Refusal(errors.jsonapi(403, "BIM360DM_ERROR", detail))
    return found


def _within(owner: Project, node: Folder | Item | None, code: str, noun: str) -> None:
    if node is None or project_of(node) is not owner:
        raise Refusal(errors.jsonapi(404, code, f"ApiError {noun} not found"))
    if is_revoked(node):
        detail = "The user does not have permission to perform this operation."
        raise Refusal(errors.jsonapi(403, "FORBIDDEN", detail))


def folder(service: Service, owner: Project, folder_id: str) -> Folder:
    found = service.world.folders.get(folder_id)
    _within(owner, found, "FOLDER_NOT_FOUND", "Folder")
    assert found is not None
    return found


def item(service: Service, owner: Project, item_id: str) -> Item:
    found = service.world.items.get(item_id)
    _within(owner, found, "ITEM_NOT_FOUND", "Item")
    assert found is not None
    return found


def version(service: Service, owner: Project, version_id: str) -> tuple[Item, Version]:
    found = service.world.versions.get(version_id)
    _within(owner, found[0] if found else None, "VERSION_NOT_FOUND", "Version")
    assert found is not None
    return found


def page_of(service: Service, request: Request) -> tuple[int, int]:
    """``(number, limit)``: 0-based, limit 1 to 200 (facts 3.1)."""
    try:
        number = request.number("page[number]", 0)
        limit = request.number("page[limit]", PAGE_MAX)
    except ValueError:
        number = limit = -1
    if number < 0 or not 1 <= limit <= PAGE_MAX:
        raise Refusal(errors.jsonapi(400, "BAD_INPUT", "Invalid page number or page limit."))
    cap = service.settings.page_limit
    return number, min(limit, cap) if cap else limit


def page_links(service: Service, request: Request, number: int, limit: int, total: int) -> Json:
    """``next``, ``first`` and ``prev`` where they apply: absolute, brackets percent-encoded."""
    rest = [(key, value) for key, value in request.query.items() if not key.startswith("page[")]

    def href(page: int) -> Json:
        query = urlencode([*rest, ("page[number]", page), ("page[limit]", limit)])
        return {"href": f"{service.api_url}{request.path}?{query}"}

    links: Json = {}
    if number > 0:
        links |= {"first": href(0), "prev": href(number - 1)}
    if (number + 1) * limit < total:
        links["next"] = href(number + 1)
    return links


Value = Callable[[Any, str], object]
_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "": lambda have, want: have == want,
    "-eq": lambda have, want: have == want,
    "-lt": lambda have, want: have < want,
    "-le": lambda have, want: have <= want,
    "-ge": lambda have, want: have >= want,
    "-gt": lambda have, want: have > want,
    "-starts": lambda have, want: have.startswith(want),
    "-ends": lambda have, want: have.endswith(want),
    "-contains": lambda have, want: want in have,
}


def passes_filters(request: Request, rendered: Json) -> bool:
    """``filter[field]-op=a,b``: comma is OR, different fields are AND, lexicographic, by case.

    Fields are ``type``, ``id``, ``extension.type`` and any attribute, with or without
    ``attributes.`` (facts 3.1).
    """
    for key, wanted in request.query.items():
        if not key.startswith("filter["):
            continue
        field, _, operator = key[7:].partition("]")
        compare = _OPERATORS.get(operator)
        if compare is None:
            raise Refusal(errors.jsonapi(400, "BAD_INPUT", f"Unknown filter operator {operator}"))
        have = _field(rendered, field.removeprefix("attributes.").removeprefix("meta."))
        if not any(compare(have, want) for want in wanted.split(",")):
            return False
    return True


def _field(rendered: Json, field: str) -> str:
    if field in ("type", "id"):
        return str(rendered[field])
    at: Any = rendered["attributes"]
    for part in field.split("."):
        at = at.get(part, "") if isinstance(at, dict) else ""
    return str(at).lower() if isinstance(at, bool) else str(at)


def answer(body: Json) -> Answer:
    return json_answer(body, content_type=JSONAPI_TYPE)
