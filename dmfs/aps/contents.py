"""Answers that list folders and items, as nodes of the model. Pure; ``jsonapi`` has the rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import quote

from dmfs.aps.item_types import Kind, is_service_folder, kind_of
from dmfs.aps.json_values import Json, dig, number, parse_time_ns, shared_text, text
from dmfs.aps.jsonapi import Tips, each_row
from dmfs.aps.signed_urls import is_storage_id
from dmfs.compact import shorten
from dmfs.errors import BadResponseError
from dmfs.model import (
    Child,
    DeletedFolder,
    DeletedItem,
    File,
    Folder,
    FolderId,
    ItemId,
    Leaf,
    Project,
    Shortcut,
    StorageId,
    VersionId,
    link_ids,
    version_ids,
)
from dmfs.names import UNNAMED

TOMBSTONE = ":Deleted"
_WEB_PAGE = re.compile(r"https?://[^\s\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Contents:
    """One page of a folder."""

    children: list[Child]
    tipless: list[Leaf]
    """Items whose tip the answer does not include, as they show if the service refuses it."""
    lost: tuple[str, ...] = ()
    """Of rows that are no use their ids, '' where there is none."""


def decode_contents(
    answer: Json,
    action: str,
    project: Project,
    lost: list[str] | None = None,
    *,
    deleted: bool = False,
) -> Contents:
    """Decode a page of folder contents or top folders, without hidden entries and tombstones, or
    with these as what was ``deleted``.

    A row that cannot be decoded is a BadResponseError. With ``lost`` it shows as an item that the
    service refuses where its name is known, else its id goes to ``lost`` (``jsonapi.each_row``).
    """
    tips = Tips(answer.get("included"))
    tipless: list[Leaf] = []

    def decode(row: Json) -> Child | None:
        hidden = dig(row, "attributes", "hidden") is True
        if hidden and not deleted:
            return None
        if row.get("type") == "folders":
            folder = _folder(row, action, project)
            return deleted_folder(folder) if hidden else folder
        if row.get("type") == "items":
            tip = tips.of(row)
            leaf = _leaf_or_deleted(row, tip, action, project, deleted=deleted)
            if tip is not None or leaf is None:
                return leaf
            tipless.append(leaf)
            return None
        raise BadResponseError(f"cannot {action}: the answer holds an entry of no known type")

    def decode_or_name(row: Json) -> Child | None:
        try:
            return decode(row)
        except BadResponseError:
            # a directory must not show as a file; of all else a name is enough to be there
            plain = {"displayName": text(row, "attributes", "displayName")}
            plain["displayName"] = plain["displayName"] or text(row, "attributes", "name")
            if row.get("type") == "folders" or not plain["displayName"]:
                raise
            return _leaf({"id": row["id"], "attributes": plain}, None, action, project)

    children: list[Child] = each_row(
        answer, action, decode if lost is None else decode_or_name, lost
    )
    return Contents(children, tipless, tuple(lost or ()))


def decode_item(
    answer: Json, action: str, project: Project, *, deleted: bool = False
) -> Child | None:
    """Decode ``GET items/:id`` with the tip in ``included``; None for a hidden item, unless it is
    to show as what was ``deleted``."""
    row = answer.get("data")
    if not isinstance(row, Mapping) or not text(row, "id"):
        raise BadResponseError(f"cannot {action}: the answer holds no item")
    if dig(row, "attributes", "hidden") is True and not deleted:
        return None
    tip = Tips(answer.get("included")).of(row)
    return _leaf_or_deleted(row, tip or {}, action, project, deleted=deleted)


def is_tombstone(version: Json | None) -> bool:
    """Whether the version says that its item was deleted."""
    return text(version, "attributes", "extension", "type").endswith(TOMBSTONE)


def deleted_item(item: Json, tip: Json | None, project: Project) -> DeletedItem:
    """An item that was deleted, with the version that says so."""
    item_id = ItemId(item["id"])
    deleted_ns = _time(tip, "createTime") if is_tombstone(tip) else _time(item, "lastModifiedTime")
    return DeletedItem(
        item_id=item_id,
        version=shorten(text(tip, "id"), version_ids(item_id)),
        storage_id=StorageId(""),
        folder_id=FolderId(shared_text(item, "relationships", "parent", "data", "id")),
        project_id=project.id,
        hub_id=project.hub_id,
        name=text(tip, "attributes", "extension", "data", "originalName")
        or text(item, "attributes", "displayName"),
        size_bytes=0,
        mtime_ns=deleted_ns or 0,
        created_ns=_time(item, "createTime"),
        version_number=number(tip, "attributes", "versionNumber"),
        created_by=shared_text(tip, "attributes", "createUserName"),
        extension_type=shared_text(tip, "attributes", "extension", "type"),
    )


def deleted_folder(folder: Folder) -> DeletedFolder:
    """A folder that was deleted when it was last changed."""
    return DeletedFolder(**{each.name: getattr(folder, each.name) for each in fields(Folder)})


def _leaf_or_deleted(
    item: Json, tip: Json | None, action: str, project: Project, *, deleted: bool
) -> Leaf | None:
    if deleted and (dig(item, "attributes", "hidden") is True or is_tombstone(tip)):
        return deleted_item(item, tip, project)
    return _leaf(item, tip, action, project)


def decode_version(row: Json, item_id: ItemId, action: str, project: Project) -> File:
    """A version alone, as a file without the folder that its item is in. BadResponseError unless it
    has bytes and a number."""
    file = version_leaf(row, item_id, action, project)
    if not isinstance(file, File) or not file.version_id or file.version_number is None:
        raise BadResponseError(f"cannot {action}: the answer holds no version of a file")
    return file


def version_leaf(
    row: Json, item_id: ItemId, action: str, project: Project, tip: Leaf | None = None
) -> Leaf | None:
    """A version alone, whatever it is; its folder, and the web page where it is nothing else, are
    those of the item's ``tip``. None if users do not see it."""
    name = text(row, "attributes", "displayName")
    item: dict[str, Any] = {"id": item_id, "attributes": {"displayName": name}}
    if tip is not None:
        item["relationships"] = {"parent": {"data": {"id": tip.folder_id}}}
    if isinstance(tip, Shortcut):
        item["links"] = {"webView": {"href": tip.web_url}}
    if is_tombstone(row):
        return deleted_item(item, row, project)
    return _leaf(item, row, action, project)


