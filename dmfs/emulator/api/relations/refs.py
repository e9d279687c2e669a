"""``refs``, ``relationships/refs`` and ``relationships/links`` of folders, items and versions."""

from __future__ import annotations

from dmfs.emulator.api import jsonapi, lookup
from dmfs.emulator.api.relations import rows
from dmfs.emulator.api.relations.rows import Seen
from dmfs.emulator.api.service import Service
from dmfs.emulator.http.messages import Answer, Request
from dmfs.emulator.sign_in.tokens import Token
from dmfs.emulator.world.model import Json, Project


async def related(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``refs``: what is at the other ends, each once, without what the caller may not see."""
    owner = lookup.project(service, token, args[0])
    base, data = service.api_url, dict[str, Json]()
    for seen in _seen(service, request, owner, args[1]):
        if seen.other.id not in data and rows.in_sight(owner, seen.other.node):
            node = rows.resource(base, seen.other)
            if _passes(request, seen, node["attributes"]["extension"]):
                data[seen.other.id] = node
    return lookup.answer(jsonapi.document(f"{base}{request.path}", list(data.values())))


async def relationships(
    service: Service, request: Request, args: list[str], token: Token
) -> Answer:
    """``relationships/refs``: a row for each reference, the other ends in ``included``."""
    owner = lookup.project(service, token, args[0])
    base, found = service.api_url, list[tuple[Seen, Json]]()
    for seen in _seen(service, request, owner, args[1]):
        row = seen.row(base)
        if _passes(request, seen, row["meta"]["extension"]):
            found.append((seen, row))
    url = f"{base}{request.path}"
    links = {"related": {"href": url.replace("/relationships/refs", "/refs")}}
    included = rows.resources(base, owner, (seen.other for seen, _ in found))
    data = [row for _, row in found]
    return lookup.answer(jsonapi.document(url, data, links=links, included=included or None))


async def links(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``relationships/links``: nothing here has links to the world outside."""
    owner = lookup.project(service, token, args[0])
    _seen(service, request, owner, args[1])
    return lookup.answer(jsonapi.document(f"{service.api_url}{request.path}", []))


def _seen(service: Service, request: Request, owner: Project, id_: str) -> list[Seen]:
    """References of a folder, of a version, or of an item and its tip."""
    kind = request.segments[4]
    ids_ = [id_]
    if kind == "items":
        ids_.append(lookup.item(service, owner, id_).tip.id)
    elif kind == "versions":
        lookup.version(service, owner, id_)
    else:
        lookup.folder(service, owner, id_)
    return rows.seen_from(service.world, ids_)


def _passes(request: Request, seen: Seen, extension: Json) -> bool:
    """Filters: ``type`` and ``id`` of the other end, ``refType``, ``direction``, ``extension``."""
    attributes = {
        "refType": seen.ref.kind,
        "direction": seen.direction,
        "extension": extension,
    }
    row = {"type": seen.other.type, "id": seen.other.id, "attributes": attributes}
    return lookup.passes_filters(request, row)
