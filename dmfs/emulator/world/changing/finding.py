"""What an order is about: by id or by a path of raw names."""

from __future__ import annotations

from typing import Any

from dmfs.emulator.world.model import Folder, Hub, Item, Json, Project, World, name_of

Node = Hub | Project | Folder | Item


def find(world: World, order: Json, id_key: str, path_key: str) -> Node:
    """What the order names by one of the keys; LookupError, ValueError if it names nothing."""
    if id_key in order:
        return by_id(world, str(order[id_key]))
    if path_key in order:
        return by_path(world, str(order[path_key]))
    raise ValueError(f"{id_key} or {path_key} is needed")


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
    return name_of(node) if isinstance(node, Item) else node.name


def _below(node: Node) -> list[Node]:
    if isinstance(node, Hub):
        return list(node.projects)
    if isinstance(node, Project):
        seen = [*node.top_folders, *node.root.children]
        return list(dict.fromkeys(seen))
    return list(node.children) if isinstance(node, Folder) else []


def destination(world: World, text: str) -> Node:
    return by_id(world, text) if text.startswith("urn:") else by_path(world, text)


def want(node: Node, *kinds: type) -> Any:
    """The node, if it is of one of these kinds; else ValueError."""
    if not isinstance(node, kinds):
        names = " or ".join(kind.__name__.lower() for kind in kinds)
        raise ValueError(f"this change needs a {names}, not a {type(node).__name__.lower()}")
    return node


def text(order: Json, key: str) -> str:
    """A text of an order; ValueError if there is none."""
    if not isinstance(order.get(key), str):
        raise ValueError(f"{key} (a text) is needed")
    return str(order[key])
