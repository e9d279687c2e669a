"""Orders about designs: many at once, in a folder."""

from __future__ import annotations

import time
from collections.abc import Callable

from dmfs.emulator.world import changes, facts
from dmfs.emulator.world.builder import Builder
from dmfs.emulator.world.designs import making
from dmfs.emulator.world.model import Folder, Json, World


def _add_designs(world: World, order: Json) -> Json:
    folder = changes.node_of(world, order)
    if not isinstance(folder, Folder):
        raise ValueError("designs are added to a folder")
    build = Builder(world, time.time, f"designs {world.generation} {time.time_ns()}")
    made = making.add_many(build, folder, order)
    changes.touch(made[-1], order)
    return facts.folder(folder)


OPS: dict[str, Callable[[World, Json], Json]] = {"add_designs": _add_designs}


def apply(world: World, order: Json) -> Json:
    """Carry out one of ``OPS``; the new raw facts. LookupError, ValueError if it makes no sense."""
    result = OPS[str(order["op"])](world, order)
    world.generation += 1
    return result
