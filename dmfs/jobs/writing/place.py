"""What jobs that change something find first: what writes, and where."""

from __future__ import annotations

from dmfs.drive import Drive
from dmfs.errors import NotADirectory, SetupError, UsageError
from dmfs.model import Directory, File, Shortcut
from dmfs.write.writing import Writing


def writing_of(drive: Drive) -> Writing:
    """SetupError where a drive is for reading alone."""
    if drive.writing is None:
        raise SetupError("this drive is mounted to be read alone", hint="dmfs mount -o rw")
    return drive.writing


def split(path: str) -> tuple[str, str]:
    """The path of the directory, and the name in it. UsageError for the root."""
    parts = [part for part in path.split("/") if part and part != "."]
    if not parts:
        raise UsageError(f"{path!r} names the drive as a whole", hint="name a file or a folder")
    return "/" + "/".join(parts[:-1]), parts[-1]


async def directory_at(drive: Drive, path: str) -> Directory:
    """NotFoundError, NotADirectory."""
    node = await drive.resolve(path)
    if isinstance(node, File | Shortcut):
        raise NotADirectory(f"{path!r} is a file")
    return node
