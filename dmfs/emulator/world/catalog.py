"""World specifications: ``sample``, ``history``, ``empty``, and benches joined by ``+``; last
``directory:PATH``."""

from __future__ import annotations

import re
from collections.abc import Callable

from dmfs.emulator.world.bench import Bench
from dmfs.emulator.world.local.directory import add_directory
from dmfs.emulator.world.model import World
from dmfs.emulator.world.sample.history import make_history
from dmfs.emulator.world.sample.hubs import make_sample

PARTS: dict[str, tuple[Callable[..., None], dict[str, int]]] = {
    "tree": (Bench.tree, {"folders": 265, "files": 3000, "depth": 6}),
    "levels": (
        Bench.levels,
        {"folders": 100, "files": 10000, "min": 1_000_000, "max": 60_000_000},
    ),
    "wide": (Bench.wide, {"items": 10000}),
    "models": (Bench.models, {"count": 200}),
    "small": (Bench.small, {"files": 1000, "min": 1024, "max": 40960}),
    "big": (Bench.big, {"size": 1 << 30, "count": 8, "zip": 0, "members": 256}),
    "relations": (Bench.relations, {}),
    "designs": (Bench.designs, {"count": 200, "versions": 1}),
}
"""Name → what adds it, and its parameters. ``--world`` of the command line names them all."""

_DIRECTORY = re.compile(r"(?:^|\+)directory:")
"""Its path may hold anything, a plus too: it ends the specification."""


def make_world(spec: str) -> World:
    """The world of a specification; ValueError says what is wrong with it."""
    world = World()
    if spec == "empty":
        return world
    head, *paths = _DIRECTORY.split(spec, maxsplit=1)
    parts = head.split("+") if head or not paths else []
    if "sample" in parts:
        make_sample(world)
        parts.remove("sample")
    if "history" in parts:
        make_history(world)
        parts.remove("history")
    bench = Bench(world) if parts else None
    for part in parts:
        name, _, text = part.partition(":")
        if name not in PARTS:
            known = ", ".join(("sample", "empty", *PARTS, "history", "directory"))
            raise ValueError(f"unknown world {name!r}, known are {known}")
        make, defaults = PARTS[name]
        make(bench, **_arguments(name, text, defaults))
    for path in paths:
        add_directory(world, path)
    world.note_rest()
    return world


def _arguments(name: str, text: str, defaults: dict[str, int]) -> dict[str, int]:
    arguments = dict(defaults)
    for pair in filter(None, text.split(",")):
        key, _, value = pair.partition("=")
        if key not in defaults:
            known = ", ".join(defaults)
            raise ValueError(f"{name} has no parameter {key!r}, only {known}")
        if not (value.isascii() and value.isdigit()):
            raise ValueError(f"{name}: {key} is a number, not {value!r}")
        arguments[key] = int(value)
    return {f"{key}_": value for key, value in arguments.items()}
