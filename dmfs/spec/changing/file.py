"""A file of the drive that is open to be written, as Python's io has it."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from dmfs.drive import Drive
from dmfs.spec.changing.target import Target

BUFFER_BYTES = 1024 * 1024
Run = Callable[[Callable[[Drive], Awaitable[Any]], str], Any]


class RawWriter(io.RawIOBase):
    """Writes go to the spool of this process. It belongs to the process that opened it: what a
    forked child writes to it is refused, and what it inherited in a buffer is the parent's."""

    def __init__(
        self, target: Target, drive: Drive, path: str, run: Run, *,
        at: int, reads: bool, autocommit: bool, wait: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self._target, self._drive, self._path, self._run = target, drive, path, run
        self._position, self._reads = at, reads
        self._autocommit, self._wait = autocommit, wait
        self._pid = os.getpid()
        self._failed = self._over = False

    def readable(self) -> bool:
        return self._reads

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        size_bytes = self._target.handle.size_bytes
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: size_bytes}
        if whence not in base:
            raise ValueError(f"seek by {whence}: 0, 1 and 2 are known")
        position = base[whence] + offset
        if position < 0:
            raise ValueError(f"seek before the start of {self._path}")
        self._position = position
        return position

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if os.getpid() != self._pid and self._over:
            return len(view)  # the parent's buffer, which a closing child gives away
        at = self._position

        async def write(_: Drive) -> None:
            await self._target.handle.write(at, view)

        try:
            self._on_drive(write)
        except BaseException:
            self._failed = True
            raise
        self._failed = False  # the same bytes again, at the same place
        self._position = at + len(view)
        return len(view)

    def readinto(self, buffer: Any) -> int:
        target, at = memoryview(buffer).cast("B"), self._position

        async def read(_: Drive) -> bytes:
            data, _now = await self._target.handle.read(at, len(target))
            return bytes(data)

        data = self._on_drive(read)
        target[: len(data)] = data
        self._position = at + len(data)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        size_bytes = self._position if size is None else size

        async def truncate(_: Drive) -> None:
            await self._target.handle.truncate(size_bytes)

        self._on_drive(truncate)
        return size_bytes

    def finish(self, *, commit: bool) -> None:
        """Once: what was written takes its name, or goes."""
        if self._over:
            return
        self._over = True
        if os.getpid() != self._pid or sys.is_finalizing():
            return

        async def finish(_: Drive) -> None:
            await (self._target.commit(wait=self._wait) if commit else self._target.discard())

        self._on_drive(finish)

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self._failed:
                self.finish(commit=False)
            elif self._autocommit:
                self.finish(commit=True)

    def forsake(self) -> bool:
        """Whether this is a child of the process that opened it; what is in its buffer goes."""
        if os.getpid() == self._pid:
            return False
        self._over = True
        return True

    def _on_drive(self, work: Callable[[Drive], Awaitable[Any]]) -> Any:
        async def check(drive: Drive) -> Any:
            if drive is not self._drive:
                raise OSError(errno.EBADF, "its drive was closed, or was another process's")
            return await work(drive)

        if os.getpid() != self._pid:
            raise OSError(errno.EBADF, "opened by the process that this one was forked from")
        return self._run(check, self._path)


class _Commits:
    """fsspec's side of a file that is written."""

    raw: RawWriter
    fs: Any
    path: str

    def commit(self) -> None:
        """At the end of a transaction: it takes its name."""
        self.raw.finish(commit=True)

    def discard(self) -> None:
        """Of a transaction that failed: nothing of it is left."""
        self.raw.finish(commit=False)

    def close(self) -> None:
        """The bytes are safe on this machine; with ``wait`` the service has them."""
        self.raw.forsake()
        super().close()  # type: ignore[misc]


class WriteFile(_Commits, io.BufferedWriter):
    """Of the modes wb, xb and ab."""

    raw: RawWriter

    def __init__(self, raw: RawWriter, fs: Any, path: str) -> None:
        super().__init__(raw, BUFFER_BYTES)
        self.fs, self.path = fs, path


class UpdateFile(_Commits, io.BufferedRandom):
    """Of the modes r+b, w+b and a+b."""

    raw: RawWriter

    def __init__(self, raw: RawWriter, fs: Any, path: str) -> None:
        super().__init__(raw, BUFFER_BYTES)
        self.fs, self.path = fs, path
