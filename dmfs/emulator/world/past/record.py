"""Reading the record: how a thing was at a moment, and when its versions were made."""

from __future__ import annotations

from bisect import bisect_right

from dmfs.emulator.world import times
from dmfs.emulator.world.changing.finding import Node
from dmfs.emulator.world.model import Item, Noted, Version, World

_DOUBT_S = 1.5
"""``a.`` projects tell whole seconds; what is further off was not told as it was."""


def at(world: World, node: Node, at_s: float) -> Noted | None:
    """How it was then; None before it was made."""
    rows = world.past[node.id]
    index = bisect_right(rows, at_s, key=lambda row: row.at_s)
    return rows[index - 1] if index else None


def version_moments(world: World, item: Item) -> list[tuple[float, Version]]:
    """Each version, oldest first, and when it was made."""
    found: list[tuple[float, Version]] = []
    for row in world.past[item.id]:
        if row.tip is not None and all(row.tip is not version for _, version in found[-1:]):
            found.append((row.at_s, row.tip))
    return found


def is_served(moment_s: float, text: str | None) -> bool:
    """Whether a time that the service answers is that moment."""
    try:
        return abs(times.parsed(text) - moment_s) < _DOUBT_S
    except ValueError:
        return False
