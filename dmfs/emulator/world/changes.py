"""Changes while the emulator runs: what other people do to the files, now or ``at`` a moment of the
past.

Each sets ``lastModifiedTime`` of what it touches and of its folder, and the rollup of every
ancestor, unless ``quiet`` is set (whether the service's rollup tells of every kind of
change is not known: facts 3.2).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dmfs.emulator.world import rights
from dmfs.emulator.world.builder import Builder
from dmfs.emulator.world.changing import versions
from dmfs.emulator.world.changing.finding import Node, destination, find, text, want
from dmfs.emulator.world.changing.moments import moment_s, timed, touch
from dmfs.emulator.world.changing.versions import author, content_of, data_of
from dmfs.emulator.world.model import Folder, Hub, Item, Json, Project, World, ancestors

_Change = Callable[[World, Node, Json], Node]


def apply(world: World, order: Json) -> Node:
    """Carry out one change; what was changed or made. LookupError, ValueError if it makes no
    sense."""
    op = order.get("op")
    change = _OPS.get(str(op))
    if change is None:
        raise ValueError(f"unknown op {op!r}")
    node = find(world, order, "id", "path")
    order = timed(world, node, order)
    result = change(world, node, order)
    world.note(result, moment_s(order))
    world.generation += 1
    return result


def _move(world: World, node: Node, order: Json) -> Node:
    moved: Folder | Item = want(node, Folder, Item)
    key = "to"
    target: Folder = want(destination(world, text(order, key)), Folder)
    if moved.parent is None or moved is target or moved in list(ancestors(target)):
        raise ValueError("a folder cannot be moved into itself, nor a root folder at all")
    touch(moved, order)  # The ancestors that lose it.
    moved.parent.children.remove(moved)
    target.children.append(moved)
    moved.parent = target
    touch(moved, order)
    return moved


def _delete_folder(world: World, node: Node, order: Json) -> Node:
    folder: Folder = want(node, Folder)
    folder.hidden = True
    touch(folder, order)
    return folder


def _builder(world: World, order: Json) -> Builder:
    """A builder whose labels and times do not meet those of the start. What is made ``at`` a moment
    has the same ids each time."""
    label = order["at"] if "at" in order else time.time_ns()
    return Builder(world, lambda: moment_s(order), f"change {world.generation} {label}")


def _add_item(world: World, node: Node, order: Json) -> Node:
    folder: Folder = want(node, Folder)
    name, type_ = text(order, "name"), str(order.get("type", ""))
    content = None if order.get("no_bytes") else content_of
    before = (folder.modified_s, [each.rollup_s for each in (folder, *ancestors(folder))])
    builder = _builder(world, order)
    item = builder.item(folder, name, type_=type_)
    item.user = author(order, item.user)
    version = builder.version(item, content and content(item.id, order))
    version.data = version.data | data_of(order)
    version.file_type = order.get("file_type", version.file_type)
    _settle(item, order, before)
    return item


def _add_folder(world: World, node: Node, order: Json) -> Node:
    parent = want(node, Folder, Project)
    above: Folder = parent.root if isinstance(parent, Project) else parent
    before = (above.modified_s, [each.rollup_s for each in (above, *ancestors(above))])
    folder = _builder(world, order).folder(above, text(order, "name"))
    if isinstance(parent, Project) and parent.top is not None:
        parent.top.append(folder)
    _settle(folder, order, before)
    return folder


def _settle(node: Folder | Item, order: Json, before: tuple[float, list[float]]) -> None:
    """Touch the ancestors of a new thing as an order does; making it has moved their times."""
    above = list(ancestors(node))
    above[0].modified_s = before[0]
    for folder, rollup_s in zip(above, before[1], strict=True):
        folder.rollup_s = rollup_s
    if "at" in order and isinstance(node, Folder):
        node.modified_s = node.rollup_s = moment_s(order)
    touch(node, order)


def _add_project(world: World, node: Node, order: Json) -> Node:
    hub: Hub = want(node, Hub)
    builder = _builder(world, order)
    project = builder.project(hub, text(order, "name"))
    if hub.is_account:
        builder.folder(project, "Project Files")
    return project


def _revoke(world: World, node: Node, order: Json) -> Node:
    revoked = want(node, Project, Folder, Item)
    revoked.revoked = order["op"] == "revoke"
    if not isinstance(revoked, Project):
        touch(revoked, order)
    result: Node = revoked
    return result


def _archive(world: World, node: Node, order: Json) -> Node:
    project: Project = want(node, Project)
    project.active = order["op"] == "activate"
    project.lingers = bool(order.get("lingers"))
    return project


def _set_right(world: World, node: Node, order: Json) -> Node:
    if order["op"] in ("reserve", "unreserve"):
        item: Item = want(node, Item)
        rights.set_lock(item, order)
        touch(item, order)
        return item
    folder: Folder = want(node, Folder)
    if order["op"] == "level":
        rights.set_level(folder, order)
    elif order["op"] == "allow":
        rights.set_allowed(folder, order)
    else:
        rights.set_naming(folder, order)
    return folder


_OPS: dict[str, _Change] = {
    "new_version": versions.new_version,
    "replace_bytes": versions.replace_bytes,
    "promote": versions.promote,
    "rename": versions.rename,
    "move": _move,
    "hide": versions.hide,
    "restore": versions.restore,
    "add_item": _add_item,
    "add_folder": _add_folder,
    "delete_folder": _delete_folder,
    "add_project": _add_project,
    "revoke": _revoke,
    "grant": _revoke,
    "archive": _archive,
    "activate": _archive,
    "level": _set_right,
    "allow": _set_right,
    "naming": _set_right,
    "reserve": _set_right,
    "unreserve": _set_right,
}
