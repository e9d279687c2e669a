"""What a client has seen, what it has lost, and whether it looks before it writes again."""

from __future__ import annotations

import json
from typing import Any

from dmfs.emulator.api.writing.payload import find
from dmfs.emulator.http.messages import Request
from dmfs.emulator.server.emulator import Emulator
from dmfs.emulator.server.faults import Fault
from dmfs.emulator.world import ids
from dmfs.emulator.writing.looks import Who

_LOST_KINDS = frozenset(
    "reset_before_headers reset_after_headers reset_mid_body stall_before_headers stall_mid_body "
    "html_200 truncated_json wrong_json_types malformed_json empty_body huge_body short_body "
    "reset_before_effect stall_before_effect late_effect".split()
)
_TELLING = frozenset({200, 304, 403, 404})
_OBJECT_LOOKS = frozenset({"details", "sign"})
_DATA_LOOKS = frozenset({"item", "tip", "versions", "folder", "contents", "version"})
_REPEATABLE = frozenset(
    "complete items_post versions_post folders_post folder_patch item_patch version_patch".split()
)


def who(request: Request) -> Who:
    """App and user of a request."""
    return request.client_id, request.user_id


def seen_in(
    emulator: Emulator, request: Request, route: str, args: list[str], status: int
) -> list[str]:
    """Ids of what a true answer is about: whoever has it has seen them as they were then."""
    if status not in _TELLING:
        return []
    world = emulator.world
    seen: list[str] = []
    if route in _OBJECT_LOOKS:
        seen = [ids.storage_id(*args)]
    elif route == "commands":
        resources = find(_body(request), "data", "relationships", "resources", "data")
        if "ListItems" in str(find(_body(request), "data", "attributes", "extension", "type")):
            seen = [str(find(each, "id")) for each in resources or ()]
    elif route in _DATA_LOOKS:
        seen = [args[1]]
        if route == "contents" and not _is_last_page(emulator, request, args[1]):
            return []
        if args[1] in world.versions:
            seen = [world.versions[args[1]][0].id]
    return seen


def _is_last_page(emulator: Emulator, request: Request, folder_id: str) -> bool:
    folder = emulator.world.folders.get(folder_id)
    if folder is None:
        return True
    number = request.number("page[number]", 0)
    limit = min(
        request.number("page[limit]", 200), emulator.settings.page_limit or len(folder.children)
    )
    return (number + 1) * limit >= len(folder.children)


def _body(request: Request) -> Any:
    try:
        return json.loads(request.body)
    except ValueError:
        return None


def _subject(emulator: Emulator, request: Request, route: str, args: list[str]) -> tuple[str, ...]:
    """What a writing call is about, and after it the ids of what tells whether it was done."""
    if route == "complete":
        return (ids.storage_id(*args),)
    world, body = emulator.world, _body(request)
    if route in ("items_post", "folders_post"):
        parent = str(find(body, "data", "relationships", "parent", "data", "id"))
        name = find(body, "data", "attributes", "name") or find(
            body, "data", "attributes", "displayName"
        )
        return f"{parent}/{name}", parent
    id_ = args[1] if len(args) > 1 else find(body, "data", "relationships", "item", "data", "id")
    id_ = str(id_ or request.query.get("copyFrom"))
    if id_ in world.versions:
        id_ = world.versions[id_][0].id
    node = world.items.get(id_) or world.folders.get(id_)
    above = [node.parent.id] if node is not None and node.parent is not None else []
    return id_, *above


def before(emulator: Emulator, request: Request, route: str, args: list[str]) -> None:
    """A call that may repeat one whose answer was lost: was there a look, or some patience?"""
    if route not in _REPEATABLE:
        return
    writing = emulator.service.writing
    subject = _subject(emulator, request, route, args)[0]
    lost = writing.looks.found(who(request), f"{route} {subject}")
    if lost is None or lost.looked:
        return
    if request.called_s - lost.at_s < emulator.settings.lost_look_s:
        client_id, user_id = who(request)
        writing.violations.add(
            "repeated_without_look", client_id, user_id, route=route, subject=subject,
            after_s=round(request.called_s - lost.at_s, 3),
        )  # fmt: skip


def after(emulator: Emulator, request: Request, route: str, args: list[str], fault: Fault) -> None:
    """A spoilt answer of a writing call will leave its client not knowing what became of it."""
    is_5xx = fault.kind == "status" and int(fault.params.get("status", 500)) >= 500
    if route not in _REPEATABLE or not (is_5xx or fault.kind in _LOST_KINDS):
        return
    subject = _subject(emulator, request, route, args)
    call = f"{route} {subject[0]}"
    emulator.service.writing.looks.lose(who(request), call, subject)
