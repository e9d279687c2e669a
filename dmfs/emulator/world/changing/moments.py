"""When a change happens: now, or ``at`` a moment of the past; and the times that it moves."""

from __future__ import annotations

import time

from dmfs.emulator.world import times
from dmfs.emulator.world.builder import stamp
from dmfs.emulator.world.changing.finding import Node
from dmfs.emulator.world.model import Folder, Item, Json, World, ancestors

_NEW = frozenset({"add_item", "add_folder", "add_project"})


def timed(world: World, node: Node, order: Json) -> Json:
    """The order with its moment. ValueError for an ``at`` that lies in the future or before the
    thing's last change (of what is put into a folder: before that was made)."""
    if "at" not in order:
        return order | {"moment_s": time.time()}
    at_s = times.exact(times.parsed(order["at"]))
    if at_s > time.time():
        raise ValueError(f"at lies in the future: {order['at']!r}")
    rows = world.past[node.id]
    last_s = rows[0 if order.get("op") in _NEW else -1].at_s
    if at_s < last_s:
        raise ValueError(f"at is before its last change ({times.seven_digits(last_s)})")
    return order | {"moment_s": at_s}


def moment_s(order: Json) -> float:
    """Seconds since the epoch."""
    return float(order.get("moment_s", time.time()))


def touch(node: Folder | Item, order: Json) -> None:
    """The times of a thing, of its folder, and the rollups above.

    A change of the past moves none of a folder's times back.
    """
    if order.get("quiet"):
        return
    now_s = moment_s(order)

    def later(time_s: float) -> float:
        return max(time_s, now_s) if "at" in order else now_s

    if isinstance(node, Folder):
        node.modified_s, node.rollup_s = later(node.modified_s), later(node.rollup_s)
    else:
        node.modified_time = stamp(node.parent.project, now_s)
    above = list(ancestors(node))
    for folder in above[:1]:
        folder.modified_s = later(folder.modified_s)
    for folder in above:
        folder.rollup_s = later(folder.rollup_s)
