"""Folders, deletions, renames and copies, on the loop. DriveErrors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from dmfs.blocks.cache import Data
from dmfs.drive import Drive
from dmfs.errors import (
    BadNameError,
    ExistsError,
    IsADirectory,
    NameTakenError,
    NotFoundError,
    OtherFolderError,
)
from dmfs.jobs.writing.place import directory_at, node_at, parts_of, split, writing_of
from dmfs.model import Directory, File, Shortcut
from dmfs.names import is_aside, printable
from dmfs.spec.changing.target import Aside, begin
from dmfs.spec.reading import READ_BYTES, open_to_read
from dmfs.system.clock import wall_time_ns

Read = Callable[[int, int], Awaitable[tuple[Data, bool]]]


async def make_folder(drive: Drive, path: str, *, parents: bool, exist_ok: bool) -> None:
    """``parents``: also those above."""
    if exist_ok and not parts_of(path):
        return
    above, name = split(path)
    try:
        directory = await directory_at(drive, above)
    except NotFoundError:
        if not parents:
            raise
        await make_folder(drive, above, parents=True, exist_ok=True)
        directory = await directory_at(drive, above)
    try:
        await writing_of(drive).folders.make(directory, name)
    except (ExistsError, NameTakenError):
        if not exist_ok:
            raise
        await directory_at(drive, path)


async def directory_for(drive: Drive, path: str, *, parents: bool) -> tuple[Directory, str]:
    """The directory of a file to be made, and its name. ``parents``: make what is missing.
    BadNameError for a name that files have while they are written: it would stay unseen, and be
    let go of by the next process."""
    above, name = split(path)
    if is_aside(name):
        raise BadNameError(
            f"{printable(name)!r} is named as files are while they are being written",
            hint="choose another name",
        )
    try:
        return await directory_at(drive, above), name
    except NotFoundError:
        if not parents:
            raise
    await make_folder(drive, above, parents=True, exist_ok=True)
    return await directory_at(drive, above), name


async def remove_folder(drive: Drive, path: str) -> None:
    above, name = split(path)
    await writing_of(drive).folders.remove(await directory_at(drive, above), name)


async def remove(drive: Drive, paths: Sequence[str], *, folders: bool) -> None:
    """One after the other. IsADirectory for a directory, unless ``folders`` go too."""
    for path in paths:
        above, name = split(path)
        node = await node_at(drive, path)
        if isinstance(node, File | Shortcut):
            await writing_of(drive).unlink(await directory_at(drive, above), name)
        elif folders:
            await remove_folder(drive, path)
        else:
            raise IsADirectory(f"{printable(path)!r} is a directory", hint="recursive=True")


async def copy(drive: Drive, source: str, target: str, *, parents: bool) -> None:
    """A file of the drive as another one; a directory makes an empty one."""
    node = await node_at(drive, source)
    if not isinstance(node, File | Shortcut):
        await make_folder(drive, target, parents=True, exist_ok=True)
        return
    directory, name = await directory_for(drive, target, parents=parents)
    if not isinstance(node, File):
        raise IsADirectory(f"{printable(source)!r} has no bytes of its own to copy")
    reader = await open_to_read(drive, node)
    try:
        aside = await begin(drive, directory, name, exclusive=False)
        await fill(aside, reader.read)
    finally:
        reader.close()


async def fill(aside: Aside, read: Read, *, wait: bool = False) -> None:
    """All that ``read(offset, length)`` gives, then its name; nothing of it is left otherwise."""
    try:
        at = 0
        while True:
            data, _ = await read(at, READ_BYTES)
            if not len(data):
                break
            await aside.handle.write(at, data)
            at += len(data)
    except BaseException:
        await aside.discard()
        raise
    await aside.commit(wait=wait)


async def move(drive: Drive, source: str, target: str) -> None:
    """A rename; to another folder, where the service moves no file, a copy and a deletion. What
    stood at ``target`` is replaced; into a directory it goes under its own name."""
    writing = writing_of(drive)
    above, name = split(source)
    node = await node_at(drive, source)
    try:
        there = await node_at(drive, target)
    except NotFoundError:
        there = None
    if there is not None and not isinstance(there, File | Shortcut):
        target = f"{target.rstrip('/')}/{name}"
    directory = await directory_at(drive, above)
    goal, new = await directory_for(drive, target, parents=False)
    try:
        await writing.rename(directory, name, goal, new, replace=True)
    except OtherFolderError:
        if not isinstance(node, File):
            raise
        await writing.rights.require_delete(writing.overlay.view(directory), node)
        await copy(drive, source, target, parents=False)
        await writing.unlink(directory, name)


async def set_time_to_now(drive: Drive, path: str) -> None:
    node = await node_at(drive, path)
    if isinstance(node, File):
        await writing_of(drive).set_mtime(node, wall_time_ns())
