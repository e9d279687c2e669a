"""Extended attributes: the service's ids and links of an entry, and the age of a directory's
listing. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from dmfs.errors import NoAttributeError, UnsupportedError
from dmfs.model import File, Folder, History, Hub, Node, Past, Project, Shortcut
from dmfs.system.clock import Moment, iso_seconds, iso_time

PREFIX = "user.dmfs."
CACHED, PINNED, RESERVED_BY = PREFIX + "cached", PREFIX + "pinned", PREFIX + "reserved_by"
STATE, PUBLISH_STATE = PREFIX + "state", PREFIX + "publish_state"
EXPORT_OF, THUMBNAIL = PREFIX + "export_of", PREFIX + "thumbnail"
"""Answered, never listed."""
AT, VERSION_LABEL, VERSION_NAME = PREFIX + "at", PREFIX + "version_label", PREFIX + "version_name"
VERSION_MARKS = frozenset({AT, VERSION_LABEL, VERSION_NAME})
"""The same, of what has a place in time."""


def attributes_of(node: Node) -> dict[str, str]:
    """Every xattr that applies to a node, by its full name; values are texts."""
    values: dict[str, object] = {"extension_type": getattr(node, "extension_type", "")}
    if isinstance(node, Past):
        return attributes_of(node.of)
    match node:
        case Hub():
            values |= {"hub_id": node.id}
        case Project():
            values |= {"hub_id": node.hub_id, "project_id": node.id, "web_url": node.web_url}
        case Folder():
            values |= {
                "hub_id": node.hub_id,
                "project_id": node.project_id,
                "folder_id": node.id,
                "web_url": node.web_url,
                "created_by": node.created_by,
            }
        case History():
            return attributes_of(node.tip)
        case File() | Shortcut():
            values |= {
                "hub_id": node.hub_id,
                "project_id": node.project_id,
                "folder_id": node.folder_id,
                "item_id": node.item_id,
                "version_id": node.version_id,
                "version_number": node.version_number,
                "web_url": node.web_url,
                "created_by": node.created_by,
            }
            if isinstance(node, File):
                values["storage_id"] = node.storage_id
    return {PREFIX + key: str(value) for key, value in values.items() if value not in ("", None)}


def version_mark(node: Node, name: str, at_ns: int | None) -> str | None:
    """One of ``VERSION_MARKS``: the moment that is shown (``at_ns``, or the node's own), what the
    web page calls a version, its name when it was made. None where it does not apply."""
    if name == AT:
        at_ns = node.at_ns if isinstance(node, Past) else at_ns
        return None if at_ns is None else iso_time(at_ns)
    if not isinstance(node, File) or not node.version_id:
        return None
    return node.name if name == VERSION_NAME else node.label or str(node.version_number or "")


def marks(listed_at: Moment | None, *, stale: bool, incomplete: int = 0) -> dict[str, str]:
    """Attributes of a directory's listing: when it was valid (``2026-03-01T09:30:00Z``), ``stale``
    if its time-to-live is over and no refresh has succeeded yet, and ``incomplete``: the number of
    entries that the service did not describe, where there are any."""
    when = iso_seconds(listed_at[0]) if listed_at is not None else ""
    if not when:
        return {}
    found = {PREFIX + "listed_at": when} | ({PREFIX + "stale": "1"} if stale else {})
    return found | ({PREFIX + "incomplete": str(incomplete)} if incomplete else {})


def xattr_value(name: str, xattrs: Mapping[str, str]) -> bytes:
    """One value of a node's ``xattrs``. NoAttributeError for an unknown name of ours,
    UnsupportedError for namespaces that the drive does not serve (``security.``, ``system.`` …).
    """
    if not name.startswith("user."):
        raise UnsupportedError(f"no attributes of the kind {name.partition('.')[0]!r} here")
    value = xattrs.get(name)
    if value is None:
        raise NoAttributeError(f"no attribute {name!r} here")
    return value.encode("utf-8", "surrogatepass")
