"""Changes of files, each a new version: uploads, renames, deletions, restoring, promoting."""

from __future__ import annotations

from typing import Any

from dmfs.emulator.world import ids, rights
from dmfs.emulator.world.builder import places, stamp
from dmfs.emulator.world.changing.finding import Node, text, want
from dmfs.emulator.world.changing.moments import moment_s, touch
from dmfs.emulator.world.content import Computed, Content, Literal
from dmfs.emulator.world.model import (
    DELETED_VERSION,
    Folder,
    Item,
    Json,
    Storage,
    Version,
    World,
)


def content_of(seed: str, order: Json) -> Content:
    """``text``, or as many computed bytes as ``size``."""
    if "text" in order:
        return Literal(str(order["text"]).encode())
    size = int(order.get("size", 4096))
    if size < 0:
        raise ValueError("size is not negative")
    return Computed(seed, size)


def data_of(order: Json) -> Json:
    """``data``: what an order has for ``extension.data``."""
    data = order.get("data", {})
    if not isinstance(data, dict):
        raise ValueError("data is an object")
    return data


def append(item: Item, world: World, order: Json, **attributes: Any) -> Version:
    """One more version, like the last live one except for ``attributes``."""
    live = next((v for v in reversed(item.versions) if v.type != DELETED_VERSION), item.tip)
    number = item.tip.number + 1
    suffix = item.tip.id.rpartition("vf.")[2].partition("?")[0]
    now = stamp(item.parent.project, moment_s(order))
    version = Version(
        ids.version_id(ids.realm_of(item.id), suffix, number), number, live.type, live.name,
        live.display_name, live.storage, live.listed_size, now, now, live.file_type,
        live.mime_type, author(order, live.user), dict(live.data), live.web_view,
    )  # fmt: skip
    if "revisionDisplayLabel" in version.data:
        version.data["revisionDisplayLabel"] = str(number)
    for key, value in attributes.items():
        setattr(version, key, value)
    world.add_version(item, version)
    touch(item, order)
    return version


def author(order: Json, last: tuple[str, str]) -> tuple[str, str]:
    """Who does it: ``user``; else whoever did it last, but Bob where that was Ada."""
    if "user" in order:
        user_id = str(order["user"])
        return user_id, str(order.get("user_name", rights.PEOPLE.get(user_id, "")))
    return rights.BOB if last[0] == rights.ADA[0] else last


def new_version(world: World, node: Node, order: Json) -> Node:
    """Other bytes; ``no_bytes``: a version of a design, or of a model before its publication."""
    item: Item = want(node, Item)
    extra: Json = {"name": order["name"], "display_name": order["name"]} if "name" in order else {}
    is_design = item.type.startswith("items:autodesk.fusion360:")
    if order.get("no_bytes") or (is_design and not {"size", "text"} & set(order)):
        version = append(item, world, order, storage=None, listed_size=None, **extra)
    else:
        storage = _object(item, order)
        size = storage.content.size
        version = append(item, world, order, storage=storage, listed_size=size, **extra)
        version.file_type = version.file_type or _ending(item) or None
    version.data |= data_of(order)
    if "name" in order:
        item.display_name = str(order["name"])
    return item


def _ending(item: Item) -> str:
    ending = (item.tip.name or "").rpartition(".")[2]
    return ending if ending.isalnum() and ending.isascii() else ""


def _object(item: Item, order: Json) -> Storage:
    number = item.tip.number + 1
    content = content_of(f"{item.id}@{number}", order)
    key, ending = ids.guid(f"change {item.id}@{number}"), _ending(item)
    urn = ids.storage_id(places(item.parent.project)[1], f"{key}.{ending}" if ending else key)
    return Storage(urn, content, modified_s=moment_s(order))


def promote(world: World, node: Node, order: Json) -> Node:
    """``number`` made current: a new version with the bytes, the name and the label of that one."""
    item: Item = want(node, Item)
    number = order.get("number")
    old = next((each for each in item.versions if each.number == number), None)
    if old is None or old.type == DELETED_VERSION or item.hidden:
        raise ValueError(f"number is a version of a file that is there, not {number!r}")
    append(
        item, world, order, name=old.name, display_name=old.display_name, storage=old.storage,
        listed_size=old.listed_size, file_type=old.file_type, data=dict(old.data),
    )  # fmt: skip
    item.display_name = old.display_name
    return item


def replace_bytes(world: World, node: Node, order: Json) -> Node:
    """Other bytes, of the same length, in the object of the live version: against the rules of the
    service, where a storage id stands for its bytes. Nothing is touched that a listing shows."""
    item: Item = want(node, Item)
    storage = item.tip.storage
    if storage is None:
        raise ValueError("the item has no stored object")
    storage.revision += 1
    storage.content = Computed(f"{storage.urn}~{storage.revision}", storage.content.size)
    storage.sha1 = None
    return item


def rename(world: World, node: Node, order: Json) -> Node:
    """A file is renamed by a new version with the same bytes (facts 4.4)."""
    name = text(order, "name")
    if isinstance(node, Item):
        append(node, world, order, name=name, display_name=name)
        node.display_name = name
    else:
        node.name = name
        if isinstance(node, Folder):
            touch(node, order)
    return node


def hide(world: World, node: Node, order: Json) -> Node:
    """Deletion: an item gets a tombstone of a version whose name is a GUID (facts 4.4)."""
    hidden: Folder | Item = want(node, Folder, Item)
    if isinstance(hidden, Item) and hidden.tip.type != DELETED_VERSION:
        tip = hidden.tip
        data = {"originalName": tip.name}
        name = ids.guid(f"deleted {tip.id}")
        append(
            hidden, world, order, type=DELETED_VERSION, name=name, display_name=name,
            storage=None, listed_size=None, file_type=None, data=data,
        )  # fmt: skip
    else:
        touch(hidden, order)
    hidden.hidden = True
    return hidden


def restore(world: World, node: Node, order: Json) -> Node:
    """A deleted file: by a new version like its last live one."""
    shown: Folder | Item = want(node, Folder, Item)
    shown.hidden = False
    if isinstance(shown, Item) and shown.tip.type == DELETED_VERSION:
        append(shown, world, order)
    else:
        touch(shown, order)
    return shown
