"""Mountpoints and profiles of this machine. No mountpoint is looked at: that may hang."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

from dmfs.system.mountinfo import FILESYSTEM, mount_table

CONFIG_MAX_BYTES = 1024 * 1024


def mountpoints() -> list[str]:
    """Of the drives that this user may ask."""
    me = os.getuid()
    return sorted(
        row.mountpoint for row in mount_table() if row.kind == FILESYSTEM and me in (0, row.owner)
    )


def spelled_like(typed: str, paths: list[str], home: str, directory: str) -> Iterator[str]:
    """The paths that what is typed may become, in its own spelling (``~/…``, relative)."""
    for path in paths:
        for form in _forms(path, typed, home, directory):
            if form.startswith(typed):
                yield form
                break


def _forms(path: str, typed: str, home: str, directory: str) -> Iterator[str]:
    if typed.startswith("~") and _is_below(path, home):
        yield "~" + path[len(home) :]
    yield path
    if _is_below(path, directory) and path != directory:
        inner = path[len(directory.rstrip("/")) + 1 :]
        yield inner
        yield f"./{inner}"


def is_in_mount(typed: str, mounts: list[str], home: str, directory: str) -> bool:
    """Whether what is typed lies below one of the mountpoints."""
    path = _absolute(typed, home, directory)
    return any(_is_below(path, each) for each in mounts)


def steps_to(typed: str, mounts: list[str], home: str, directory: str) -> Iterator[str]:
    """The next directory on the way to each mountpoint, with a slash at its end."""
    for form in spelled_like(typed, mounts, home, directory):
        end = form.find("/", len(typed))
        yield f"{form[:end]}/" if end >= 0 else f"{form}/"


def _absolute(typed: str, home: str, directory: str) -> str:
    if typed == "~" or typed.startswith("~/"):
        typed = home + typed[1:]
    return os.path.normpath(os.path.join(directory, typed))  # noqa: PTH118 - no link is resolved


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def profiles(config: Path, state_dir: Path) -> list[str]:
    """Those of the configuration, and those that have signed in."""
    found = {"default"}
    try:
        with config.open("rb") as file:
            table = tomllib.loads(file.read(CONFIG_MAX_BYTES).decode("utf-8-sig")).get("profiles")
        found |= set(table) if isinstance(table, dict) else set()
    except (OSError, ValueError):
        pass  # a command says what is wrong with it
    try:
        found |= {each.stem for each in (state_dir / "tokens").glob("*.json")}
    except OSError:
        pass
    return sorted(found)
