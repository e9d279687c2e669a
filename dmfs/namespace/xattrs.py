"""Extended attributes: the service's ids and links of an entry, and the age of a directory's
listing. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from dmfs.errors import NoAttributeError, UnsupportedError
from dmfs.model import File, Folder, Hub, Node, Project, Shortcut
from dmfs.system.clock import Moment, iso_seconds

PREFIX = "user.dmfs."
CACHED, PINNED, RESERVED_BY = PREFIX + "cached", PREFIX + "pinned", PREFIX + "reserved_by"
STATE, PUBLISH_STATE = PREFIX + "state", PREFIX + "publish_state"
"""Answered, never listed."""


def attributes_of(node: Node) -> dict[str, str]:
    """Every xattr that applies to a node, by its full name; values are texts."""
    values: dict[str, object] = {"extension_type": getattr(node, "extension_type", "")}
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
