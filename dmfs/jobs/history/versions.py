"""``versions``: every version of an item, deletions among them, and how each is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dmfs.drive import Drive
from dmfs.errors import DriveError, IsADirectory
from dmfs.grammar.moments import SECOND_NS
from dmfs.grammar.version_names import version_name
from dmfs.jobs.job import Parameters, Tell, text_of
from dmfs.model import (
    DeletedItem,
    File,
    Folder,
    History,
    Leaf,
    Node,
    Past,
    Project,
    Shortcut,
    VersionList,
    WithDeleted,
)
from dmfs.names import printable
from dmfs.namespace.views.versions import tip_of
from dmfs.system.clock import iso_time

PERCENT = 100


async def versions(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"path"}``: of a file, of one of its versions, or of its directory in ``.versions``.

    Events: ``version`` for each, the newest first (``number``, ``label``, ``name`` (under which it
    can be read beside the file; '' where it cannot), ``called`` (its name then), ``kind``:
    ``file``, ``design`` (without bytes) or ``deleted``, ``mtime``, ``author``, ``size``,
    ``cached`` (percent; missing where nothing is known)), and ``done`` (``path``, ``versions``).
    One call for each 200 versions, the first time.
    """
    path = text_of(parameters, "path")
    tip, shown_as, until_ns = await _item_at(drive, path)
    listing = await drive.parts.listings.get(VersionList(tip))
    leaves = sorted(
        (
            each
            for each in listing.entries.values()
            if isinstance(each, File | Shortcut) and (until_ns is None or each.mtime_ns <= until_ns)
        ),
        key=lambda each: each.version_number or 0,
        reverse=True,
    )
    cached = await _percents(drive, leaves)
    for each in leaves:
        await tell({"event": "version", **_row(drive, each, shown_as, cached)})
    await tell({"event": "done", "path": path, "versions": len(leaves)})


async def _item_at(drive: Drive, path: str) -> tuple[Leaf, str, int | None]:
    """The tip of the item at a path, the name under which its directory shows it, and of the past
    the moment."""
    node = await drive.resolve(path)
    if isinstance(node, History):
        return node.tip, node.name, None
    if not isinstance(node, File | Shortcut):
        raise IsADirectory(
            f"{printable(path)!r} is a directory", hint="only files and designs have versions"
        )
    above = await drive.resolve(path.rstrip("/").rpartition("/")[0])
    if isinstance(above, History):
        return above.tip, above.name, None
    name, tip = await _tip(drive, above, node)
    return tip, name, above.at_ns if isinstance(above, Past) else None


async def _tip(drive: Drive, above: Node, leaf: Leaf) -> tuple[str, Leaf]:
    """The newest version of what stands in a directory, and its name there."""
    listings = drive.parts.listings
    if isinstance(above, File | Shortcut):
        return leaf.name, leaf  # it became one between the two looks
    entries = (await listings.get(above)).entries
    names = (
        name
        for name, child in entries.items()
        if isinstance(child, File | Shortcut) and _is_of(leaf, child)
    )
    name = next(names, leaf.name)
    shown = entries.get(name, leaf)
    tip = tip_of(shown) or shown
    if isinstance(above, Past) and isinstance(above.of, Project | Folder):
        source = await listings.since(WithDeleted(above.of), above.at_ns / SECOND_NS)
        tip = source.entries.get(leaf.item_id, tip)
    if not isinstance(tip, File | Shortcut) or not tip.version_id:
        raise DriveError(f"the service does not tell which version {printable(name)!r} is")
    return name, tip


def _is_of(leaf: Leaf, child: Leaf) -> bool:
    """Drafts without an item are told apart by their inode."""
    if not leaf.item_id:
        return child.identity == leaf.identity
    return child.item_id == leaf.item_id


async def _percents(drive: Drive, leaves: Sequence[Leaf]) -> dict[str, int]:
    """By storage id: how much of it is at rest; empty where no disk says."""
    ids = [each.storage_id for each in leaves if isinstance(each, File) and each.storage_id]
    try:
        found = await drive.parts.blocks.disk.at_rest(ids)
    except DriveError:
        return {}
    return {
        each: PERCENT * found[each].at_rest_bytes // max(1, found[each].size_bytes)
        if each in found else 0
        for each in ids
    }  # fmt: skip


def _row(drive: Drive, leaf: Leaf, shown_as: str, cached: dict[str, int]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "number": leaf.version_number,
        "label": _label(leaf),
        "kind": "file",
        "name": "",
        "called": leaf.name,
        "mtime": iso_time(leaf.mtime_ns),
        "author": leaf.created_by,
        "version_id": leaf.version_id,
    }
    if isinstance(leaf, DeletedItem):
        return row | {"kind": "deleted"}
    if isinstance(leaf, Shortcut) or not leaf.storage_id:
        return row | {"kind": "design"}
    row |= {"name": version_name(shown_as, leaf.version_number or 0), "size": drive.size_of(leaf)}
    size_known = leaf.storage_id in cached
    return row | ({"cached": cached[leaf.storage_id]} if size_known else {})


def _label(leaf: Leaf) -> str:
    label = leaf.label if isinstance(leaf, File) else ""
    return label or str(leaf.version_number or "")
