"""What fsspec is told of an entry. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dmfs.model import Child, Directory, File, Folder, Node, Shortcut, mtime_ns_of
from dmfs.names import inode_number
from dmfs.namespace.xattrs import PREFIX, attributes_of

NS = 1_000_000_000


def facts_of(path: str, node: Node, size_bytes: int) -> dict[str, Any]:
    """``name`` (its path), ``size`` in bytes (of directories 0, as fsspec has it), ``type``,
    ``mtime`` and ``created`` in seconds since the epoch where the service tells them, ``ino``, and
    the ids: ``version_id``, ``version_number``, ``item_id``, ``storage_id``, ``hub_id`` …"""
    is_file = isinstance(node, File | Shortcut)
    found: dict[str, Any] = {
        "name": path,
        "size": size_bytes if is_file else 0,
        "type": "file" if is_file else "directory",
        "ino": inode_number(node.identity),
    }
    mtime_ns = node.mtime_ns if isinstance(node, File | Shortcut) else mtime_ns_of(node)
    if mtime_ns:
        found["mtime"] = mtime_ns / NS
    if isinstance(node, File | Shortcut | Folder) and node.created_ns:
        found["created"] = node.created_ns / NS
    attributes = {key.removeprefix(PREFIX): text for key, text in attributes_of(node).items()}
    if isinstance(node, File) and node.version_number is not None:
        attributes.pop("version_number", None)
        found["version_number"] = node.version_number
    return found | attributes


def joined(path: str, name: str) -> str:
    """The path of an entry of a directory."""
    return f"{path.rstrip('/')}/{name}"


def moment(found: Mapping[str, Any], key: str) -> datetime | None:
    """A time of ``facts_of``, in UTC."""
    at_s = found.get(key)
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC)


def is_directory(node: Directory | Child) -> bool:
    return not isinstance(node, File | Shortcut)
