"""What jobs that change something find first: what writes, and where."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from dmfs.drive import Drive
from dmfs.errors import (
    DriveError,
    NotADirectory,
    NotFoundError,
    ReadOnlyError,
    SetupError,
    UsageError,
)
from dmfs.model import Directory, File, Node, Root, Shortcut, View
from dmfs.write.writing import COPY_IT, Writing


def writing_of(drive: Drive) -> Writing:
    """SetupError where a drive is for reading alone."""
    if drive.writing is None:
        raise SetupError("this drive is mounted read-only", hint="dmfs mount -o rw")
    return drive.writing


def split(path: str) -> tuple[str, str]:
    """The path of the directory, and the name in it. UsageError for the root."""
    parts = parts_of(path)
    if not parts:
        raise UsageError(f"{path!r} names the drive as a whole", hint="name a file or a folder")
    return "/" + "/".join(parts[:-1]), parts[-1]


async def node_at(drive: Drive, path: str) -> Node:
    """The node at a path. What a listing does not show that may be old is looked for again.
    NotFoundError."""
    listings = drive.parts.listings
    try:
        return await drive.resolve(path)
    except NotFoundError:
        node: Node = Root()
        for name in parts_of(path):
            if isinstance(node, File | Shortcut):
                break
            child = (await listings.get(node)).entries.get(name)
            if child is None:
                await listings.list_again(node)
                break
            node = child
    return await drive.resolve(path)


async def directory_at(drive: Drive, path: str) -> Directory:
    """NotFoundError, NotADirectory; ReadOnlyError for one of the past."""
    node = await node_at(drive, path)
    if isinstance(node, File | Shortcut):
        raise NotADirectory(f"{path!r} is a file")
    return can_change(node, path)


def can_change(node: Directory, path: str) -> Directory:
    """ReadOnlyError for a directory of old versions."""
    if isinstance(node, View):
        raise ReadOnlyError(f"{path!r} is made of old versions", hint=COPY_IT)
    return node


async def fresh(drive: Drive, directory: Directory) -> None:
    """List a directory again: before something is made there, so that it is known what is there;
    and after it, so that the next command knows."""
    await drive.parts.listings.list_again(directory)


async def fresh_after(drive: Drive, directories: Iterable[Directory]) -> None:
    """As ``fresh``; where that fails, what was done is done all the same."""
    for directory in directories:
        with suppress(DriveError):
            await fresh(drive, directory)


def parts_of(path: str) -> list[str]:
    return [part for part in path.split("/") if part and part != "."]
