"""Names, on the loop: one, all of a directory, all below one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import trio

from dmfs.drive import Drive
from dmfs.errors import BadResponseError, DriveError, NotFoundError
from dmfs.model import Child, Directory, File, Node, Shortcut, WrittenFile
from dmfs.names import is_aside
from dmfs.spec.facts import joined
from dmfs.spec.known.memory import Memory
from dmfs.spec.oserrors import as_oserror
from dmfs.system.concurrency import gather

LISTED_AT_ONCE = 12
"""Directories of one ``find``: 300 listings a minute are allowed to all users of an app."""


async def resolved(drive: Drive, memory: Memory, path: str) -> Node:
    """What a path means: as the program saw it that this object comes from, if it did."""
    known = memory.node(path)
    if known is not None:
        return known
    node = await drive.resolve(path)
    memory.used(path if not isinstance(node, File | Shortcut) else path.rpartition("/")[0])
    return node


async def entries_of(
    drive: Drive, memory: Memory, directory: Directory, path: str, *, ahead: bool = False
) -> Mapping[str, Child]:
    """All entries. BadResponseError if some cannot be told: a shorter list would look whole.
    ``ahead``: list ahead of a walk, if this seems to be one."""
    known = memory.entries(directory, path)
    if known is not None:
        return known
    listing = await (drive.list(directory) if ahead else drive.prepare(directory))
    if listing.lost:
        raise BadResponseError(f"cannot list {path!r} to the end: {listing.lost} entries are lost")
    memory.used(path)
    if drive.writing is not None:
        entries = listing.entries.items()
        return {
            name: each
            for name, each in entries
            if not (is_aside(name) and isinstance(each, WrittenFile))
        }
    return listing.entries


async def found_below(
    drive: Drive, memory: Memory, top: Directory, path: str, depth_max: int | None,
    on_error: Callable[[OSError], object] | None = None,
) -> dict[str, Node]:  # fmt: skip
    """Everything below a directory by its path, ``depth_max`` levels deep. DriveError if any
    directory cannot be listed, unless ``on_error`` takes it; one that is gone meanwhile is left
    out."""
    found: dict[str, Node] = {}
    slots = trio.CapacityLimiter(LISTED_AT_ONCE)
    level: list[tuple[str, Directory]] = [(path, top)]

    async def one(at: str, directory: Directory, below: list[tuple[str, Directory]]) -> None:
        async with slots:
            try:
                entries = await entries_of(drive, memory, directory, at)
            except NotFoundError:
                if directory is top:
                    raise
                return
            except DriveError as error:
                if on_error is None:
                    raise
                on_error(as_oserror(error, at))
                return
        for name, child in entries.items():
            where = joined(at, name)
            found[where] = child
            if not isinstance(child, File | Shortcut):
                below.append((where, child))

    depth = 0
    while level and (depth_max is None or depth < depth_max):
        depth += 1
        below: list[tuple[str, Directory]] = []
        await gather([partial(one, *each, below) for each in level])
        level = below
    return found
