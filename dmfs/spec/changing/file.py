"""A file that is being written, as Python's io has it."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from dmfs.drive import Drive
from dmfs.errors import IsADirectory
from dmfs.jobs.writing.place import node_at, writing_of
from dmfs.model import Directory, File
from dmfs.spec.changing.steps import place_of, require_absent
from dmfs.spec.reading import read_into
from dmfs.write.care.putting import begin_aside, drop_aside
from dmfs.write.handle import Handle

BUFFER_BYTES = 1024 * 1024
Run = Callable[[Callable[[Drive], Awaitable[Any]], str], Any]


class RawChange(io.RawIOBase):
    """``wb`` and ``xb`` write under a name of their own, which stays on this machine, and take the
    file's name when they are closed: whoever is interrupted leaves what was there before. ``ab``
    and ``r+b`` change the file in place.
    """

    def __init__(self, path: str, mode: str, run: Run, *, autocommit: bool) -> None:
        """OSError if it cannot be written."""
        super().__init__()
        self._path, self._mode, self._run = path, mode, run
        self._autocommit = autocommit
        self._drive: Drive | None = None
        self._handle: Handle | None = None
        self._directory: Directory | None = None
        self._name = self._aside = ""
        self._position = 0
        run(self._begin, path)

    async def _begin(self, drive: Drive) -> None:
        writing = writing_of(drive)
        if self._mode == "xb":
            await require_absent(drive, self._path)
        self._directory, self._name = await place_of(drive, self._path)
        exists = await writing.child(self._directory, self._name) is not None
        if self._mode == "r+b" or (self._mode == "ab" and exists):
            node = await node_at(drive, self._path)
            if not isinstance(node, File):
                raise IsADirectory(f"{self._path!r} is no file that can be written")
            found_in = (self._directory, self._name)
            self._handle = await writing.open(node, found_in, writes=True, truncate=False)
        else:
            self._handle, self._aside = await begin_aside(writing, self._directory, self._name)
        self._drive = drive
        if self._mode == "ab":
            self._position = self._handle.size_bytes

    def _on(self, work: Callable[[Handle], Awaitable[Any]]) -> Any:
        """EBADF in the child of a fork: what was begun is the parent's."""

        async def run(drive: Drive) -> Any:
            if drive is not self._drive or self._handle is None:
                raise OSError(errno.EBADF, "it was opened by another process", self._path)
            return await work(self._handle)

        return self._run(run, self._path)

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return self._mode == "r+b"

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}
        if whence not in base:
            raise ValueError(f"seek by {whence}: 0, 1 and 2 are known")
        if base[whence] + offset < 0:
            raise ValueError(f"seek before the start of {self._path}")
        self._position = base[whence] + offset
        return self._position

    @property
    def _size_bytes(self) -> int:
        return 0 if self._handle is None else self._handle.size_bytes

    def write(self, buffer: Any) -> int:
        self._check()
        data = bytes(buffer)
        at = self._size_bytes if self._mode == "ab" else self._position
        self._on(lambda handle: handle.write(at, data))
        self._position = at + len(data)
        return len(data)

    def readinto(self, buffer: Any) -> int:
        self._check()
        if not self.readable():
            raise io.UnsupportedOperation("not readable")
        target = memoryview(buffer).cast("B")
        start, wanted = self._position, min(len(target), self._size_bytes - self._position)
        if wanted <= 0:
            return 0
        done: int = self._on(lambda handle: read_into(handle, start, target[:wanted]))
        self._position += done
        return done

    def truncate(self, size: int | None = None) -> int:
        self._check()
        size_bytes = self._position if size is None else size
        self._on(lambda handle: handle.truncate(size_bytes))
        return size_bytes

    def confirm(self) -> None:
        """What was written outlives a power loss, under the name that it has until it is closed."""
        self._on(lambda handle: handle.confirm(stays_open=True))

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        if self._handle is None or sys.is_finalizing():
            return
        if self._autocommit or not self._aside:
            self.commit()
        else:
            self._on(lambda handle: handle.confirm(stays_open=True))

    def commit(self) -> None:
        """The file is there from now on, safe on this machine, and goes up."""
        self._end(self._commit)

    async def _commit(self, handle: Handle) -> None:
        assert self._drive is not None
        assert self._directory is not None
        await handle.confirm()
        if self._aside:
            writing = writing_of(self._drive)
            await writing.rename(
                self._directory, self._aside, self._directory, self._name, replace=True
            )

    def discard(self) -> None:
        """What was there before stays."""
        super().close()
        self._end(self._discard)

    async def _discard(self, handle: Handle) -> None:
        handle.close()
        if self._aside and self._drive is not None and self._directory is not None:
            await drop_aside(writing_of(self._drive), self._directory, self._aside)

    def _end(self, how: Callable[[Handle], Awaitable[None]]) -> None:
        """Once."""
        if self._handle is None:
            return

        async def end(handle: Handle) -> None:
            try:
                await how(handle)
            except BaseException:
                if how == self._commit:
                    await self._discard(handle)
                raise
            finally:
                handle.close()

        try:
            self._on(end)
        finally:
            self._handle = None

    def _check(self) -> None:
        if self.closed:
            raise ValueError(f"{self._path} is closed")


class _Changed:
    """What fsspec asks of an open file."""

    def __init__(self, raw: RawChange, fs: Any, path: str) -> None:
        super().__init__(raw, BUFFER_BYTES)  # type: ignore[call-arg]
        self.fs, self.path, self.mode_of_fsspec = fs, path, raw._mode  # noqa: SLF001
        self._change = raw

    def commit(self) -> None:
        """For fsspec's transactions."""
        self._change.commit()

    def discard(self) -> None:
        """Leave what was there before."""
        self._change.discard()

    def __exit__(self, kind: Any, *_: Any) -> None:
        """A program that fails in the middle leaves what was there before."""
        if kind is None:
            self.close()  # type: ignore[attr-defined]
        else:
            self.discard()


class ChangedFile(_Changed, io.BufferedWriter):
    """Of ``wb``, ``xb`` and ``ab``."""


class ChangedInPlace(_Changed, io.BufferedRandom):
    """Of ``r+b``."""


def open_to_write(fs: Any, path: str, mode: str, run: Run, *, autocommit: bool) -> Any:
    """``wb``, ``xb``, ``ab`` or ``r+b``. OSErrors."""
    raw = RawChange(path, mode, run, autocommit=autocommit)
    kind: Any = ChangedInPlace if mode == "r+b" else ChangedFile
    return kind(raw, fs, path)
