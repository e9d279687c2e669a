"""Extended attributes: the service's ids and links of an entry. Floor 3, pure."""

from __future__ import annotations

from dmfs.errors import NoAttributeError, UnsupportedError
from dmfs.model import File, Folder, Hub, Node, Project, Shortcut

PREFIX = "user.dmfs."


def attributes_of(node: Node) -> dict[str, str]:
    """Every xattr that applies to a node, by its full name."""
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


def attribute(node: Node, name: str) -> bytes:
    """One value. NoAttributeError for an unknown name of ours, UnsupportedError for namespaces
    that the drive does not keep (``security.``, ``system.`` …)."""
    if not name.startswith("user."):
        raise UnsupportedError(f"no attributes of the kind {name.partition('.')[0]!r} here")
    value = attributes_of(node).get(name)
    if value is None:
        raise NoAttributeError(f"no attribute {name!r} here")
    return value.encode("utf-8", "surrogatepass")