def decode_folder(answer: Json, action: str, project: Project) -> Folder:
    """The folder that an answer is about. BadResponseError."""
    row = answer.get("data")
    if not isinstance(row, Mapping) or not text(row, "id") or row.get("type") != "folders":
        raise BadResponseError(f"cannot {action}: the answer holds no folder")
    folder = _folder(row, action, project)
    if not folder.name:
        raise BadResponseError(f"cannot {action}: the answer holds a folder without a name")
    return folder


def _folder(row: Json, action: str, project: Project) -> Folder:
    name = text(row, "attributes", "name") or text(row, "attributes", "displayName")
    if not name and not isinstance(dig(row, "attributes", "name"), str | None):
        raise BadResponseError(f"cannot {action}: the answer holds a folder without a usable name")
    parent = text(row, "relationships", "parent", "data", "id")
    at_root = project.id.startswith("b.") and parent == project.root_folder_id
    return Folder(
        id=FolderId(row["id"]),
        project_id=project.id,
        hub_id=project.hub_id,
        name=name,
        mtime_ns=_time(row, "lastModifiedTime") or _time(row, "createTime") or 0,
        created_ns=_time(row, "createTime"),
        rollup_ns=_time(row, "lastModifiedTimeRollup"),
        object_count=number(row, "attributes", "objectCount"),
        created_by=shared_text(row, "attributes", "createUserName"),
        extension_type=shared_text(row, "attributes", "extension", "type"),
        link=shorten(text(row, "links", "webView", "href"), link_ids(project.id, row["id"])),
        service=is_service_folder(name, at_root=at_root),
        no_files=_takes_no_files(row),
    )


def _takes_no_files(row: Json) -> bool:
    """Whether a folder says which types it takes, and plain files are none of them."""
    allowed = dig(row, "attributes", "extension", "data", "allowedTypes")
    if not isinstance(allowed, list) or not allowed:
        return False
    return not any(isinstance(each, str) and each.endswith(":File") for each in allowed)


