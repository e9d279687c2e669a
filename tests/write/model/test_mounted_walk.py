"""The reference model at its second height: random walks through a real mount, which is killed."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.mounts import Drive, force_unmount
from tests.write.model.place import sha256
from tests.write.model.walk import Walk, short

pytestmark = pytest.mark.mount

SEEDS = int(os.environ.get("DMFS_MOUNTED_WALKS", "1"))
TTL_S = 0.5
CONFIG = {
    "scopes": "data:read data:create data:write", "upload_delay": "200ms", "version_interval": 0,
    "any_spool_disk": "true", "ttl": f"{TTL_S}s", "hub_ttl": "10m", "patience": "5s",
    "rollup_trust": 0,
}  # fmt: skip
WAIT_S = 25.0
APP = ""
"""Who writes: no person."""


class Opened:
    """A descriptor, with the words of ``Handle``."""

    def __init__(self, mounted: Mounted, fd: int) -> None:
        self._mounted, self.fd = mounted, fd
        self._inode = os.fstat(fd).st_ino

    @property
    def size_bytes(self) -> int:
        return os.fstat(self.fd).st_size

    @property
    def has_news(self) -> bool:
        return self._inode in self._mounted.dirty

    def news(self) -> None:
        self._mounted.dirty.add(self._inode)

    async def write(self, offset: int, data: bytes) -> None:
        self.news()
        assert os.pwrite(self.fd, data, offset) == len(data)

    async def truncate(self, size_bytes: int) -> None:
        if size_bytes != self.size_bytes:
            self.news()
        os.ftruncate(self.fd, size_bytes)

    async def confirm(self, *, stays_open: bool = False) -> None:
        os.fsync(self.fd)
        self._mounted.dirty.discard(self._inode)

    def close(self) -> None:
        os.close(self.fd)

    async def read(self, offset: int, length: int) -> tuple[bytes, bool]:
        return os.pread(self.fd, length, offset), True


class Mounted:
    """As ``Machine``, for what a walk needs of it."""

    def __init__(self, drive: Drive) -> None:
        self.mount, self.emulator, self.user = drive, drive.emulator, APP
        self.dirty: set[int] = set()
        self._runs = True

    @asynccontextmanager
    async def on(self) -> AsyncIterator[Mounted]:
        if not self._runs:
            self.mount.start()
        yield self
        self.mount.kill()
        force_unmount(self.mount.point)
        self._runs = False
        self.dirty.clear()

    def at(self, path: str) -> Path:
        return Path(f"{self.mount.point}{path}")

    async def names(self, path: str) -> list[str]:
        return sorted(each.name for each in self.at(path).iterdir())

    async def read(self, path: str) -> bytes:
        return self.at(path).read_bytes()

    async def open(self, path: str, flags: int) -> Opened:
        there = self.at(path).exists()
        size = self.at(path).stat().st_size if there else 0
        opened = Opened(self, os.open(self.at(path), flags))
        if not there or (size and flags & os.O_TRUNC):
            opened.news()
        return opened

    async def rename(self, old: str, new: str) -> None:
        inode = self.at(old).stat().st_ino
        self.at(old).rename(self.at(new))
        self.dirty.discard(inode)

    async def unlink(self, path: str) -> None:
        self.at(path).unlink()

    async def live(self, path: str) -> Any:
        inode = self.at(path).stat().st_ino
        return type("Live", (), {"is_dirty": inode in self.dirty})

    async def look_again(self, path: str) -> None:
        await trio.sleep(2 * TTL_S)


class MountedWalk(Walk):
    """The doors differ, and a mount says less of itself."""

    machine: Any
    changes = ("new_version", "rename", "hide", "add_item", "race")

    async def ours(self, what: str, name: str = "", other: str = "") -> None:
        try:
            await super().ours(what, name, other)
        except OSError as error:
            self.log.append(f"  refused: {error}")
            if not self.book.contested:
                raise AssertionError(self.log) from error

    async def look(self) -> None:
        """Which versions it shows is not known: all that were there a while ago."""
        self.seen |= {
            version["id"]
            for item in self.place.items()
            for version in item["versions"]
            if version["t"] is None or time.time() - version["t"] > 4 * TTL_S
        }

    async def settle(self) -> None:
        self.log.append("settle")
        for handle, note in self.open:
            await self.confirm(handle, note)
            handle.close()
        self.open.clear()
        self.machine.emulator.clear_faults()
        self.machine.emulator.clear_races()
        self.level(None)
        for item in self.place.items():
            self.machine.emulator.change("unreserve", id=item["id"])
        ends_at, same_since = time.monotonic() + WAIT_S, time.monotonic()
        before: Any = None
        while time.monotonic() < ends_at:
            shown, tips = await self.settled_so_far()
            if {name: sha256(data) for name, data in shown.items()} != tips or tips != before:
                before, same_since = tips, time.monotonic()
            if time.monotonic() > same_since + 3.0:
                break
            await trio.sleep(0.2)
        else:
            raise AssertionError((short(shown), sorted(tips), self.log, self.machine.mount.log()))
        self.nothing_lost(shown)
        assert self.machine.emulator.violations() == {}, self.log

    async def settled_so_far(self) -> tuple[dict[str, bytes], dict[str, str]]:
        try:
            return await self.shown(), self.place.tips()
        except FileNotFoundError:
            return {}, {"": "names change"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kind", ["restarts", "all"])
def test_a_walk(kind, seed, make_drive, place):
    weights = {"restarts": {"restart": 1}, "all": {"restart": 1, "theirs": 2}}[kind]
    mounted: Any = Mounted(make_drive(name=f"walk{seed}", config=CONFIG, log_level="info"))
    walk = MountedWalk(mounted, place, seed * 7 + len(kind), **weights)
    trio.run(walk.run, 1, 30)
    assert "Traceback" not in mounted.mount.log()
