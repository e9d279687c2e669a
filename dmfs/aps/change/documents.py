"""What is posted to change something: one JSON document for each call. Pure.

The types of what is made follow from the kind of the hub, which its projects' ids tell (``b.`` or
``a.``). Names are the service's own, never those that a mount made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dmfs.model import FolderId, ItemId, ProjectId, StorageId, VersionId

Document = dict[str, Any]
_JSONAPI = {"version": "1.0"}
_TIP = "1"
"""Ties a new item to its first version within the document."""


def is_account(project_id: ProjectId) -> bool:
    """Whether it is a project of BIM 360 or ACC."""
    return project_id.startswith("b.")


def extension(kind: str, project_id: ProjectId, name: str = "File") -> Document:
    """``kind``: items, versions or folders; ``name``: File or Folder."""
    family = "bim360" if is_account(project_id) else "core"
    return {"type": f"{kind}:autodesk.{family}:{name}", "version": "1.0"}


def _to(kind: str, identifier: str) -> Document:
    return {"data": {"type": kind, "id": identifier}}


def _document(data: Document, **more: Any) -> Document:
    return {"jsonapi": _JSONAPI, "data": data, **more}


def storage(target: FolderId | ItemId, name: str) -> Document:
    """A place for the bytes of a file that is to be in a folder, or of an item's next version."""
    kind = "items" if ":dm.lineage:" in target else "folders"
    return _document({
        "type": "objects", "attributes": {"name": name},
        "relationships": {"target": _to(kind, target)},
    })  # fmt: skip


def item(
    project_id: ProjectId, folder_id: FolderId, name: str, storage_id: StorageId | None
) -> Document:
    """A new item with its first version; without a storage one that is copied."""
    version: Document = {
        "type": "versions", "id": _TIP,
        "attributes": {"name": name, "extension": extension("versions", project_id)},
    }  # fmt: skip
    if storage_id is not None:
        version["relationships"] = {"storage": _to("objects", storage_id)}
    data = {
        "type": "items",
        "attributes": {"displayName": name, "extension": extension("items", project_id)},
        "relationships": {"tip": _to("versions", _TIP), "parent": _to("folders", folder_id)},
    }
    return _document(data, included=[version])


def version(project_id: ProjectId, item_id: ItemId, name: str, storage_id: StorageId) -> Document:
    """The next version of an item."""
    return _document({
        "type": "versions",
        "attributes": {"name": name, "extension": extension("versions", project_id)},
        "relationships": {
            "item": _to("items", item_id), "storage": _to("objects", storage_id),
        },
    })  # fmt: skip


def copied_version(name: str) -> Document:
    """A version that is a copy (``copyFrom``), under a name; '' restores it as it was."""
    if not name:
        return {"data": {"type": "versions"}}
    return _document({"type": "versions", "attributes": {"name": name}})


def tombstone(item_id: ItemId) -> Document:
    """The version that deletes an item of a ``b.`` project."""
    deleted = {"type": "versions:autodesk.core:Deleted", "version": "1.0"}
    return _document({
        "type": "versions", "attributes": {"extension": deleted},
        "relationships": {"item": _to("items", item_id)},
    })  # fmt: skip


def item_name(item_id: ItemId, name: str) -> Document:
    """Of a PATCH."""
    return _document({"type": "items", "id": item_id, "attributes": {"displayName": name}})


def version_name(version_id: VersionId, name: str) -> Document:
    """Of a PATCH."""
    return _document({"type": "versions", "id": version_id, "attributes": {"name": name}})


def folder(project_id: ProjectId, parent: FolderId, name: str) -> Document:
    """A new folder."""
    return _document({
        "type": "folders",
        "attributes": {"name": name, "extension": extension("folders", project_id, "Folder")},
        "relationships": {"parent": _to("folders", parent)},
    })  # fmt: skip


def folder_change(
    folder_id: FolderId, name: str | None, parent: FolderId | None, hidden: bool | None
) -> Document:
    """Of a PATCH; None leaves it as it is."""
    values = {"name": name, "hidden": hidden}
    data: Document = {
        "type": "folders", "id": folder_id,
        "attributes": {key: value for key, value in values.items() if value is not None},
    }  # fmt: skip
    if parent is not None:
        data["relationships"] = {"parent": _to("folders", parent)}
    return _document(data)


def permission_check(ids: Sequence[str], actions: Sequence[str]) -> Document:
    """The command that asks what a user may do with folders, items or versions."""
    return _document({
        "type": "commands",
        "attributes": {"extension": {
            "type": "commands:autodesk.core:CheckPermission", "version": "1.0.0",
            "data": {"requiredActions": list(actions)},
        }},
        "relationships": {"resources": {"data": [
            {"type": _kind(each), "id": each} for each in ids
        ]}},
    })  # fmt: skip


def _kind(identifier: str) -> str:
    if ":dm.lineage:" in identifier:
        return "items"
    return "versions" if "?version=" in identifier else "folders"
