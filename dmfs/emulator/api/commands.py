"""``POST /data/v1/projects/:p/commands``: ListItems and CheckPermission (facts 3.6)."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from dmfs.emulator.api import errors, jsonapi, lookup
from dmfs.emulator.api.errors import Refusal
from dmfs.emulator.server.http import Answer, Request
from dmfs.emulator.world.model import Json, Project, is_revoked, project_of

if TYPE_CHECKING:
    from dmfs.emulator.server.state import Emulator
    from dmfs.emulator.sign_in.apps import Token

_MOST_RESOURCES = 50
_READ_ACTIONS = frozenset({"view", "read", "download"})


async def commands(emulator: Emulator, request: Request, args: list[str], token: Token) -> Answer:
    """Runs a command; its name is in ``data.attributes.extension.type``."""
    owner = lookup.project(emulator, token, args[0])
    try:
        data = json.loads(request.body)["data"]
        kind = data["attributes"]["extension"]["type"]
        resources = data["relationships"]["resources"]["data"]
        wanted = [(resource["type"], resource["id"]) for resource in resources]
    except (ValueError, KeyError, TypeError):
        return errors.jsonapi(400, "BAD_INPUT", "The command is malformed.")
    if len(wanted) > _MOST_RESOURCES:
        return errors.jsonapi(400, "BAD_INPUT", "At most 50 resources are allowed.")
    extension_data = data["attributes"]["extension"].get("data") or {}
    if kind == "commands:autodesk.core:ListItems":
        found, included = _list_items(emulator, owner, wanted, extension_data)
    elif kind == "commands:autodesk.core:CheckPermission":
        found, included = _check(emulator, owner, token, wanted, extension_data), None
    else:
        return errors.jsonapi(400, "BAD_INPUT", f"Unknown command {kind}")
    body = {
        "type": "commands",
        "id": str(uuid.uuid4()),
        "attributes": data["attributes"] | {"status": "COMPLETE"},
        "relationships": {"resources": {"data": found}},
    }
    url = f"{emulator.api_url}{request.path}"
    return lookup.answer(jsonapi.document(url, body, included=included))


def _list_items(
    emulator: Emulator, owner: Project, wanted: list[tuple[str, str]], data: Json
) -> tuple[list[Json], list[Json]]:
    with_path = bool(data.get("includePathInProject"))
    if with_path and not owner.hub.is_account:
        detail = "includePathInProject is only supported for BIM 360 projects."
        raise Refusal(errors.jsonapi(400, "BAD_INPUT", detail))
    found: list[Json] = []
    tips: list[Json] = []
    for type_, id_ in wanted:
        node = lookup.item(emulator, owner, id_)
        rendered = jsonapi.item(emulator.api_url, node, with_path=with_path)
        found.append({"type": type_, "id": id_, "meta": rendered})
        tips.append(jsonapi.version(emulator.api_url, node, node.tip))
    return found, tips


def _check(
    emulator: Emulator, owner: Project, token: Token, wanted: list[tuple[str, str]], data: Json
) -> list[Json]:
    actions = set(data.get("requiredActions") or ["view"])
    allowed = actions <= (_READ_ACTIONS if token.app.may_download else {"view"})
    answers: list[Json] = []
    for type_, id_ in wanted:
        node: Any = emulator.world.items.get(id_) or emulator.world.folders.get(id_)
        if node is None and id_ in emulator.world.versions:
            node = emulator.world.versions[id_][0]
        known = node is not None and project_of(node) is owner and not is_revoked(node)
        answers.append({"type": type_, "id": id_, "meta": {"permission": known and allowed}})
    return answers
