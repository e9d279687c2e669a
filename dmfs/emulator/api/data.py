"""The Data service: folders, items, versions (facts 3)."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from dmfs.emulator.api import jsonapi, lookup
from dmfs.emulator.api.service import Service
from dmfs.emulator.http import errors
from dmfs.emulator.http.messages import Answer, Request
from dmfs.emulator.sign_in.tokens import Token
from dmfs.emulator.world import times
from dmfs.emulator.world.model import Folder, Item, Json, Version


async def folder(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """One folder; If-Modified-Since is honoured (304), at a resolution of a second."""
    owner = lookup.project(service, token, args[0])
    node = lookup.folder(service, owner, args[1])
    headers = {"Last-Modified": times.http_date(node.modified_s)}
    since = request.headers.get("if-modified-since")
    if since is not None:
        try:
            since_s = parsedate_to_datetime(since).timestamp()
        except ValueError:
            since_s = 0.0
        if int(node.modified_s) <= since_s:
            return Answer(304, headers)
    answer = _one(jsonapi.folder(service.api_url, node))
    answer.headers |= headers
    return answer


async def parent(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """The parent of a folder; that of a root folder is above the project."""
    owner = lookup.project(service, token, args[0])
    node = lookup.folder(service, owner, args[1])
    if node.parent is None:
        return errors.jsonapi(403, "FORBIDDEN", "The parent folder is not accessible.")
    return _one(jsonapi.folder(service.api_url, node.parent))


async def contents(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """The entries of a folder, in pages that are cut before anything is filtered."""
    owner = lookup.project(service, token, args[0])
    node = lookup.folder(service, owner, args[1])
    number, limit = lookup.page_of(service, request)
    key = (service.world.generation, service.api_url, request.target, limit)
    page = service.pages.get(key)
    if page is None:
        page = lookup.answer(_contents_page(service, request, node, number, limit))
        service.pages.put(key, page)
    return page


def _contents_page(
    service: Service, request: Request, node: Folder, number: int, limit: int
) -> Json:
    nodes = [child for child in listed(node) if not child.revoked and is_shown(child)]
    page = nodes[number * limit : (number + 1) * limit]
    # In teams what is deleted is gone for good; filter[hidden] asks for deleted ones by itself.
    asks = request.flag("includeHidden") or "true" in request.query.get("filter[hidden]", "")
    include_hidden = asks and node.project.hub.is_account
    data: list[Json] = []
    tips: list[Json] = []
    for child in page:
        # A deletion that listings do not show yet leaves the item as it was before.
        deleted = child.hidden and not (isinstance(child, Item) and shown_tip(child) != child.tip)
        if deleted and not (include_hidden or child.leaks):
            continue
        rendered = _render(service, child)
        if not lookup.passes_filters(request, rendered):
            continue
        data.append(rendered)
        if isinstance(child, Item):
            tips.append(jsonapi.version(service.api_url, child, shown_tip(child)))
    links = lookup.page_links(service, request, number, limit, len(nodes))
    url = f"{service.api_url}{request.path}"
    return jsonapi.document(url, data, links=links, included=_included(node, tips))


def is_shown(node: Folder | Item) -> bool:
    """Whether listings show it already."""
    first = node if isinstance(node, Folder) else node.versions[0]
    return first.listed_from_s <= time.time()


def shown_tip(node: Item) -> Version:
    """The newest version that listings show already."""
    now_s = time.time()
    shown = (each for each in reversed(node.versions) if each.listed_from_s <= now_s)
    return next(shown, node.versions[0])


def listed(node: Folder) -> list[Folder | Item]:
    """Folders first, as in captures."""
    return [*node.folders, *node.items]


def _render(service: Service, child: Folder | Item) -> Json:
    if isinstance(child, Folder):
        return jsonapi.folder(service.api_url, child)
    return jsonapi.item(service.api_url, child, tip=shown_tip(child))


def _included(node: Folder, tips: list[Json]) -> list[Json] | None:
    """The tips as this folder includes them; no key at all where there are none (facts 3.1)."""
    if not tips or node.included == "missing":
        return None
    if node.included == "partial":
        return tips[::2]
    if node.included == "duplicate":
        return tips + tips[:2]
    return tips


async def item(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """One item with its tip included."""
    owner = lookup.project(service, token, args[0])
    node = lookup.item(service, owner, args[1])
    with_path = request.flag("includePathInProject")
    if with_path and not owner.hub.is_account:
        detail = "includePathInProject is only supported for BIM 360 projects."
        return errors.jsonapi(400, "BAD_INPUT", detail)
    tip_ = jsonapi.version(service.api_url, node, node.tip)
    rendered = jsonapi.item(service.api_url, node, with_path=with_path)
    return _one(rendered, included=[tip_])


async def item_parent(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """The folder of an item."""
    owner = lookup.project(service, token, args[0])
    node = lookup.item(service, owner, args[1])
    return _one(jsonapi.folder(service.api_url, node.parent))


async def tip(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """The tip version of an item."""
    owner = lookup.project(service, token, args[0])
    node = lookup.item(service, owner, args[1])
    return _one(jsonapi.version(service.api_url, node, node.tip))


async def versions(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """All versions of an item, newest first, in pages; tombstones are among them."""
    owner = lookup.project(service, token, args[0])
    node = lookup.item(service, owner, args[1])
    number, limit = lookup.page_of(service, request)
    newest_first = node.versions[::-1]
    page = newest_first[number * limit : (number + 1) * limit]
    rendered = [jsonapi.version(service.api_url, node, each) for each in page]
    data = [each for each in rendered if lookup.passes_filters(request, each)]
    links = lookup.page_links(service, request, number, limit, len(newest_first))
    url = f"{service.api_url}{request.path}"
    return lookup.answer(jsonapi.document(url, data, links=links))


async def version(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """One version. Its id must be percent-encoded: an open ``?`` starts the query instead."""
    owner = lookup.project(service, token, args[0])
    node, found = lookup.version(service, owner, args[1])
    return _one(jsonapi.version(service.api_url, node, found))


async def version_item(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """The item of a version."""
    owner = lookup.project(service, token, args[0])
    node, _ = lookup.version(service, owner, args[1])
    return await item(service, request, [args[0], node.id], token)


def _one(node: Json, **members: object) -> Answer:
    return lookup.answer(jsonapi.document(node["links"]["self"]["href"], node, **members))
