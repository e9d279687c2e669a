"""JSON:API answers → the model. Floor 1, pure.

Owns every assumption about the shape of the Project, Data and OSS answers. What is merely odd is
accepted (facts gathered from real answers: `included` missing, tips missing from it, ids twice,
times with 0 to 7 digits); what would make an entry silently disappear raises BadResponseError,
because a missing entry looks like a deleted file to `rsync --delete`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from dmfs.aps.item_types import Kind, is_service_folder, kind_of
from dmfs.aps.json_values import Json, dig, number, parse_time_ns, shared_text, text
from dmfs.aps.signed_urls import _is_storage_id
from dmfs.compact import shorten
from dmfs.errors import BadResponseError
from dmfs.http.errormap import clean
from dmfs.model import (
    Child,
    File,
    Folder,
    FolderId,
    Hub,
    HubId,
    ItemId,
    Leaf,
    Project,
    ProjectId,
    Shortcut,
    StorageId,
    VersionId,
    link_ids,
    version_ids,
)
from dmfs.names import UNNAMED

_WEB_PAGE = re.compile(r"https?://[^\s\x00-\x1f\x7f]+")


def _rows(answer: Json, what: str) -> list[Json]:
    rows = answer.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise BadResponseError(f"cannot {what}: the answer holds no list of entries")
    for row in rows:
        if not text(row, "id"):
            raise BadResponseError(f"cannot {what}: the answer holds an entry without an id")
    return rows


def decode_warnings(answer: Json) -> tuple[str, ...]:
    """``meta.warnings`` of the hubs answer (PascalCase keys), a line each."""
    warnings = dig(answer, "meta", "warnings")
    lines = []
    for warning in warnings if isinstance(warnings, list) else []:
        parts = [text(warning, key) for key in ("Title", "Detail")]
        parts = [clean(part) for part in parts if part]
        code = text(warning, "HttpStatusCode")
        lines.append(" ".join(parts) + (f" (HTTP {clean(code)})" if code else ""))
    return tuple(lines)


def decode_hubs(answer: Json, what: str) -> list[Hub]:
    return [
        Hub(
            id=HubId(row["id"]),
            name=_plain_name(row, what),
            extension_type=shared_text(row, "attributes", "extension", "type"),
        )
        for row in _rows(answer, what)
    ]


def decode_projects(answer: Json, what: str, hub_id: HubId) -> list[Project]:
    return [
        Project(
            id=ProjectId(row["id"]),
            hub_id=hub_id,
            name=_plain_name(row, what),
            root_folder_id=FolderId(root)
            if (root := text(row, "relationships", "rootFolder", "data", "id"))
            else None,
            extension_type=shared_text(row, "attributes", "extension", "type"),
            web_url=text(row, "links", "webView", "href"),
        )
        for row in _rows(answer, what)
    ]


def _plain_name(row: Json, what: str) -> str:
    """The name of a hub or a project; '' where the service gives none."""
    name = dig(row, "attributes", "name")
    if not isinstance(name, str | None):
        raise BadResponseError(f"cannot {what}: the answer holds an entry without a usable name")
    return name or ""


def next_page(answer: Json, what: str, path: str) -> dict[str, str] | None:
    """The query of ``links.next``, None on the last page.

    Only the query is taken over: the host and path stay ours, so no answer can send a token
    elsewhere. A next link to another path is refused.
    """
    links = answer.get("links")
    link = dig(links, "next")
    href = link.get("href") if isinstance(link, Mapping) else link
    if not isinstance(links, Mapping | None) or not isinstance(href, str | None):
        # taken for the end, it would cut the listing short
        raise BadResponseError(f"cannot {what}: the answer's link to the next page is none")
    if not href:
        return None
    try:
        split = urlsplit(href)
        query = dict(parse_qsl(split.query, keep_blank_values=True))
    except ValueError:
        query, split = {}, urlsplit("")
    if not query or unquote(split.path).rstrip("/") != unquote(path).rstrip("/"):
        raise BadResponseError(f"cannot {what}: the answer's link to the next page leads elsewhere")
    return query


@dataclass(frozen=True, slots=True)
class Contents:
    """One page of a folder: what is known, and the items whose tip has yet to be asked for, as
    they show should it be refused."""

    children: list[Child]
    tipless: list[Leaf]


def decode_contents(answer: Json, what: str, project: Project) -> Contents:
    """A page of folder contents or top folders; hidden entries and tombstones are left out."""
    tips = _Tips(answer.get("included"))
    children: list[Child] = []
    tipless: list[Leaf] = []
    for row in _rows(answer, what):
        if dig(row, "attributes", "hidden") is True:
            continue
        if row.get("type") == "folders":
            children.append(_folder(row, what, project))
        elif row.get("type") == "items":
            tip = tips.of(row)
            if (leaf := _leaf(row, tip, what, project)) is not None:
                (tipless if tip is None else children).append(leaf)
        else:
            raise BadResponseError(f"cannot {what}: the answer holds an entry of no known type")
    return Contents(children, tipless)


def decode_item(answer: Json, what: str, project: Project) -> Child | None:
    """``GET items/:id``: the item with its tip in ``included``; None where it is hidden."""
    row = answer.get("data")
    if not isinstance(row, Mapping) or not text(row, "id"):
        raise BadResponseError(f"cannot {what}: the answer holds no item")
    if dig(row, "attributes", "hidden") is True:
        return None
    tip = _Tips(answer.get("included")).of(row)
    return _leaf(row, tip or {}, what, project)


class _Tips:
    """The versions in ``included``: by id, and the newest by item where the ids do not match."""

    def __init__(self, included: Any) -> None:
        self._by_id: dict[str, Json] = {}
        self._by_item: dict[str, Json] = {}
        for version in included if isinstance(included, list) else []:
            if text(version, "type") != "versions" or not text(version, "id"):
                continue
            self._by_id[version["id"]] = version
            item = text(version, "relationships", "item", "data", "id")
            rival = self._by_item.get(item)
            if item and (rival is None or _version_number(rival) < _version_number(version)):
                self._by_item[item] = version

    def of(self, item: Json) -> Json | None:
        tip_id = text(item, "relationships", "tip", "data", "id")
        return self._by_id.get(tip_id) or self._by_item.get(text(item, "id"))


def _version_number(version: Json) -> int:
    return number(version, "attributes", "versionNumber") or 0


def _folder(row: Json, what: str, project: Project) -> Folder:
    name = text(row, "attributes", "name") or text(row, "attributes", "displayName")
    if not name and not isinstance(dig(row, "attributes", "name"), str | None):
        raise BadResponseError(f"cannot {what}: the answer holds a folder without a usable name")
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
    )


def _time(row: Json | None, key: str) -> int | None:
    return parse_time_ns(text(row, "attributes", key))


def _leaf(item: Json, tip: Json | None, what: str, project: Project) -> Leaf | None:
    """The item as it shows: a File (one that cannot be opened, without a tip), a Shortcut, or None
    where it is not there for users."""
    item_type = shared_text(item, "attributes", "extension", "type")
    tip_type = shared_text(tip, "attributes", "extension", "type")
    kind = kind_of(item_type, tip_type)
    if kind is Kind.HIDDEN:
        return None
    name = text(tip, "attributes", "name") or text(item, "attributes", "displayName")
    shown = dig(item, "attributes", "displayName"), dig(tip, "attributes", "name")
    if not name and any(value is not None and not isinstance(value, str) for value in shown):
        raise BadResponseError(f"cannot {what}: the answer holds an item without a usable name")
    storage_id = text(tip, "relationships", "storage", "data", "id")
    if not isinstance(dig(tip, "relationships", "storage", "data", "id"), str | None):
        raise BadResponseError(
            f"cannot {what}: the answer holds a file without a usable storage id"
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
    if kind is Kind.FILE and (tip is None or (version_id and _is_storage_id(storage_id))):
        return File(
            name=name,
            version=shorten(version_id, version_ids(common["item_id"])),
            storage_id=StorageId(storage_id),
            size_bytes=number(tip, "attributes", "storageSize"),
            link=shorten(url, link_ids(project.id, common["folder_id"], item["id"])),
            **common,
        )
    return _shortcut(name, version_id, url, common)


def _shortcut(name: str, version_id: VersionId, url: str, common: dict[str, Any]) -> Shortcut:
    if not _WEB_PAGE.fullmatch(url):  # a line more in the shortcut, or a program to be opened
        url = _built_url(common["project_id"], common["folder_id"], common["item_id"])
    body = f"[InternetShortcut]\r\nURL={url}\r\n".encode("utf-8", "replace")
    common |= {"name": f"{name or UNNAMED}.url", "web_url": url, "body": body}
    return Shortcut(version_id=version_id or None, **common)


def _built_url(project_id: str, folder_id: str, item_id: str) -> str:
    """The web page of an item whose answer names none.

    BIM 360 and ACC pages are addressed by ids that we have; the other products have no such rule,
    so their shortcut leads to the start page.
    """
    if not project_id.startswith("b."):
        return "https://fusion.online.autodesk.com/"
    folder, item, project = (
        quote(text_, safe="-", errors="replace") for text_ in (folder_id, item_id, project_id[2:])
    )
    query = f"folderUrn={folder}&entityId={item}"
    return f"https://acc.autodesk.com/docs/files/projects/{project}?{query}"
