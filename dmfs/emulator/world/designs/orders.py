"""Orders about designs, references and cloud models."""

from __future__ import annotations

import time
from collections.abc import Callable

from dmfs.emulator.world import facts
from dmfs.emulator.world.builder import Builder
from dmfs.emulator.world.changing.finding import Node, find
from dmfs.emulator.world.changing.moments import touch
from dmfs.emulator.world.designs import making
from dmfs.emulator.world.designs.relations import add_relations
from dmfs.emulator.world.model import End, Folder, Item, Json, Ref, World

REF_TYPES = {
    "xrefs": Ref.XREF,
    "derived": "derived:autodesk.bim360:FileToDocument",
    "auxiliary": "auxiliary:autodesk.core:Attachment",
    "dependencies": "dependencies:autodesk.core:Dependency",
    "includes": "includes:autodesk.core:Include",
}
"""Kinds of references, and the extension type of each; the last two are made up."""
PUBLISH_STATES = ("published", "waiting", "publishing", "failed")


def _builder(world: World) -> Builder:
    return Builder(world, time.time, f"designs {world.generation} {time.time_ns()}")


def _subject(world: World, order: Json) -> Node:
    return find(world, order, "id", "path")


def _add_designs(world: World, order: Json) -> Json:
    folder = _subject(world, order)
    if not isinstance(folder, Folder):
        raise ValueError("designs are added to a folder")
    made = making.add_many(_builder(world), folder, order)
    touch(made[-1], order)
    return facts.folder(folder)


def _add_relations(world: World, order: Json) -> Json:
    folder = _subject(world, order)
    if not isinstance(folder, Folder):
        raise ValueError("relations are added to a folder")
    add_relations(_builder(world), folder)
    touch(folder, order)
    return facts.folder(folder)


def _add_ref(world: World, order: Json) -> Json:
    """Data flow from what it ``uses`` to what the order is about."""
    kind = str(order.get("ref_type", "xrefs"))
    if kind not in REF_TYPES:
        raise ValueError(f"ref_type is one of {', '.join(REF_TYPES)}, not {kind!r}")
    if not isinstance(order.get("uses"), str):
        raise ValueError("uses (an id or a path) is needed")
    follows = bool(order.get("follows"))
    used = order["uses"]
    source = _end(world, {"id" if used.startswith("urn:") else "path": used}, follows)
    target = _end(world, order, follows)
    data = {"nestedType": str(order.get("nested", "attachment"))} if kind == "xrefs" else {}
    version = "1.1.0" if kind == "xrefs" else "1.0"
    world.refs.append(Ref(kind, source, target, REF_TYPES[kind], version, data))
    return {"from": source.id, "to": target.id, "refType": kind}


def _end(world: World, order: Json, follows: bool) -> End:
    """A version by its own id, the tip of an item, or a folder."""
    node = _subject(world, order)
    if isinstance(node, Item):
        version = world.versions[order["id"]][1] if order.get("id") in world.versions else node.tip
        return End(node, version, follows)
    if not isinstance(node, Folder):
        raise ValueError("references are between files and folders")
    return End(node)


def _remove_refs(world: World, order: Json) -> Json:
    node = _subject(world, order)
    before = len(world.refs)
    world.refs[:] = [ref for ref in world.refs if node not in (ref.source.node, ref.target.node)]
    return {"removed": before - len(world.refs)}


def _publish_state(world: World, order: Json) -> Json:
    node, state = _subject(world, order), order.get("state")
    if not isinstance(node, Item) or state not in PUBLISH_STATES:
        raise ValueError(f"state (of an item) is one of {', '.join(PUBLISH_STATES)}")
    node.publish_state = state
    return facts.item(node)


OPS: dict[str, Callable[[World, Json], Json]] = {
    "add_designs": _add_designs,
    "add_relations": _add_relations,
    "add_ref": _add_ref,
    "remove_refs": _remove_refs,
    "publish_state": _publish_state,
}


def apply(world: World, order: Json) -> Json:
    """Carry out one of ``OPS``; the new raw facts. LookupError, ValueError if it makes no sense."""
    result = OPS[str(order["op"])](world, order)
    world.generation += 1
    return result
