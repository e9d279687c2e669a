"""The world as JSON:API, with all keys that captured answers have.

``base`` is the API's own origin: every href is absolute, as in life. Self links of the Data
service carry unencoded colons, as in captures of ``b.`` projects (facts 3.1).
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

from dmfs.emulator.world import ids
from dmfs.emulator.world.builder import stamp
from dmfs.emulator.world.model import Folder, Hub, Item, Json, Project, Version

JSONAPI = {"version": "1.0"}
_WEB = "https://acc.autodesk.com/docs/files/projects/"
_CONTAINERS = (
    ("issues", "issueContainerId", "issues/v1/containers/{}/issues"),
    ("submittals", "submittalContainerId", "submittals/v1/containers/{}/items"),
    ("rfis", "rfisContainerId", "bim360/rfis/v1/containers/{}/rfis"),
    ("markups", "markupsContainerId", "issues/v1/containers/{}/markups"),
    ("checklists", "checklistsContainerId", "bim360/checklists/v1/containers/{}/instances"),
    ("cost", "costContainerId", "cost/v1/containers/{}/budgets"),
    ("locations", "locationsContainerId", "bim360/locations/v2/containers/{}/trees/default/nodes"),
)


def document(self_href: str, data: Any, **members: Any) -> Json:
    """A top-level document; ``members`` whose value is None are left out."""
    links = {"self": {"href": self_href}} | members.pop("links", {})
    body: Json = {"jsonapi": JSONAPI, "links": links, "data": data}
    body.update((key, value) for key, value in members.items() if value is not None)
    return body


def _href(url: str) -> Json:
    return {"href": url}


def _related(url: str) -> Json:
    return {"links": {"related": {"href": url}}}


def _to_one(type_: str, id_: str, url: str) -> Json:
    return {"data": {"type": type_, "id": id_}, "links": {"related": {"href": url}}}


def _to_meta(type_: str, id_: str, url: str) -> Json:
    return {"data": {"type": type_, "id": id_}, "meta": {"link": {"href": url}}}


def _refs(url: str) -> Json:
    return {"links": {"self": _href(f"{url}/relationships/refs"), "related": _href(f"{url}/refs")}}


def _links(url: str) -> Json:
    return {"links": {"self": _href(f"{url}/relationships/links")}}


def extension(base: str, type_: str, data: Json) -> Json:
    """The extension object: type, version, schema link, and data of the type's own."""
    schema = f"{base}/schema/v1/versions/{type_}-1.0"
    return {"type": type_, "version": "1.0", "schema": {"href": schema}, "data": data}


def scopes_of(project: Project) -> list[str]:
    """What the ``scopes`` of a link to one of its objects name; nothing in ``a.`` projects."""
    if not project.hub.is_account:
        return []
    tenant = int.from_bytes(ids.digest(project.hub.id)[:3], "big")
    return [f"b360project.{project.id[2:]}", f"O2tenant.{tenant}"]


def hub(base: str, node: Hub) -> Json:
    """A ``hubs`` resource."""
    url = f"{base}/project/v1/hubs/{quote(node.id)}"
    return {
        "type": "hubs",
        "id": node.id,
        "attributes": {
            "name": node.name,
            "extension": extension(base, node.type, {}),
            "region": node.region,
        },
        "links": {"self": _href(url)},
        "relationships": {"projects": _related(f"{url}/projects")},
    }


def project(base: str, node: Project) -> Json:
    """A ``projects`` resource."""
    url = project_url(base, node)
    hub_url = f"{base}/project/v1/hubs/{quote(node.hub.id)}"
    data = {"projectType": node.project_type} if node.project_type else {}
    relationships: Json = {
        "hub": _to_one("hubs", node.hub.id, hub_url),
        "rootFolder": _to_meta("folders", node.root.id, folder_url(base, node.root)),
        "topFolders": _related(f"{url}/topFolders"),
    }
    links = {"self": _href(url)}
    if node.hub.is_account:
        guid = node.id[2:]
        links["webView"] = _href(_WEB + guid)
        for name, type_, path in _CONTAINERS:
            relationships[name] = _to_meta(type_, guid, f"{base}/{path.format(guid)}")
    return {
        "type": "projects",
        "id": node.id,
        "attributes": {
            "name": node.name,
            "scopes": scopes_of(node) or ["global"],
            "extension": extension(base, node.type, data),
        },
        "links": links,
        "relationships": relationships,
    }


