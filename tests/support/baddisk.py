"""A disk that turns bad on command: a FUSE passthrough with a mood. Knows nothing of dmfs.

``python baddisk.py BACKING MOUNTPOINT MOOD`` shows the directory BACKING at MOUNTPOINT; MOOD is a
file that says how it is: ``well``; ``eio`` (every request fails), ``erofs`` and ``enospc`` (those
that change anything fail), ``hang`` (nothing is answered until the mood changes), ``slow:N`` (it
takes N bytes a second: writes wait for their turn one after the other, those of an index and
``fsync`` too; reads and looks at names do not wait).

The kernel's page cache stands before it as before a real disk, but for files below a directory
named ``data``: these are read past it, so that their bytes come from the disk each time.
"""

# Plain calls by path and descriptor are what a passthrough is made of.
# ruff: noqa: ASYNC230, PTH116, PTH118, PTH123

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyfuse3
import trio

MOODS = ("well", "eio", "erofs", "enospc", "hang")
SLOW = "slow:"
"""And the bytes a second."""
CHANGING = {"erofs": errno.EROFS, "enospc": errno.ENOSPC}
START_TIMEOUT_S = 20.0


class BadDisk:
    """The process and its mood; ``directory`` is what a drive gets as its cache's disk."""

    def __init__(self, directory: Path) -> None:
        self.backing, self.directory = directory / "backing", directory / "disk"
        self._mood = directory / "mood"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> BadDisk:
        for path in (self.backing, self.directory):
            path.mkdir(parents=True)
        self.turn("well")
        words = [__file__, str(self.backing), str(self.directory), str(self._mood)]
        self._process = subprocess.Popen([sys.executable, *words], start_new_session=True)
        give_up = time.monotonic() + START_TIMEOUT_S
        while not os.path.ismount(self.directory):
            assert time.monotonic() < give_up, "the bad disk is not mounted"
            assert self._process.poll() is None, "the bad disk ended"
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self.turn("well")
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        subprocess.run(["fusermount3", "-uz", "--", str(self.directory)], check=True, timeout=20)

    def turn(self, mood: str) -> None:
        assert mood in MOODS or int(mood.removeprefix(SLOW)) > 0
        fresh = self._mood.with_suffix(".new")
        fresh.write_text(mood)
        fresh.rename(self._mood)  # whole at any moment

    def bytes_at_rest(self) -> int:
        """What all files below directories named ``data`` take."""
        found = 0
        for place, _, names in os.walk(self.backing):
            if "data" in Path(place).parts:
                for name in names:
                    found += os.stat(os.path.join(place, name)).st_blocks * 512
        return found


