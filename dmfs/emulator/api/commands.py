"""``POST /data/v1/projects/:p/commands`` (facts 3.6)."""

from __future__ import annotations

import json
import uuid
from typing import Any

from dmfs.emulator.api import jsonapi, lookup
from dmfs.emulator.api.relations import commands as relations
from dmfs.emulator.api.service import Service
from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.http.messages import Answer, Request
from dmfs.emulator.sign_in.tokens import Token, user_of
from dmfs.emulator.world import rights
from dmfs.emulator.world.model import Json, Project, is_revoked, project_of

_MOST_RESOURCES = 50


async def commands(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """Runs a command; its name is in ``data.attributes.extension.type``."""
    owner = lookup.project(service, token, args[0])
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
    status, included = "COMPLETE", None
    if kind == "commands:autodesk.core:ListItems":
        found, included = _list_items(service, owner, wanted, extension_data)
    elif kind == "commands:autodesk.core:CheckPermission":
        user_id = user_of(request, token)
        found = _check(service, owner, token, wanted, extension_data, user_id)
        permissions = [{"type": each["type"], "id": each["id"]} | each["meta"] for each in found]
        extension_data = extension_data | {"permissions": permissions}
        extension = data["attributes"]["extension"] | {"data": extension_data}
        data = data | {"attributes": data["attributes"] | {"extension": extension}}
    elif kind == relations.LIST_REFS:
        found, included = relations.list_refs(service, owner, wanted)
        status = "complete"
    elif kind == relations.GET_PUBLISH_JOB:
        job = relations.publish_job(service, owner, wanted, user_of(request, token))
        return lookup.answer(jsonapi.document(f"{service.api_url}{request.path}", job))
    else:
        return errors.jsonapi(400, "BAD_INPUT", f"Unknown command {kind}")
    body = {
        "type": "commands",
        "id": str(uuid.uuid4()),
        "attributes": data["attributes"] | {"status": status},
        "relationships": {"resources": {"data": found}},
    }
    url = f"{service.api_url}{request.path}"
    return lookup.answer(jsonapi.document(url, body, included=included))


def _list_items(
    service: Service, owner: Project, wanted: list[tuple[str, str]], data: Json
) -> tuple[list[Json], list[Json]]:
    with_path = bool(data.get("includePathInProject"))
    if with_path and not owner.hub.is_account:
        detail = "includePathInProject is only supported for BIM 360 projects."
        raise Refusal(errors.jsonapi(400, "BAD_INPUT", detail))
    found: list[Json] = []
    tips: list[Json] = []
    for type_, id_ in wanted:
        node = lookup.item(service, owner, id_)
        rendered = jsonapi.item(service.api_url, node, with_path=with_path)
        found.append({"type": type_, "id": id_, "meta": rendered})
        tips.append(jsonapi.version(service.api_url, node, node.tip))
    return found, tips


def _check(
    service: Service, owner: Project, token: Token, wanted: list[tuple[str, str]], data: Json,
    user_id: str,
) -> list[Json]:  # fmt: skip
    required = list(data.get("requiredActions") or ["view"])
    answers: list[Json] = []
    for type_, id_ in wanted:
        node: Any = service.world.items.get(id_) or service.world.folders.get(id_)
        if node is None and id_ in service.world.versions:
            node = service.world.versions[id_][0]
        known = node is not None and project_of(node) is owner and not is_revoked(node)
        may = rights.actions(node, user_id) if known else frozenset()
        if not token.app.may_download:
            may &= {"view"}
        details = {action: action in may for action in required}
        meta = {"permission": all(details.values()), "details": details}
        answers.append({"type": type_, "id": id_, "meta": meta})
    return answers
