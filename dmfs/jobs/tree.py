"""Paths and folders as jobs see them: what is known without a call, and a walk from the top."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

import trio

from dmfs.drive import Drive
from dmfs.errors import NotADirectory, NotFoundError
from dmfs.model import (
    SNAPSHOTS,
    Child,
    Directory,
    File,
    Listing,
    LiveDirectory,
    Node,
    Root,
    Shortcut,
    Snapshots,
)
from dmfs.names import check_name, printable
from dmfs.system.concurrency import bare_errors

AT_ONCE = 12
"""Folders under way: each of 0.1 s, that is more than the published rate allows."""

Ask = Callable[[Directory], Awaitable[Listing]]


class Place(NamedTuple):
    """A node and its path in the drive."""

    node: Node
    path: str


class DirectoryPlace(NamedTuple):
    """A directory and its path in the drive."""

    node: Directory
    path: str

    def below(self, name: str) -> str:
        """The path of an entry."""
        return f"{self.path.rstrip('/')}/{name}"


async def find(drive: Drive, path: str, ask: Ask | None = None) -> tuple[Place, DirectoryPlace]:
    """The node at a path, and the directory that it is in (of the root, itself).

    Goes by what is known, in memory or on disk, however old. ``ask`` lists a directory in which the
    next name is not known; without it there is no call. NotFoundError, NotADirectory.
    """
    here = Place(Root(), "/")
    above = DirectoryPlace(Root(), "/")
    for name in [piece for piece in path.split("/") if piece and piece != "."]:
        if isinstance(here.node, File | Shortcut):
            raise NotADirectory(
                f"{here.path!r} is a file, so there is no {printable(name)!r} in it"
            )
        check_name(name)
        above = DirectoryPlace(here.node, here.path)
        if isinstance(here.node, Root) and name == SNAPSHOTS:
            child: Child | None = Snapshots(here.node)
        else:
            child = await _child(drive, here.node, name, ask)
        if child is None:
            raise NotFoundError(
                f"there is no {printable(name)!r} in {printable(here.path)!r}"
                + ("" if ask else ", as far as this drive knows"),
                hint="check the spelling: dmfs ls shows what there is",
            )
        here = Place(child, above.below(name))
    return here, above


async def _child(drive: Drive, node: Directory, name: str, ask: Ask | None) -> Child | None:
    listings = drive.parts.listings
    known = await listings.recall(node)
    child = None if known is None else known.entries.get(name)
    if child is None and ask is not None and isinstance(node, LiveDirectory):
        child = (await ask(node)).entries.get(name)
    if child is None and ask is not None:
        return await listings.child(node, name)
    if child is None:
        return await listings.views.child(node, name, without_call=True)
    return child


async def find_directory(drive: Drive, path: str, ask: Ask) -> DirectoryPlace:
    """As ``find``: the directory itself, or the one that a file is in."""
    here, above = await find(drive, path, ask)
    return above if isinstance(here.node, File | Shortcut) else DirectoryPlace(here.node, here.path)


def folders_in(listing: Listing, at: DirectoryPlace) -> list[DirectoryPlace]:
    """The directories that a listing shows, in its order."""
    return [
        DirectoryPlace(node, at.below(name))
        for name, node in listing.entries.items()
        if not isinstance(node, File | Shortcut)
    ]


class Walk:
    """Visits directories from the top, each once, some at a time; what is deepest goes first, so
    that little waits."""

    def __init__(self, tops: Iterable[DirectoryPlace]) -> None:
        self._waiting: list[DirectoryPlace] = []
        self._seen: set[str] = set()
        self._busy = 0
        self._changed = trio.lowlevel.ParkingLot()
        self._add([*tops])

    @property
    def known(self) -> int:
        """Directories seen so far."""
        return len(self._seen)

    async def run(
        self, visit: Callable[[DirectoryPlace], Awaitable[Sequence[DirectoryPlace]]]
    ) -> None:
        """``visit`` returns what lies below. Its first error ends the walk, and is raised bare."""
        with bare_errors():
            async with trio.open_nursery() as nursery:
                for _ in range(AT_ONCE):
                    nursery.start_soon(self._work, visit)

    async def _work(
        self, visit: Callable[[DirectoryPlace], Awaitable[Sequence[DirectoryPlace]]]
    ) -> None:
        while True:
            if self._waiting:
                self._busy += 1
                self._add(await visit(self._waiting.pop()))
                self._busy -= 1
                self._changed.unpark_all()
            elif self._busy:
                await self._changed.park()
            else:
                return

    def _add(self, places: Sequence[DirectoryPlace]) -> None:
        for place in reversed(places):
            if place.node.identity not in self._seen:
                self._seen.add(place.node.identity)
                self._waiting.append(place)
