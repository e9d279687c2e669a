"""A directory of this machine as a project: hub ``Local``, project ``Local Project``.

What is there at the start is there, by name and size; bytes are read when they are asked for, so
that a directory of any size costs its names. Links and special files are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dmfs.emulator.world.builder import Builder
from dmfs.emulator.world.content import TILE_BYTES
from dmfs.emulator.world.model import Folder, World


class LocalFile:
    """The bytes of a file that stays as it is. OSError if it does not."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    @property
    def is_ready(self) -> bool:
        return True

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """In pieces of at most ``TILE_BYTES``; opened for as long as they are taken."""
        stop = min(stop, self._size)
        if start >= stop:
            return
        with self._path.open("rb", buffering=0) as file:
            file.seek(start)
            while start < stop:
                piece = file.read(min(TILE_BYTES, stop - start))
                if not piece:
                    raise OSError(f"{self._path} is shorter than it was")
                start += len(piece)
                yield memoryview(piece)


def add_directory(world: World, text: str) -> None:
    """Everything below a directory, under ``Project Files``; ValueError if that cannot be."""
    top = Path(text).expanduser()
    if not text or not top.is_dir():
        raise ValueError(f"{text!r} is no directory of this machine")
    build = Builder(world, prefix="local ")
    project = build.project(build.hub("Local", "bim360:Account"), "Local Project")
    try:
        _add(build, build.folder(project, "Project Files"), top)
    except OSError as error:
        raise ValueError(f"cannot read {error.filename}: {error.strerror}") from None


def _add(build: Builder, into: Folder, directory: Path) -> None:
    with os.scandir(directory) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"the name {entry.name!r} in {directory} is not UTF-8") from None
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            _add(build, build.folder(into, entry.name), path)
        elif entry.is_file(follow_symlinks=False):
            size = entry.stat(follow_symlinks=False).st_size
            build.file(into, entry.name, LocalFile(path, size))