def project_url(base: str, node: Project) -> str:
    return f"{base}/project/v1/hubs/{quote(node.hub.id)}/projects/{quote(node.id)}"


def folder_url(base: str, node: Folder) -> str:
    return f"{base}/data/v1/projects/{quote(node.project.id)}/folders/{node.id}"


def item_url(base: str, node: Item) -> str:
    return f"{base}/data/v1/projects/{quote(node.parent.project.id)}/items/{node.id}"


def version_url(base: str, item: Item, node: Version) -> str:
    escaped = node.id.replace("?", "%3F")
    return f"{base}/data/v1/projects/{quote(item.parent.project.id)}/versions/{escaped}"


def web_view(owner: Project, folder_id: str, entity_id: str = "") -> str:
    """Where a person would look at it. Links of ``a.`` projects have another form."""
    if not owner.hub.is_account:
        path = base64.b64encode((entity_id or folder_id).encode()).decode()
        return f"https://emulator.autodesk360.com/g/data/{path}"
    url = f"{_WEB}{owner.id[2:]}?folderUrn={quote(folder_id, safe='')}"
    return f"{url}&entityId={quote(entity_id, safe='')}" if entity_id else url


def allowed_types(node: Folder) -> list[str]:
    """What may be created there; empty in ``a.`` projects, which say nothing about it."""
    if not node.project.hub.is_account:
        return []
    files = ["items:autodesk.bim360:File"] if node.parent is not None else []
    return list(node.allowed_types) or [*files, "folders:autodesk.bim360:Folder"]


def _folder_data(node: Folder) -> Json:
    if not node.project.hub.is_account:
        return {"visibleTypes": ["items:autodesk.core:File"], "allowedTypes": []}
    is_root = node.parent is None
    data: Json = {
        "actions": [] if is_root else ["CONVERT"],
        "allowedTypes": allowed_types(node),
        "namingStandardIds": [ids.guid(node.naming)] if node.naming else [],
    }
    if not is_root:
        data["visibleTypes"] = list(node.visible_types) or ["items:autodesk.bim360:File"]
    return data


def folder(base: str, node: Folder) -> Json:
    """A ``folders`` resource."""
    url = folder_url(base, node)
    user_id, user_name = node.user
    parent_id = node.parent.id if node.parent else _above_root(node)
    return {
        "type": "folders",
        "id": node.id,
        "attributes": {
            "name": node.name,
            "displayName": node.name,
            "createTime": node.create_time,
            "createUserId": user_id,
            "createUserName": user_name,
            "lastModifiedTime": stamp(node.project, node.modified_s),
            "lastModifiedUserId": user_id,
            "lastModifiedUserName": user_name,
            "lastModifiedTimeRollup": stamp(node.project, node.rollup_s),
            "objectCount": sum(not child.hidden for child in node.children),
            "hidden": node.hidden,
            "extension": extension(base, node.type, _folder_data(node)),
        },
        "links": {
            "self": _href(url),
            "webView": _href(web_view(node.project, node.id)),
        },
        "relationships": {
            "contents": _related(f"{url}/contents"),
            "parent": _to_one("folders", parent_id, f"{url}/parent"),
            "refs": _refs(url),
            "links": _links(url),
        },
    }


def _above_root(node: Folder) -> str:
    """The root folder's own parent is above the project (facts 2); it cannot be listed."""
    return ids.folder_id(ids.realm_of(node.id), "above " + node.project.hub.id)


