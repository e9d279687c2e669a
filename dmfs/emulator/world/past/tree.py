"""The tree at a moment: as it truly was, and as the service can still tell that it was.

The service keeps the versions of files, and when what was deleted was deleted. It does not keep
where a file or a folder was before it was moved, nor what a folder was called before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dmfs.emulator.world.changing.finding import Node
from dmfs.emulator.world.model import (
    DELETED_VERSION,
    Folder,
    Hub,
    Item,
    Json,
    Project,
    Version,
    World,
    name_of,
)
from dmfs.emulator.world.past import record


@dataclass(slots=True)
class Tree:
    """``entries``: one for each thing below the start, folders before what is in them.

    Of the view that the service can tell: ``listed`` folders and projects had to be listed for it,
    and of ``changed`` items the versions had to be asked for."""

    entries: list[Json] = field(default_factory=list)
    listed: int = 0
    changed: int = 0


def true_tree(world: World, start: Node, at_s: float) -> Tree:
    """Everything by the places and names of that moment."""
    below: dict[str, list[Node]] = {}
    nodes: list[Node] = [*world.projects.values(), *world.folders.values(), *world.items.values()]
    for node in nodes:
        row = record.at(world, node, at_s)
        if row is not None and row.above is not None and not row.hidden:
            below.setdefault(row.above.id, []).append(node)
    tree = Tree()

    def walk(above: Node, names: list[str]) -> None:
        for node in below.get(above.id, []):
            row = record.at(world, node, at_s)
            assert row is not None
            if isinstance(node, Folder) and node.parent is None:
                walk(node, names)  # A project's root folder has no name of its own.
                continue
            if row.tip is not None and row.tip.type == DELETED_VERSION:
                continue
            name = row.name or ""
            tree.entries.append(_entry(node, [*names, name], row.at_s, row.tip))
            walk(node, [*names, name])

    walk(start, [])
    return tree


def served_tree(world: World, start: Node, at_s: float) -> Tree:
    """As far as the service tells: by today's places and today's names of folders, and without what
    is out of reach today. A deleted folder was there until its ``lastModifiedTime``, and so was a
    hidden file without a tombstone; ``doubt`` says why an entry may have been otherwise."""
    return _Served(world, at_s).of(start)


class _Served:
    def __init__(self, world: World, at_s: float) -> None:
        self._world, self._at_s = world, at_s
        self._tree = Tree()

    def of(self, start: Node) -> Tree:
        self._walk(start, [])
        return self._tree

    def _walk(self, above: Node, names: list[str]) -> None:
        if isinstance(above, Project | Folder):
            self._tree.listed += 1
        for node in _listed_below(above):
            entry = self._row(node, names)
            if entry is not None:
                self._tree.entries.append(entry)
                self._walk(node, entry["names"])

    def _row(self, node: Node, names: list[str]) -> Json | None:
        if isinstance(node, Item):
            return self._item(node, names)
        since_s = self._world.past[node.id][0].at_s
        if isinstance(node, Folder):
            was_there = self._is_past(node, since_s) and not (
                node.hidden and self._is_past(node, node.modified_s)
            )
            if node.revoked or not was_there:
                return None
        entry = _entry(node, [*names, node.name], since_s, None)
        if isinstance(node, Folder) and not record.is_served(since_s, node.create_time):
            entry["doubt"] = "its createTime is not when it was made"
        return entry

    def _is_past(self, node: Folder | Item, moment_s: float) -> bool:
        """Whether a time that is told of it is not after the moment: teams tell whole seconds."""
        project = node.project if isinstance(node, Folder) else node.parent.project
        micros = round(moment_s * 1e6)
        return (micros / 1e6 if project.hub.is_account else micros // 1_000_000) <= self._at_s

    def _item(self, item: Item, names: list[str]) -> Json | None:
        made = record.version_moments(self._world, item)
        if item.revoked or not self._is_past(item, made[0][0]):
            return None
        self._tree.changed += not self._is_past(item, made[-1][0])
        since_s, version = [each for each in made if self._is_past(item, each[0])][-1]
        if version.type == DELETED_VERSION:
            return None
        doubt = None
        shown = [(item.create_time, made[0][0])]
        shown += [(each.create_time, moment_s) for moment_s, each in made]
        if not all(record.is_served(moment_s, text) for text, moment_s in shown):
            doubt = "its times are not when it was made"
        if item.hidden and item.tip.type != DELETED_VERSION:
            hidden_s = self._world.past[item.id][-1].at_s
            if self._is_past(item, hidden_s):
                return None
            doubt = "it is hidden, and no tombstone says since when"
        name = version.name or version.display_name or name_of(item) or ""
        entry = _entry(item, [*names, name], since_s, version)
        return entry | {"doubt": doubt}


def _listed_below(node: Node) -> list[Node]:
    """What the service lists there for who asks for everything, deleted things too."""
    if isinstance(node, Hub):
        return [each for each in node.projects if each.active and not each.revoked]
    if isinstance(node, Project):
        return list(node.top_folders) if node.hub.is_account else _children(node.root)
    return _children(node) if isinstance(node, Folder) else []


def _children(folder: Folder) -> list[Node]:
    """In teams what is deleted is gone for good."""
    nodes: list[Folder | Item] = [*folder.folders, *folder.items]
    return [each for each in nodes if folder.project.hub.is_account or not each.hidden]


def _entry(node: Node, names: list[str], since_s: float, version: Version | None) -> Json:
    entry: Json = {
        "path": "/".join(name.replace("~", "~0").replace("/", "~1") for name in names),
        "names": names,
        "kind": type(node).__name__.lower(),
        "id": node.id,
        "since": since_s,
        "doubt": None,
    }
    if isinstance(node, Folder):
        entry |= {"hidden": node.hidden, "service": node.service}
    if version is not None:
        storage = version.storage
        entry |= {
            "version": version.id,
            "number": version.number,
            "label": version.data.get("revisionDisplayLabel"),
            "type": version.type,
            "storage": storage.urn if storage else None,
            "size": storage.content.size if storage else None,
            "listed_size": version.listed_size,
        }
    return entry
