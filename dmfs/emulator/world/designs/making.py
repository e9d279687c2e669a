"""Making designs: items of Fusion, which have no bytes of their own."""

from __future__ import annotations

from dmfs.emulator.world.builder import Builder
from dmfs.emulator.world.model import Folder, Item, Json

KINDS = {"Design": "f3d", "Drawing": "f2d"}
"""Kinds of Fusion's items, and what file type each says."""
_COUNT_MAX = 10_000


def add(build: Builder, folder: Folder, name: str, kind: str, versions: int) -> Item:
    """One design or drawing without bytes; its name has no ending."""
    item = build.item(folder, name, type_=f"fusion360:{kind}")
    for _ in range(versions):
        build.version(item, None, file_type=KINDS[kind])
    return item


def add_many(build: Builder, folder: Folder, order: Json) -> list[Item]:
    """``count`` of them, ``Part 001`` …; ValueError says what makes no sense."""
    kind, name = str(order.get("kind", "Design")), str(order.get("name", "Part"))
    count, versions = int(order.get("count", 1)), int(order.get("versions", 1))
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    if not 1 <= count <= _COUNT_MAX or not 1 <= versions <= _COUNT_MAX:
        raise ValueError(f"count and versions are from 1 to {_COUNT_MAX}")
    names = [f"{name} {number:03d}" for number in range(1, count + 1)]
    return [add(build, folder, each, kind, versions) for each in names]