def item(base: str, node: Item, *, with_path: bool = False, tip: Version | None = None) -> Json:
    """An ``items`` resource; ``with_path`` adds its path; ``tip``: an older version as its tip."""
    url, is_old = item_url(base, node), tip is not None and tip is not node.tip
    tip = tip or node.tip
    user_id, user_name = node.user
    attributes: Json = {
        "displayName": tip.name if is_old else node.display_name,
        "createTime": node.create_time,
        "createUserId": user_id,
        "createUserName": user_name,
        "lastModifiedTime": node.modified_time,
        "lastModifiedUserId": user_id,
        "lastModifiedUserName": user_name,
        "hidden": node.hidden and not is_old,
        "reserved": node.reserved is not None,
        **(node.reserved or {}),
        "extension": extension(base, node.type, node.data),
    }
    for key in ("displayName", "lastModifiedTime"):
        if attributes[key] is None:
            del attributes[key]
    if with_path:
        attributes["pathInProject"] = path_in_project(node)
    links = {"self": _href(url)}
    if node.web_view:
        links["webView"] = _href(web_view(node.parent.project, node.parent.id, node.id))
    return {
        "type": "items",
        "id": node.id,
        "attributes": attributes,
        "links": links,
        "relationships": {
            "tip": _to_one("versions", tip.id, f"{url}/tip"),
            "versions": _related(f"{url}/versions"),
            "parent": _to_one("folders", node.parent.id, f"{url}/parent"),
            "refs": _refs(url),
            "links": _links(url),
        },
    }


def path_in_project(node: Item) -> str:
    """``/Project Files/Plans``: the folders above an item, without the root."""
    names: list[str] = []
    at: Folder | None = node.parent
    while at is not None and at.parent is not None:
        names.append(at.name)
        at = at.parent
    return "/" + "/".join(reversed(names))


def _version_attributes(base: str, node: Version) -> Json:
    user_id, user_name = node.user
    attributes: Json = {
        "name": node.name,
        "displayName": node.display_name,
        "createTime": node.create_time,
        "createUserId": user_id,
        "createUserName": user_name,
        "lastModifiedTime": node.modified_time,
        "lastModifiedUserId": user_id,
        "lastModifiedUserName": user_name,
        "versionNumber": node.number,
        "mimeType": node.mime_type,
        "storageSize": node.listed_size,
        "fileType": node.file_type,
    }
    attributes = {key: value for key, value in attributes.items() if value is not None}
    attributes["extension"] = extension(base, node.type, node.data)
    return attributes


def version(base: str, owner: Item, node: Version) -> Json:
    """A ``versions`` resource of an item."""
    url = version_url(base, owner, node)
    owner_project = owner.parent.project
    scopes = ",".join(scopes_of(owner_project))
    query = f"?scopes={scopes}" if scopes else ""
    urn = base64.urlsafe_b64encode(node.id.encode()).decode().rstrip("=")
    derivative = f"{base}/modelderivative/v2/designdata/{urn}"
    relationships: Json = {
        "item": _to_one("items", owner.id, f"{url}/item"),
        "links": _links(url),
        "refs": _refs(url),
        "downloadFormats": _related(f"{url}/downloadFormats"),
        "derivatives": _to_meta("derivatives", urn, f"{derivative}/manifest{query}"),
        "thumbnails": _to_meta("thumbnails", urn, f"{derivative}/thumbnail{query}"),
    }
    if node.storage is not None:
        bucket, key = ids.split_storage_id(node.storage.urn)
        object_url = f"{base}/oss/v2/buckets/{bucket}/objects/{quote(key, safe='')}{query}"
        relationships["storage"] = _to_meta("objects", node.storage.urn, object_url)
    links = {"self": _href(url)}
    if node.web_view:
        links["webView"] = _href(web_view(owner_project, owner.parent.id, node.id))
    return {
        "type": "versions",
        "id": node.id,
        "attributes": _version_attributes(base, node),
        "links": links,
        "relationships": relationships,
    }
