"""Single changes of names, on the loop. DriveErrors of the drive."""

from __future__ import annotations

from collections.abc import Callable

from dmfs.drive import Drive
from dmfs.errors import (
    DriveError,
    ExistsError,
    IsADirectory,
    NotADirectory,
    NotFoundError,
)
from dmfs.jobs.writing.place import can_change, directory_at, node_at, split, writing_of
from dmfs.model import Directory, File, Shortcut
from dmfs.names import printable
from dmfs.spec.reading import READ_BYTES, open_leaf
from dmfs.system.clock import wall_time_ns
from dmfs.write.care.putting import put, put_whole
from dmfs.write.handle import Handle


async def place_of(drive: Drive, path: str, *, parents: bool = False) -> tuple[Directory, str]:
    """The directory in which a name is, and the name. ``parents``: make what is missing."""
    writing_of(drive)
    above, name = split(path)
    try:
        return await directory_at(drive, above), name
    except NotFoundError:
        if not parents:
            raise
        await make_directory(drive, above, parents=True, exist_ok=True)
        return await directory_at(drive, above), name


async def make_directory(drive: Drive, path: str, *, parents: bool, exist_ok: bool) -> None:
    """mkdir(2), with what is above it if ``parents``. ExistsError."""
    if path == "/":
        if not exist_ok:
            raise ExistsError("'/' is there already")
        return
    directory, name = await place_of(drive, path, parents=parents)
    try:
        await writing_of(drive).folders.make(directory, name)
    except ExistsError:
        if not exist_ok:
            raise
        if isinstance(await node_at(drive, path), File | Shortcut):
            raise NotADirectory(f"{path!r} is a file") from None


async def remove_directory(drive: Drive, path: str) -> None:
    """rmdir(2): NotEmptyError."""
    directory, name = await place_of(drive, path)
    await writing_of(drive).folders.remove(directory, name)


async def remove_file(drive: Drive, path: str) -> None:
    """unlink(2)."""
    directory, name = await place_of(drive, path)
    await writing_of(drive).unlink(directory, name)


async def rename(drive: Drive, old: str, new: str) -> None:
    """rename(2); a file that is at ``new`` is replaced. OtherFolderError to another folder, where
    the service cannot do that: copy and delete, then."""
    directory, name = await place_of(drive, old)
    target, other = await place_of(drive, new, parents=True)
    await writing_of(drive).rename(directory, name, target, other, replace=True)


async def touch(drive: Drive, path: str, *, truncate: bool) -> None:
    """An empty file; ``truncate`` empties one that is there, else it has the time of now."""
    directory, name = await place_of(drive, path, parents=True)
    writing = writing_of(drive)
    found = await writing.child(directory, name)
    if found is None:
        await writing.make_empty(directory, name)
    elif not isinstance(found, File):
        raise IsADirectory(f"{path!r} is no file that can be written")
    elif truncate:
        await writing.truncate(found, (directory, name), 0)
    else:
        await writing.set_mtime(found, wall_time_ns())


async def require_absent(drive: Drive, path: str) -> None:
    """ExistsError."""
    try:
        await node_at(drive, path)
    except NotFoundError:
        return
    raise ExistsError(f"there is a {printable(path)!r} already")


async def save(drive: Drive, path: str, data: bytes, *, anew: bool = False) -> None:
    """Bytes become a file, as a whole. ``anew``: ExistsError if one is there."""

    async def fill(handle: Handle) -> None:
        if data:
            await handle.write(0, data)

    if anew:
        await require_absent(drive, path)
    directory, name = await place_of(drive, path, parents=True)
    await put_whole(writing_of(drive), directory, name, fill)


async def copy(drive: Drive, source: str, target: str) -> None:
    """A file of the drive becomes another one, or its next version; of a directory its like."""
    node = await node_at(drive, source)
    if not isinstance(node, File | Shortcut):
        can_change(node, source)
        await make_directory(drive, target, parents=True, exist_ok=True)
        return
    if source == target:
        return
    directory, name = await place_of(drive, target, parents=True)
    reader = await open_leaf(drive, node)

    async def fill(handle: Handle) -> None:
        position = 0
        while position < reader.size_bytes:
            data, _ = await reader.read(position, READ_BYTES)
            if not len(data):
                raise DriveError(f"{printable(source)!r} has become shorter meanwhile")
            await handle.write(position, data)
            position += len(data)

    try:
        await put_whole(writing_of(drive), directory, name, fill)
    finally:
        reader.close()


async def save_descriptor(
    drive: Drive, path: str, descriptor: int, *, anew: bool, on_bytes: Callable[[int], object]
) -> None:
    """A file of this machine, as ``save``. OSError if it cannot be read."""

    async def copied(done: int, _: int) -> None:
        on_bytes(done)

    if anew:
        await require_absent(drive, path)
    directory, name = await place_of(drive, path, parents=True)
    await put(writing_of(drive), descriptor, directory, name, copied)
