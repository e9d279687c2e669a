"""An open file of the drive as Python's io has it."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from dmfs.blocks.reader import AnyReader
from dmfs.drive import Drive
from dmfs.model import Leaf
from dmfs.spans import BLOCK_BYTES
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
        """More than BUFFER_BYTES is what the program wants, and filled. Up to that it is the buffer
        above, which reads on a little: to the end of a block, as one more were fetched for it."""
        self._check()
        target = memoryview(buffer).cast("B")
        wanted = min(len(target), max(0, self.size_bytes - self._position))
        if not wanted:
            return 0
        start = self._position
        to_block_end = BLOCK_BYTES - start % BLOCK_BYTES

        async def read(drive: Drive) -> int:
            reader = await self._reader(drive)
            if wanted > BUFFER_BYTES:
                return await read_into(reader, start, target[:wanted])
            data, _ = await reader.read(start, min(wanted, to_block_end))
            target[: len(data)] = data
            return len(data)

        done: int = self._run(read, self._path)
        self._position += done
        return done

    def readall(self) -> bytes:
        data = self.read_at(self._position, self.size_bytes)
        self._position += len(data)
        return data

    def read_at(self, start: int, stop: int) -> bytes:
        """These bytes, as far as there are any; the position stays."""
        self._check()
        stop = max(start, min(stop, self.size_bytes))

        async def read(drive: Drive) -> bytes:
            await check_room(stop - start, f"{self._path!r}")
            return await read_range(await self._reader(drive), start, stop)

        data: bytes = self._run(read, self._path)
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


_read_buffered = io.BufferedReader.read


class OpenFile(io.BufferedReader):
    """What ``open`` gives: buffered, with fsspec's attributes. Pickled it opens the same version
    again, at the same position.

    A read of many bytes, or of some of two blocks after a seek, goes past the buffer: a chunk of
    205 KiB were two reads of 128 KiB otherwise, which look like a stream.

    ``seek`` and then ``read`` go together within a thread, whatever other threads do in between:
    DuckDB (2.0) reads one file by several threads so, without a lock, and took one chunk of a
    Parquet file for another.
    """

    raw: RawFile

    def __init__(self, raw: RawFile, fs: Any, path: str, details: dict[str, Any]) -> None:
        super().__init__(raw, BUFFER_BYTES)
        self.fs, self.path, self.details = fs, path, details
        self.size = raw.size_bytes
        self.mode_of_fsspec = "rb"
        self._turn = threading.Lock()
        self._turn_of = os.getpid()
        self._sought_by = 0
        """The thread that sought last, until it reads; and the place."""
        self._sought = -1
        self._displaced: dict[int, int] = {}
        """Where a thread has sought and not read before another one did; by its identifier."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._alone():
            return self._seek(offset, whence)

    def tell(self) -> int:
        displaced = self._displaced.get(threading.get_ident()) if self._displaced else None
        return super().tell() if displaced is None else displaced

    def read(self, size: int | None = -1) -> bytes:
        """Up to so many bytes, fewer only at the end; without a size all the rest. OSError."""
        calm = self._sought < 0 and not self._displaced  # no thread is between its seek and read
        if calm and size is not None and 0 <= size < BUFFER_BYTES:
            return _read_buffered(self, size)  # 0.2 µs; what follows takes 1.2
        with self._alone():
            jumped = self._begin()
            position = super().tell()
            stop = self.size if size is None or size < 0 else min(position + size, self.size)
            crosses = position // BLOCK_BYTES != (stop - 1) // BLOCK_BYTES
            if stop - position < BUFFER_BYTES and not (jumped and crosses):
                return super().read(size)
            super().seek(stop)  # the next reader's place; the bytes come without the lock
        data = b""
        try:
            data = self.raw.read_at(position, stop)
        finally:
            if position + len(data) < stop:  # it failed, or the file has become shorter
                with self._alone():
                    if super().tell() == stop:
                        super().seek(position + len(data))
        return data

    def readinto(self, buffer: Any) -> int:
        with self._alone():
            self._begin()
            return super().readinto(buffer)

    def _begin(self) -> bool:
        """Stand where this thread has sought. Whether a seek has led there just now."""
        if self._displaced:
            displaced = self._displaced.pop(threading.get_ident(), None)
            if displaced is not None:
                self._seek(displaced, io.SEEK_SET)
        jumped = self._sought >= 0 and super().tell() == self._sought
        self._sought = -1
        return jumped

    def _seek(self, offset: int, whence: int) -> int:
        thread = threading.get_ident()
        if self._sought >= 0 and self._sought_by != thread and super().tell() == self._sought:
            self._displaced[self._sought_by] = self._sought
        self._displaced.pop(thread, None)
        self._sought, self._sought_by = super().seek(offset, whence), thread
        return self._sought

    def _alone(self) -> threading.Lock:
        if self._turn_of != os.getpid():  # of a thread that a fork has left behind
            self._turn, self._turn_of = threading.Lock(), os.getpid()
        return self._turn

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (self.fs, self.path, self.details.get("version_id", ""), self.tell())


def reopened(fs: Any, path: str, version_id: str, position: int) -> OpenFile:
    """The same version, wherever its name leads by now."""
    file: OpenFile = fs.open(path, version_id=version_id) if version_id else fs.open(path)
    file.seek(position)
    return file