def _reserved_by(item: Json) -> str:
    if dig(item, "attributes", "reserved") is not True:
        return ""
    user_id = text(item, "attributes", "reservedUserId") or "somebody"
    return f"{user_id} {text(item, 'attributes', 'reservedUserName') or 'somebody'}"


def _label(version: Json | None, version_number: int | None) -> str:
    """What the web page calls a version, if it is not its number: an old one that was made current
    is a new version under the old label."""
    label = text(version, "attributes", "extension", "data", "revisionDisplayLabel")
    return "" if label == str(version_number) else label


def _time(row: Json | None, key: str) -> int | None:
    return parse_time_ns(text(row, "attributes", key))


def _leaf(item: Json, tip: Json | None, action: str, project: Project) -> Leaf | None:
    """The item as it shows: a File, a Shortcut, or None if users do not see it. Without a tip the
    File has no version, and ``open`` fails."""
    item_type = shared_text(item, "attributes", "extension", "type")
    tip_type = shared_text(tip, "attributes", "extension", "type")
    kind = kind_of(item_type, tip_type)
    if kind is Kind.HIDDEN:
        return None
    name = text(tip, "attributes", "name") or text(item, "attributes", "displayName")
    shown = dig(item, "attributes", "displayName"), dig(tip, "attributes", "name")
    if not name and any(value is not None and not isinstance(value, str) for value in shown):
        raise BadResponseError(f"cannot {action}: the answer holds an item without a usable name")
    storage_id = text(tip, "relationships", "storage", "data", "id")
    if not isinstance(dig(tip, "relationships", "storage", "data", "id"), str | None):
        raise BadResponseError(
            f"cannot {action}: the answer holds a file without a usable storage id"
        )
    common: dict[str, Any] = {
        "item_id": ItemId(item["id"]),
        "folder_id": FolderId(shared_text(item, "relationships", "parent", "data", "id")),
        "project_id": project.id,
        "hub_id": project.hub_id,
        "mtime_ns": _time(tip, "createTime")
        or _time(tip, "lastModifiedTime")
        or _time(item, "lastModifiedTime")
        or 0,
        "created_ns": _time(item, "createTime"),
        "version_number": number(tip, "attributes", "versionNumber"),
        "created_by": shared_text(tip, "attributes", "createUserName"),
        "extension_type": tip_type or item_type,
    }
    url = text(item, "links", "webView", "href") or text(tip, "links", "webView", "href")
    version_id = VersionId(text(tip, "id"))
    if kind is Kind.FILE and (tip is None or (version_id and is_storage_id(storage_id))):
        return File(
            name=name,
            version=shorten(version_id, version_ids(common["item_id"])),
            storage_id=StorageId(storage_id),
            size_bytes=number(tip, "attributes", "storageSize"),
            link=shorten(url, link_ids(project.id, common["folder_id"], item["id"])),
            reserved_by=_reserved_by(item),
            label=_label(tip, common["version_number"]),
            **common,
        )
    return _shortcut(name, version_id, url, common)


def _shortcut(name: str, version_id: VersionId, url: str, common: dict[str, Any]) -> Shortcut:
    if not _WEB_PAGE.fullmatch(url):  # it could add a line to the shortcut, or open a program
        url = _built_url(common["project_id"], common["folder_id"], common["item_id"])
    body = f"[InternetShortcut]\r\nURL={url}\r\n".encode("utf-8", "replace")
    common |= {"name": f"{name or UNNAMED}.url", "web_url": url, "body": body}
    return Shortcut(version_id=version_id or None, **common)


def _built_url(project_id: str, folder_id: str, item_id: str) -> str:
    """The web page of an item whose answer names none.

    Ids that the item has form the URL of a BIM 360 or ACC page. Other products have no such rule:
    their shortcut opens the start page.
    """
    if not project_id.startswith("b."):
        return "https://fusion.online.autodesk.com/"
    folder, item, project = (
        quote(text_, safe="-", errors="replace") for text_ in (folder_id, item_id, project_id[2:])
    )
    query = f"folderUrn={folder}&entityId={item}"
    return f"https://acc.autodesk.com/docs/files/projects/{project}?{query}"
