"""``GET folders/:id/search``, of an index that may lag behind the world (facts 3.6)."""

from __future__ import annotations

import time

from dmfs.emulator.api import jsonapi, lookup
from dmfs.emulator.api.data import is_shown, shown_tip
from dmfs.emulator.api.service import Service
from dmfs.emulator.http import errors
from dmfs.emulator.http.messages import Answer, Request
from dmfs.emulator.sign_in.tokens import Token
from dmfs.emulator.world.model import DELETED_VERSION, Folder, Item, Json, is_revoked
from dmfs.emulator.world.past import record

_PAGE = 200
_PAGES_MAX = 50
_Hit = tuple[Json, Json]
"""A version, and its item."""


async def search(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """Tip versions anywhere below a folder: versions in data, items included."""
    owner = lookup.project(service, token, args[0])
    node = lookup.folder(service, owner, args[1])
    number = lookup.page_of(service, request)[0]
    if number >= _PAGES_MAX:
        return errors.jsonapi(400, "BAD_INPUT", "Page number must be less than 50.")
    lag_s = service.settings.search_lag_s
    hits = _indexed(service, node, time.time() - lag_s) if lag_s else _current(service, node)
    found = [hit for hit in hits if lookup.passes_filters(request, hit[0])]
    page = found[number * _PAGE : (number + 1) * _PAGE]
    links = lookup.page_links(service, request, number, _PAGE, len(found))
    url = f"{service.api_url}{request.path}"
    included = [item for _, item in page] or None
    data = [version for version, _ in page]
    return lookup.answer(jsonapi.document(url, data, links=links, included=included))


def _current(service: Service, node: Folder) -> list[_Hit]:
    return [
        (
            jsonapi.version(service.api_url, item, shown_tip(item)),
            jsonapi.item(service.api_url, item),
        )
        for item in _items_below(node)
    ]


def _items_below(node: Folder) -> list[Item]:
    below = [item for item in node.items if not (item.hidden or item.revoked) and is_shown(item)]
    for child in node.folders:
        if not (child.hidden or child.revoked):
            below += _items_below(child)
    return below


def _indexed(service: Service, node: Folder, at_s: float) -> list[_Hit]:
    """As everything was at a moment: what was made since is missing, what was deleted since is
    there, and names and places are those of then. Who may see it is as it is today."""
    world = service.world
    below = {node.id: True}

    def is_below(folder: Folder) -> bool:
        if folder.id not in below:
            row = record.at(world, folder, at_s)
            above = row.above if row is not None and not row.hidden else None
            below[folder.id] = isinstance(above, Folder) and is_below(above)
        return below[folder.id]

    hits: list[_Hit] = []
    for item in world.items.values():
        row = record.at(world, item, at_s)
        if row is None or row.tip is None or row.hidden or row.tip.type == DELETED_VERSION:
            continue
        if isinstance(row.above, Folder) and is_below(row.above) and not is_revoked(item):
            version = jsonapi.version(service.api_url, item, row.tip)
            version["attributes"] |= {"name": row.name, "displayName": row.name}
            entry = jsonapi.item(service.api_url, item, tip=row.tip)
            entry["attributes"] |= {"displayName": row.name, "hidden": False}
            entry["relationships"]["parent"]["data"]["id"] = row.above.id
            hits.append((version, entry))
    return hits
