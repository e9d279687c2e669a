"""An open file of the drive as Python's io has it."""

from __future__ import annotations

import io
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from dmfs.blocks.reader import AnyReader
from dmfs.drive import Drive
from dmfs.model import Leaf
from dmfs.spec.reading import open_to_read, read_into, read_range
from dmfs.spec.room import check_room

BUFFER_BYTES = 128 * 1024
"""Small reads are served from here: a read that goes to the loop takes some 100 µs."""


Run = Callable[[Callable[[Drive], Awaitable[Any]], str], Any]
"""Runs work with the drive of this process, and waits for it; the path is for its errors."""


class RawFile(io.RawIOBase):
    """Reads go to the loop, whose planner reads ahead and whose blocks are the only cache.

    A file that a forked child inherits reads on there, through the drive of the child: what the
    parent opened lives on the parent's loop.
    """

    def __init__(self, leaf: Leaf, path: str, run: Run) -> None:
        """OSError if it cannot be opened."""
        super().__init__()
        self._leaf = leaf
        self._path = path
        self._run = run
        self._position = 0
        self._opened: tuple[Drive, AnyReader] | None = None
        self.size_bytes: int = run(self._size_bytes, path)

    async def _reader(self, drive: Drive) -> AnyReader:
        """Of this process's drive. On its loop."""
        if self._opened is None or self._opened[0] is not drive:
            reader = await open_to_read(drive, self._leaf)
            if self._opened is not None and self._opened[0] is drive:
                reader.close()  # another thread was faster
            else:
                self._opened = drive, reader
        return self._opened[1]

    async def _size_bytes(self, drive: Drive) -> int:
        return (await self._reader(drive)).size_bytes

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._check()
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size_bytes}
        if whence not in base:
            raise ValueError(f"seek by {whence}: 0, 1 and 2 are known")
        position = base[whence] + offset
        if position < 0:
            raise ValueError(f"seek before the start of {self._path}")
        self._position = position
        return position

    def readinto(self, buffer: Any) -> int:
        self._check()
        target = memoryview(buffer).cast("B")
        wanted = min(len(target), max(0, self.size_bytes - self._position))
        if not wanted:
            return 0
        start = self._position

        async def read(drive: Drive) -> int:
            return await read_into(await self._reader(drive), start, target[:wanted])

        done: int = self._run(read, self._path)
        self._position += done
        return done

    def readall(self) -> bytes:
        self._check()
        start, stop = self._position, max(self._position, self.size_bytes)

        async def read(drive: Drive) -> bytes:
            await check_room(stop - start, f"{self._path!r}")
            return await read_range(await self._reader(drive), start, stop)

        data: bytes = self._run(read, self._path)
        self._position += len(data)
        return data

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self._opened is not None and not sys.is_finalizing():
                self._run(self._close, self._path)

    async def _close(self, drive: Drive) -> None:
        if self._opened is not None and self._opened[0] is drive:
            self._opened[1].close()
        self._opened = None

    def _check(self) -> None:
        if self.closed:
            raise ValueError(f"{self._path} is closed")


class OpenFile(io.BufferedReader):
    """What ``open`` gives: buffered, with fsspec's attributes. Pickled it opens the same version
    again, at the same position."""

    def __init__(self, raw: RawFile, fs: Any, path: str, details: dict[str, Any]) -> None:
        super().__init__(raw, BUFFER_BYTES)
        self.fs, self.path, self.details = fs, path, details
        self.size = raw.size_bytes
        self.mode_of_fsspec = "rb"

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (self.fs, self.path, self.details.get("version_id", ""), self.tell())


def reopened(fs: Any, path: str, version_id: str, position: int) -> OpenFile:
    """The same version, wherever its name leads by now."""
    file: OpenFile = fs.open(path, version_id=version_id) if version_id else fs.open(path)
    file.seek(position)
    return file
