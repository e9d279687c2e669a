"""The world as raw facts for tests: no display names, no filtering."""

from __future__ import annotations

from dmfs.emulator.world.builder import stamp
from dmfs.emulator.world.model import Folder, Hub, Item, Json, Project, Version, World


def world(node: World) -> Json:
    return {"hubs": [hub(each) for each in node.hubs]}


def of(node: Hub | Project | Folder | Item) -> Json:
    """Those of anything."""
    if isinstance(node, Hub):
        return hub(node)
    if isinstance(node, Project):
        return project(node)
    return folder(node) if isinstance(node, Folder) else item(node)


def hub(node: Hub) -> Json:
    return {
        "id": node.id,
        "name": node.name,
        "type": node.type,
        "region": node.region,
        "projects": [project(each) for each in node.projects],
    }


def project(node: Project) -> Json:
    """``folders``: the root folder, and below it everything."""
    return {
        "id": node.id,
        "name": node.name,
        "type": node.type,
        "active": node.active,
        "revoked": node.revoked,
        "root_folder": node.root.id,
        "top_folders": [each.id for each in node.top_folders],
        "folders": [folder(node.root)],
    }


def folder(node: Folder) -> Json:
    return {
        "id": node.id,
        "name": node.name,
        "type": node.type,
        "hidden": node.hidden,
        "service": node.service,
        "revoked": node.revoked,
        "createTime": node.create_time,
        "lastModifiedTime": stamp(node.project, node.modified_s),
        "lastModifiedTimeRollup": stamp(node.project, node.rollup_s),
        "folders": [folder(each) for each in node.folders],
        "items": [item(each) for each in node.items],
    }


def item(node: Item) -> Json:
    return {
        "id": node.id,
        "displayName": node.display_name,
        "type": node.type,
        "hidden": node.hidden,
        "reserved": node.reserved is not None,
        "revoked": node.revoked,
        "createTime": node.create_time,
        "lastModifiedTime": node.modified_time,
        "versions": [version(each) for each in node.versions],
    }


def version(node: Version) -> Json:
    storage = node.storage
    return {
        "id": node.id,
        "number": node.number,
        "name": node.name,
        "displayName": node.display_name,
        "type": node.type,
        "label": node.data.get("revisionDisplayLabel"),
        "createTime": node.create_time,
        "lastModifiedTime": node.modified_time,
        "createUserName": node.user[1],
        "webView": node.web_view,
        "processState": node.data.get("processState"),
        "storage": storage.urn if storage else None,
        "storageSize": node.listed_size,
        "size": storage.content.size if storage else None,
        "signs": storage is not None and storage.signing not in ("forbidden", "gone"),
        "signing": storage.signing if storage else None,
    }
