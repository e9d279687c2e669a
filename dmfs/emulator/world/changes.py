"""Changes while the emulator runs: what other people do to the files meanwhile.

Each sets ``lastModifiedTime`` of what it touches and of its folder, and the rollup of every
ancestor, unless ``quiet`` is set (whether the service's rollup tells of every kind of
change is not known: facts 3.2).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dmfs.emulator.world import facts, ids, rights
from dmfs.emulator.world.builder import Builder, places, stamp
from dmfs.emulator.world.content import Computed, Content, Literal
from dmfs.emulator.world.model import (
    DELETED_VERSION,
    Folder,
    Hub,
    Item,
    Json,
    Project,
    Storage,
    Version,
    World,
    ancestors,
)

Node = Hub | Project | Folder | Item
_Change = Callable[[World, Node, Json], Node]


def apply(world: World, order: Json) -> Json:
    """Carry out one change; the new raw facts. LookupError, ValueError if it makes no sense."""
    op = order.get("op")
    change = _OPS.get(str(op))
    if change is None:
        raise ValueError(f"unknown op {op!r}")
    node = node_of(world, order)
    result = change(world, node, order)
    world.generation += 1
    return _facts(result)


def _facts(node: Node) -> Json:
    if isinstance(node, Hub):
        return facts.hub(node)
    if isinstance(node, Project):
        return facts.project(node)
    return facts.folder(node) if isinstance(node, Folder) else facts.item(node)


def node_of(world: World, order: Json) -> Node:
    """What an order is about: its ``id`` or ``path``."""
    if "id" in order:
        return by_id(world, str(order["id"]))
    if "path" in order:
        return by_path(world, str(order["path"]))
    raise ValueError("id or path is needed")


def by_id(world: World, id_: str) -> Node:
    """Anything by its id; a version id stands for its item."""
    found: Node | None = (
        world.hub(id_) or world.projects.get(id_) or world.folders.get(id_) or world.items.get(id_)
    )
    if found is None and id_ in world.versions:
        found = world.versions[id_][0]
    if found is None:
        raise LookupError(f"nothing has the id {id_!r}")
    return found


def by_path(world: World, path: str) -> Node:
    """``Hub/Project/Folder/Name``, escaped as in JSON Pointer; of equal names the first."""
    names = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")]
    nodes: list[Node] = list(world.hubs)
    found: Node | None = None
    for name in names:
        found = next((node for node in nodes if _name(node) == name), None)
        if found is None:
            raise LookupError(f"no {name!r} in {path!r}")
        nodes = _below(found)
    assert found is not None
    return found


def _name(node: Node) -> str | None:
    if not isinstance(node, Item):
        return node.name
    return node.display_name if node.tip.name is None else node.tip.name


def _below(node: Node) -> list[Node]:
    if isinstance(node, Hub):
        return list(node.projects)
    if isinstance(node, Project):
        seen = [*node.top_folders, *node.root.children]
        return list(dict.fromkeys(seen))
    return list(node.children) if isinstance(node, Folder) else []


def touch(node: Folder | Item, order: Json) -> None:
    """The times of a thing, of its folder, and the rollups above."""
    if order.get("quiet"):
        return
    now_s = time.time()
    if isinstance(node, Folder):
        node.modified_s = node.rollup_s = now_s
    else:
        node.modified_time = stamp(node.parent.project, now_s)
    above = list(ancestors(node))
    for folder in above[:1]:
        folder.modified_s = now_s
    for folder in above:
        folder.rollup_s = now_s


def _want(node: Node, *kinds: type) -> Any:
    if not isinstance(node, kinds):
        names = " or ".join(kind.__name__.lower() for kind in kinds)
        raise ValueError(f"this change needs a {names}, not a {type(node).__name__.lower()}")
    return node


def _text(order: Json, key: str) -> str:
    if not isinstance(order.get(key), str):
        raise ValueError(f"{key} (a text) is needed")
    return str(order[key])


def _content(seed: str, order: Json) -> Content:
    if "text" in order:
        return Literal(str(order["text"]).encode())
    size = int(order.get("size", 4096))
    if size < 0:
        raise ValueError("size is not negative")
    return Computed(seed, size)


def _append(item: Item, world: World, order: Json, **attributes: Any) -> Version:
    """One more version, like the last live one except for ``attributes``."""
    live = next((v for v in reversed(item.versions) if v.type != DELETED_VERSION), item.tip)
    number = item.tip.number + 1
    suffix = item.tip.id.rpartition("vf.")[2].partition("?")[0]
    now = stamp(item.parent.project, time.time())
    version = Version(
        ids.version_id(ids.realm_of(item.id), suffix, number), number, live.type, live.name,
        live.display_name, live.storage, live.listed_size, now, now, live.file_type,
        live.mime_type, _author(order, live.user), dict(live.data), live.web_view,
    )  # fmt: skip
    if "revisionDisplayLabel" in version.data:
        version.data["revisionDisplayLabel"] = str(number)
    for key, value in attributes.items():
        setattr(version, key, value)
    world.add_version(item, version)
    touch(item, order)
    return version


def _author(order: Json, last: tuple[str, str]) -> tuple[str, str]:
    """Who does it: ``user``; else whoever did it last, but Bob where that was Ada."""
    if "user" in order:
        user_id = str(order["user"])
        return user_id, str(order.get("user_name", rights.PEOPLE.get(user_id, "")))
    return rights.BOB if last[0] == rights.ADA[0] else last


def _new_version(world: World, node: Node, order: Json) -> Node:
    item: Item = _want(node, Item)
    if item.type.startswith("items:autodesk.fusion360:") and not {"size", "text"} & set(order):
        name = {"name": order["name"], "display_name": order["name"]} if "name" in order else {}
        _append(item, world, order, **name)  # a design: a version has no bytes of its own
        item.display_name = str(order.get("name", item.display_name))
        return item
    number = item.tip.number + 1
    content = _content(f"{item.id}@{number}", order)
    bucket = places(item.parent.project)[1]
    key = ids.guid(f"change {item.id}@{number}")
    ending = (item.tip.name or "").rpartition(".")[2]
    if ending.isalnum() and ending.isascii():
        key += f".{ending}"
    storage = Storage(ids.storage_id(bucket, key), content, modified_s=time.time())
    extra = {"name": order["name"], "display_name": order["name"]} if "name" in order else {}
    _append(item, world, order, storage=storage, listed_size=content.size, **extra)
    if "name" in order:
        item.display_name = str(order["name"])
    return item


def _replace_bytes(world: World, node: Node, order: Json) -> Node:
    """Other bytes, of the same length, in the object of the live version: against the rules of the
    service, where a storage id stands for its bytes. Nothing is touched that a listing shows."""
    item: Item = _want(node, Item)
    storage = item.tip.storage
    if storage is None:
        raise ValueError("the item has no stored object")
    storage.revision += 1
    storage.content = Computed(f"{storage.urn}~{storage.revision}", storage.content.size)
    storage.sha1 = None
    return item


def _rename(world: World, node: Node, order: Json) -> Node:
    """A file is renamed by a new version with the same bytes (facts 4.4)."""
    name = _text(order, "name")
    if isinstance(node, Item):
        _append(node, world, order, name=name, display_name=name)
        node.display_name = name
    else:
        node.name = name
        if isinstance(node, Folder):
            touch(node, order)
    return node


def _move(world: World, node: Node, order: Json) -> Node:
    moved: Folder | Item = _want(node, Folder, Item)
    key = "to"
    target: Folder = _want(_destination(world, _text(order, key)), Folder)
    if moved.parent is None or moved is target or moved in list(ancestors(target)):
        raise ValueError("a folder cannot be moved into itself, nor a root folder at all")
    touch(moved, order)  # The ancestors that lose it.
    moved.parent.children.remove(moved)
    target.children.append(moved)
    moved.parent = target
    touch(moved, order)
    return moved


def _destination(world: World, text: str) -> Node:
    return by_id(world, text) if text.startswith("urn:") else by_path(world, text)


def _hide(world: World, node: Node, order: Json) -> Node:
    """Deletion: an item gets a tombstone of a version whose name is a GUID (facts 4.4)."""
    hidden: Folder | Item = _want(node, Folder, Item)
    if isinstance(hidden, Item) and hidden.tip.type != DELETED_VERSION:
        tip = hidden.tip
        data = {"originalName": tip.name}
        name = ids.guid(f"deleted {tip.id}")
        _append(
            hidden, world, order, type=DELETED_VERSION, name=name, display_name=name,
            storage=None, listed_size=None, file_type=None, data=data,
        )  # fmt: skip
    else:
        touch(hidden, order)
    hidden.hidden = True
    return hidden


def _restore(world: World, node: Node, order: Json) -> Node:
    shown: Folder | Item = _want(node, Folder, Item)
    shown.hidden = False
    if isinstance(shown, Item) and shown.tip.type == DELETED_VERSION:
        _append(shown, world, order)
    else:
        touch(shown, order)
    return shown


def _delete_folder(world: World, node: Node, order: Json) -> Node:
    folder: Folder = _want(node, Folder)
    folder.hidden = True
    touch(folder, order)
    return folder


def _builder(world: World) -> Builder:
    """A builder whose labels and times do not meet those of the start."""
    return Builder(world, time.time, f"change {world.generation} {time.time_ns()}")


def _add_item(world: World, node: Node, order: Json) -> Node:
    folder: Folder = _want(node, Folder)
    before = (folder.modified_s, [each.rollup_s for each in (folder, *ancestors(folder))])
    builder = _builder(world)
    item = builder.item(folder, _text(order, "name"))
    item.user = _author(order, item.user)
    builder.version(item, _content(item.id, order))
    _settle(item, order, before)
    return item


def _add_folder(world: World, node: Node, order: Json) -> Node:
    parent = _want(node, Folder, Project)
    above: Folder = parent.root if isinstance(parent, Project) else parent
    before = (above.modified_s, [each.rollup_s for each in (above, *ancestors(above))])
    folder = _builder(world).folder(above, _text(order, "name"))
    if isinstance(parent, Project) and parent.top is not None:
        parent.top.append(folder)
    _settle(folder, order, before)
    return folder


def _settle(node: Folder | Item, order: Json, before: tuple[float, list[float]]) -> None:
    """Touch the ancestors of a new thing, or put their times back if that must be quiet."""
    above = list(ancestors(node))
    if order.get("quiet"):
        above[0].modified_s = before[0]
        for folder, rollup_s in zip(above, before[1], strict=True):
            folder.rollup_s = rollup_s
    else:
        touch(node, order)


def _add_project(world: World, node: Node, order: Json) -> Node:
    hub: Hub = _want(node, Hub)
    builder = _builder(world)
    project = builder.project(hub, _text(order, "name"))
    if hub.is_account:
        builder.folder(project, "Project Files")
    return project


def _revoke(world: World, node: Node, order: Json) -> Node:
    revoked = _want(node, Project, Folder, Item)
    revoked.revoked = order["op"] == "revoke"
    if not isinstance(revoked, Project):
        touch(revoked, order)
    result: Node = revoked
    return result


def _archive(world: World, node: Node, order: Json) -> Node:
    project: Project = _want(node, Project)
    project.active = order["op"] == "activate"
    project.lingers = bool(order.get("lingers"))
    return project


def _set_right(world: World, node: Node, order: Json) -> Node:
    if order["op"] in ("reserve", "unreserve"):
        item: Item = _want(node, Item)
        rights.set_lock(item, order)
        touch(item, order)
        return item
    folder: Folder = _want(node, Folder)
    if order["op"] == "level":
        rights.set_level(folder, order)
    elif order["op"] == "allow":
        rights.set_allowed(folder, order)
    else:
        rights.set_naming(folder, order)
    return folder


_OPS: dict[str, _Change] = {
    "new_version": _new_version,
    "replace_bytes": _replace_bytes,
    "rename": _rename,
    "move": _move,
    "hide": _hide,
    "restore": _restore,
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
