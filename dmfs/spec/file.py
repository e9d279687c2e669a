"""An open file of the drive as Python's io has it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from dmfs.blocks.reader import AnyReader
from dmfs.spec.reading import read_into, read_range

BUFFER_BYTES = 128 * 1024
"""Small reads are served from here: a read that goes to the loop takes some 100 µs."""


class RawFile(io.RawIOBase):
    """Reads go to the loop, whose planner reads ahead and whose blocks are the only cache."""

    def __init__(self, reader: AnyReader, path: str, run: Callable[..., Any]) -> None:
        """``run(work, path)`` runs work on the loop of the reader's drive."""
        super().__init__()
        self._reader = reader
        self._path = path
        self._run = run
        self._position = 0

    @property
    def size_bytes(self) -> int:
        return self._reader.size_bytes

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
        done: int = self._run(lambda: read_into(self._reader, start, target[:wanted]), self._path)
        self._position += done
        return done

    def readall(self) -> bytes:
        self._check()
        start, stop = self._position, max(self._position, self.size_bytes)
        data: bytes = self._run(lambda: read_range(self._reader, start, stop), self._path)
        self._position += len(data)
        return data

    def close(self) -> None:
        if not self.closed:
            super().close()

            async def close() -> None:
                self._reader.close()

            self._run(close, self._path)

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