class Passthrough(pyfuse3.Operations):
    """Inode numbers are the backing directory's own."""

    enable_writeback_cache = False

    def __init__(self, backing: str, mood: str) -> None:
        super().__init__()
        self._paths = {pyfuse3.ROOT_INODE: backing}
        self._mood = mood
        self._listings: dict[int, list[tuple[str, int]]] = {}
        self._busy_until = 0.0
        """When a slow disk has taken all that was written (trio's clock)."""

    async def _ask(self, *, changes: bool = False, size_bytes: int | None = None) -> None:
        """Be in the mood. ``size_bytes`` are written; 0 waits for what was written before."""
        while True:
            with open(self._mood, encoding="ascii") as file:
                mood = file.read()
            if mood != "hang":
                break
            await trio.sleep(0.02)
        if mood == "eio":
            raise pyfuse3.FUSEError(errno.EIO)
        if changes and mood in CHANGING:
            raise pyfuse3.FUSEError(CHANGING[mood])
        if size_bytes is not None and mood.startswith(SLOW):
            takes_s = size_bytes / int(mood.removeprefix(SLOW))
            self._busy_until = max(self._busy_until, trio.current_time()) + takes_s
            await trio.sleep_until(self._busy_until)

    def _path(self, parent: int, name: bytes) -> str:
        return os.path.join(self._paths[parent], os.fsdecode(name))

    def _entry(self, status: os.stat_result) -> pyfuse3.EntryAttributes:
        entry = pyfuse3.EntryAttributes()
        for key in (
            "st_ino", "st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks",
            "st_atime_ns", "st_mtime_ns", "st_ctime_ns",
        ):  # fmt: skip
            setattr(entry, key, getattr(status, key))
        entry.st_blksize = 4096
        entry.generation = 0
        entry.entry_timeout = entry.attr_timeout = 0.0
        return entry

    def _look(self, path: str) -> pyfuse3.EntryAttributes:
        entry = self._entry(_done(os.lstat, path))
        self._paths[entry.st_ino] = path
        return entry

    async def lookup(self, parent_inode: int, name: bytes, ctx: Any) -> pyfuse3.EntryAttributes:
        await self._ask()
        return self._look(self._path(parent_inode, name))

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        return None

    async def getattr(self, inode: int, ctx: Any) -> pyfuse3.EntryAttributes:
        await self._ask()
        entry = self._entry(_done(os.lstat, self._paths[inode]))
        if inode == pyfuse3.ROOT_INODE:
            entry.st_ino = inode
        return entry

    async def setattr(
        self, inode: int, attr: Any, fields: Any, fh: int | None, ctx: Any
    ) -> pyfuse3.EntryAttributes:
        await self._ask(changes=True)
        if fields.update_size:
            _done(os.truncate, self._paths[inode] if fh is None else fh, attr.st_size)
        if fields.update_mode:
            _done(os.chmod, self._paths[inode], stat.S_IMODE(attr.st_mode))
        return self._entry(os.lstat(self._paths[inode]) if fh is None else os.fstat(fh))

    async def mkdir(
        self, parent_inode: int, name: bytes, mode: int, ctx: Any
    ) -> pyfuse3.EntryAttributes:
        await self._ask(changes=True)
        path = self._path(parent_inode, name)
        _done(os.mkdir, path, mode)
        return self._look(path)

    async def rmdir(self, parent_inode: int, name: bytes, ctx: Any) -> None:
        await self._ask(changes=True)
        _done(os.rmdir, self._path(parent_inode, name))

    async def unlink(self, parent_inode: int, name: bytes, ctx: Any) -> None:
        await self._ask(changes=True)
        _done(os.unlink, self._path(parent_inode, name))

    async def opendir(self, inode: int, ctx: Any) -> int:
        await self._ask()
        entries = [(item.name, item.inode()) for item in _done(os.scandir, self._paths[inode])]
        self._listings[inode] = entries
        return inode

    async def readdir(self, fh: int, start_id: int, token: Any) -> None:
        await self._ask()
        for number, (name, _) in enumerate(self._listings[fh][start_id:], start_id + 1):
            entry = self._look(os.path.join(self._paths[fh], name))
            if not pyfuse3.readdir_reply(token, os.fsencode(name), entry, number):
                return

    async def open(self, inode: int, flags: int, ctx: Any) -> pyfuse3.FileInfo:
        await self._ask(changes=flags & os.O_ACCMODE != os.O_RDONLY)
        return self._opened(_done(os.open, self._paths[inode], flags & ~os.O_CREAT), inode)

    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: Any
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        await self._ask(changes=True)
        path = self._path(parent_inode, name)
        fd = _done(os.open, path, flags | os.O_CREAT, mode)
        entry = self._look(path)
        return self._opened(fd, entry.st_ino), entry

    def _opened(self, fd: int, inode: int) -> pyfuse3.FileInfo:
        return pyfuse3.FileInfo(fh=fd, direct_io="/data/" in self._paths[inode])

    async def read(self, fh: int, off: int, size: int) -> bytes:
        await self._ask()
        return _done(os.pread, fh, size, off)

    async def write(self, fh: int, off: int, buf: bytes) -> int:
        await self._ask(changes=True, size_bytes=len(buf))
        return _done(os.pwrite, fh, buf, off)

    async def fsync(self, fh: int, datasync: bool) -> None:
        await self._ask(size_bytes=0)

    async def release(self, fh: int) -> None:
        os.close(fh)

    async def statfs(self, ctx: Any) -> pyfuse3.StatvfsData:
        await self._ask()
        told, seen = pyfuse3.StatvfsData(), os.statvfs(self._paths[pyfuse3.ROOT_INODE])
        for key in (
            "f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree",
            "f_favail",
        ):  # fmt: skip
            setattr(told, key, getattr(seen, key))
        return told


def _done(call: Any, *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except OSError as error:
        raise pyfuse3.FUSEError(error.errno or errno.EIO) from None


def main() -> None:
    backing, mountpoint, mood = sys.argv[1:]
    options = set(pyfuse3.default_options) | {"fsname=baddisk"}
    pyfuse3.init(Passthrough(backing, mood), mountpoint, options)
    trio.run(pyfuse3.main)


if __name__ == "__main__":
    main()
