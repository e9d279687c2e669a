"""One computer: a drive in this process that can be written to, and the calls of a program. Its
clock is faster than the wall's, so that nobody waits for minutes of backing off."""

from __future__ import annotations

import functools
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from dmfs.assembly import open_drive
from dmfs.auth.tokens import SignIn
from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.model import Child, Directory, File, Folder
from dmfs.system.disk_threads import DiskThreads
from dmfs.write.handle import Handle
from dmfs.write.live import LiveFile
from dmfs.write.opening import Writes
from dmfs.write.settle.nouns import KeepLocal
from tests.auth.person import write as write_sign_in
from tests.support.sample import ACCOUNT

ADA, BOB = "ADAEMU000001", "BOBEMU000002"
NAMES = {ADA: "Ada Emulated", BOB: "Bob Emulated"}
SCOPES = "data:read data:create data:write"
RATE = 20.0
"""Seconds of the drive in one of the wall."""


def fast(test: Callable[..., Any]) -> Callable[..., None]:
    """Run an async test on the fast clock, for at most 30 s of the wall's time."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        run_fast(functools.partial(test, *args, **kwargs))

    return run


def run_fast(body: Callable[[], Any], within_s: float = 30.0, rate: float = RATE) -> None:
    async def main() -> None:
        with trio.fail_after(within_s * rate):
            await body()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiskThreads, "__init__", _patient)
        trio.run(main, clock=MockClock(rate=rate))


def _patient(
    self: DiskThreads, places: int, patience_s: float = 5.0, init: Any = DiskThreads.__init__
) -> None:
    """The disk is as slow as it is."""
    init(self, places, patience_s * RATE)


class Machine:
    """``async with machine.on():`` for as long as it runs; then it may be switched on again."""

    def __init__(
        self,
        emulator: EmulatorProcess,
        directory: Path,
        user: str = ADA,
        *,
        signs_in: bool = True,
        **more: Any,
    ) -> None:
        self.emulator, self.home, self.user = emulator, directory, user
        self.events: list[tuple[str, dict[str, Any]]] = []
        values: dict[str, Any] = {
            "api_url": emulator.api_url, "client_id": "emulator-desktop",
            "cache_dir": directory / "cache", "state_dir": directory / "state",
            "cache_size": 0, "poll": 0.0, "rates": "off", "scopes": SCOPES, "ttl": 3600.0,
            "hub_ttl": 3600.0, "upload_delay": 0.2, "version_interval": 0.0,
            "any_spool_disk": True, "metadata_timeout": 120.0, "data_timeout": 240.0,
        }  # fmt: skip
        self.settings = Settings(**(values | more))
        self._drive: Drive | None = None
        if signs_in:
            self._sign_in()

    def _sign_in(self) -> None:
        given = self.emulator.sign_in(scope=SCOPES, user=self.user)
        now_s = time.time()
        sign_in = SignIn(
            api_url=self.emulator.api_url, client_id="emulator-desktop", scopes=SCOPES,
            access_token=given["access_token"], access_expires_s=now_s + 3000,
            refresh_token=given["refresh_token"], refresh_expires_s=now_s + 15 * 86400,
            signed_in_s=now_s, refreshed_s=now_s, user_id=self.user, user_name=NAMES[self.user],
        )  # fmt: skip
        write_sign_in(self.settings.state_dir, sign_in)

    @asynccontextmanager
    async def on(self) -> AsyncIterator[Machine]:
        async with open_drive(self.settings, writes=Writes(label="a test")) as drive:
            self._drive = drive
            publish = drive.activity.publish

            def heard(kind: str, **fields: Any) -> None:
                self.events.append((kind, fields))
                publish(kind, **fields)

            drive.activity.publish = heard  # type: ignore[method-assign, assignment]
            try:
                yield self
            finally:
                self._drive = None

    @property
    def drive(self) -> Drive:
        assert self._drive is not None, "it is off"
        return self._drive

    @property
    def writing(self) -> Any:
        assert self.drive.writing is not None
        return self.drive.writing

    def heard(self, kind: str) -> list[dict[str, Any]]:
        return [fields for each, fields in self.events if each == kind]

    # What programs do

    async def directory(self, path: str) -> Directory:
        node = await self.drive.resolve(path)
        assert not isinstance(node, File)
        return node  # type: ignore[return-value]

    async def _at(self, path: str) -> tuple[Directory, str]:
        above, _, name = path.rpartition("/")
        return await self.directory(above), name

    async def find(self, path: str) -> Child | None:
        directory, name = await self._at(path)
        return await self.drive.lookup(directory, name)

    async def names(self, path: str) -> list[str]:
        return sorted((await self.drive.list(await self.directory(path))).names)

    async def open(self, path: str, flags: int = os.O_RDONLY) -> Handle:
        directory, name = await self._at(path)
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
        if flags & os.O_CREAT:
            _, handle = await self.writing.create(
                directory, name, exclusive=bool(flags & os.O_EXCL),
                truncate=bool(flags & os.O_TRUNC),
            )  # fmt: skip
            return handle
        node = await self.drive.lookup(directory, name)
        if node is None:
            raise FileNotFoundError(path)
        assert isinstance(node, File)
        return await self.writing.open(
            node, (directory, name), writes=writes, truncate=bool(flags & os.O_TRUNC)
        )

    async def save(self, path: str, data: bytes) -> None:
        """``open(O_CREAT | O_TRUNC)``, write, close."""
        handle = await self.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        await handle.write(0, data)
        await handle.confirm()
        handle.close()

    async def read(self, path: str) -> bytes:
        handle = await self.open(path)
        try:
            return await read_all(handle)
        finally:
            handle.close()

    async def rename(self, old: str, new: str) -> None:
        directory, name = await self._at(old)
        target, new_name = await self._at(new)
        await self.writing.rename(directory, name, target, new_name, replace=True)

    async def unlink(self, path: str) -> None:
        await self.writing.unlink(*await self._at(path))

    async def mkdir(self, path: str) -> Folder:
        return await self.writing.folders.make(*await self._at(path))

    async def rmdir(self, path: str) -> None:
        await self.writing.folders.remove(*await self._at(path))

    async def look_again(self, path: str) -> None:
        """As the poller, or a person who presses F5."""
        await self.drive.parts.listings.list_again(await self.directory(path))

    # What is going on

    async def live(self, path: str) -> LiveFile | None:
        node = await self.find(path)
        return self.writing.content_of(node) if isinstance(node, File) else None

    async def state(self, path: str) -> tuple[str, str]:
        """State and reason of a name's draft."""
        live = await self.live(path)
        if live is None or live.draft is None:
            return "clean", ""
        return str(live.draft.state), live.draft.reason

    @property
    def rests(self) -> bool:
        """Nothing is left to be done, apart from what waits for a person."""
        settler = self.writing.settler
        waits = [each for each in settler.waiting() if str(each.draft.state) != "failed"]
        return not waits and not settler.pending_names() and not settler.orders.uploader.progress()

    def journal(self) -> set[tuple[str, str]]:
        """Kind and key of all rows."""
        path = self.settings.state_dir / "spool" / self.settings.profile / "journal.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return set(db.execute("SELECT kind, key FROM rows"))

    async def local_names(self, path: str) -> set[str]:
        """Names that were found to stay on this machine, or are about to be."""
        view = self.writing.overlay.view(await self.directory(path))
        steps = self.writing.settler.plan(view, hurry=True).steps
        found = {step.place for step in steps if isinstance(step, KeepLocal)}
        return found | {name for name in view.names.touched() if view.names.is_local(name)}

    def leftovers(self) -> set[tuple[str, str]]:
        """Rows of uploads, and of drafts that have no name: at rest there are none."""
        by_id = self.writing.drafts.by_id.items()
        seen = {draft_id for draft_id, live in by_id if live.place is not None}
        rows = self.drafts_journalled()
        return {row for row in rows if row[0] == "upload" or row[1] not in seen}

    def drafts_journalled(self) -> set[tuple[str, str]]:
        """Rows that tell of bytes which were written here."""
        kinds = ("upload", "draft", "content")
        return {row for row in self.journal() if row[0] in kinds}

    async def comes_to_rest(self, within_s: float = 12.0) -> None:
        await until(lambda: self.rests, within_s, self.what_is_left)

    def what_is_left(self) -> object:
        settler = self.writing.settler
        return (
            [(str(each.place), each.draft) for each in settler.waiting()],
            [list(settler.plan(view, hurry=True).steps) for view in settler._overlay.views()],
            settler.orders.uploader.progress(),
            (settler._due, settler._busy, settler._steps._held, settler.orders._under_way),
            [settler.plan(view) for view in settler._overlay.views()],
            [(each.writers, each.handles) for each in settler.waiting()],
            self.events[-5:],
        )


async def read_all(handle: Handle) -> bytes:
    found = bytearray()
    while True:
        data, _ = await handle.read(len(found), 1 << 20)
        if not data:
            return bytes(found)
        found += bytes(data)


async def until(
    done: Callable[[], Any], within_s: float = 12.0, why: Callable[[], object] = lambda: ""
) -> None:
    """Wait, for so many seconds of the wall's clock."""
    ends_at = time.monotonic() + within_s
    while time.monotonic() < ends_at:
        found = done()
        if hasattr(found, "__await__"):
            found = await found
        if found:
            return
        await trio.sleep(0.02 * RATE)
    raise AssertionError(f"it did not happen: {why()}")


__all__ = ["ACCOUNT", "ADA", "BOB", "Machine", "fast", "read_all", "run_fast", "until"]
