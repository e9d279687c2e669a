"""The Project service: hubs, projects, top folders (facts 2)."""

from __future__ import annotations

from dmfs.emulator.api import jsonapi, lookup
from dmfs.emulator.api.service import Service
from dmfs.emulator.http import errors
from dmfs.emulator.http.messages import Answer, Request
from dmfs.emulator.sign_in.tokens import Token
from dmfs.emulator.world.model import Folder, Json

REGIONS = ("US", "EMEA", "AUS", "CAN", "DEU", "IND", "JPN", "GBR")


async def hubs(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """All hubs; regions that failed or refused appear as warnings of a 200."""
    nodes = [hub for hub in service.world.hubs if lookup.may_see(token, hub)]
    rendered = [jsonapi.hub(service.api_url, node) for node in nodes]
    data = [node for node in rendered if lookup.passes_filters(request, node)]
    seen = {node.region for node in nodes}
    warnings = [_warning(region) for region in REGIONS if region not in seen]
    if not service.world.hubs and token.app.admitted:
        warnings = []
    url = f"{service.api_url}/project/v1/hubs"
    meta = {"warnings": warnings} if warnings else None
    return lookup.answer(jsonapi.document(url, data, meta=meta))


def _warning(region: str) -> Json:
    """PascalCase, and the status is a string (facts 2)."""
    return {
        "Id": None,
        "HttpStatusCode": "403",
        "ErrorCode": "BIM360DM_ERROR",
        "Title": f"Unable to get hubs from BIM360DM {region}.",
        "Detail": "You don't have permission to access this API",
        "AboutLink": None,
        "Source": None,
        "meta": None,
    }


async def hub(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """One hub."""
    node = jsonapi.hub(service.api_url, lookup.hub(service, token, args[0]))
    return lookup.answer(jsonapi.document(node["links"]["self"]["href"], node))


async def projects(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """The projects of a hub, in pages; an archived one is only to be had by its id."""
    owner = lookup.hub(service, token, args[0])
    nodes = [node for node in owner.projects if (node.active or node.lingers) and not node.revoked]
    number, limit = lookup.page_of(service, request)
    page = nodes[number * limit : (number + 1) * limit]
    rendered = [jsonapi.project(service.api_url, node) for node in page]
    data = [node for node in rendered if lookup.passes_filters(request, node)]
    links = lookup.page_links(service, request, number, limit, len(nodes))
    url = f"{service.api_url}{request.path}"
    return lookup.answer(jsonapi.document(url, data, links=links))


async def project(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """One project, of that hub."""
    owner = lookup.hub(service, token, args[0])
    found = lookup.project(service, token, args[1])
    if found.hub is not owner:
        return errors.jsonapi(404, "NOT_FOUND", "The requested resource does not exist.")
    node = jsonapi.project(service.api_url, found)
    return lookup.answer(jsonapi.document(node["links"]["self"]["href"], node))


async def project_hub(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """The hub of a project."""
    lookup.project(service, token, args[1])
    return await hub(service, request, args[:1], token)


async def top_folders(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """The highest folders that the caller may see; no paging; with deleted ones unless excluded."""
    lookup.hub(service, token, args[0])
    owner = lookup.project(service, token, args[1])
    if owner.not_ready > 0:
        owner.not_ready -= 1
        return errors.jsonapi(404, "BIM360DM_ERROR", "The project is not ready yet.")
    nodes = [node for node in owner.top_folders if _wanted(request, node)]
    data = [jsonapi.folder(service.api_url, node) for node in nodes]
    url = f"{service.api_url}{request.path}"
    return lookup.answer(jsonapi.document(url, data))


def _wanted(request: Request, node: Folder) -> bool:
    excludes = request.flag("excludeDeleted") or not node.project.hub.is_account
    if node.revoked or (node.hidden and not node.leaks and excludes):
        return False
    # "Folders containing project files": what tools keep for themselves is left out (spec).
    return not (request.flag("projectFilesOnly") and node.service)
