"""Uploads over sockets: the real calls, parts and spool, against the emulator."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio

from dmfs.aps.client import Aps
from dmfs.aps.uploads import Uploads
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import SignedOutError
from dmfs.http.engines import open_engines
from dmfs.http.json_client import JsonClient
from dmfs.http.tls import ca_bundle
from dmfs.model import File, Folder, FolderId, HubId, Listing, ProjectId
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.write.parts.thread_sender import ThreadSender
from dmfs.write.records import (
    Base,
    Change,
    Draft,
    DraftId,
    NewItem,
    NewVersion,
    Place,
    State,
    Target,
)
from dmfs.write.spool.snapshot import Confirmed
from dmfs.write.spool.spool import Spool
from dmfs.write.upload import sending, steps, uploader
from dmfs.write.upload.plan import look
from dmfs.write.upload.ports import Hooks, Outcome, PostedLike, ReadBase, Rules, UploadJob
from dmfs.write.upload.uploader import Uploader
from tests.write.spool.spooling import open_spool

DRAFT = DraftId("d" * 32)
ME = "ADAEMU000001"
SCOPES = "data:read data:create data:write"


@dataclass(frozen=True)
class Where:
    """A folder of the emulator, and how to sign in; goes to a child as JSON."""

    api_url: str
    token: str
    hub_id: str
    project_id: str
    folder_id: str

    @classmethod
    def of(cls, emulator: EmulatorProcess, hub_id: str, project_id: str, folder: str) -> Where:
        grant = emulator.sign_in(user=ME, scope=SCOPES)
        return cls(emulator.api_url, grant["access_token"], hub_id, project_id, folder)

    def place(self, name: str) -> Place:
        return Place(HubId(self.hub_id), ProjectId(self.project_id), FolderId(self.folder_id), name)


@dataclass
class Drive:
    """What an upload needs, ready to use."""

    where: Where
    aps: Aps
    uploads: Uploads
    uploader: Uploader
    spool: Spool
    sender: ThreadSender
    states: list[tuple[State, str]] = field(default_factory=list)
    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    posted: list[tuple[int, PostedLike]] = field(default_factory=list)

    async def listing(self, place: Place) -> Listing:
        folder = Folder(place.folder, place.project_id, place.hub_id, "")
        children = await self.aps.children(folder)
        return Listing(folder, {each.name: each for each in children}, trio.current_time())

    async def file(self, name: str) -> File:
        found = (await self.listing(self.where.place(name))).entries[name]
        assert isinstance(found, File)
        return found

    async def base(self, name: str) -> NewVersion:
        file = await self.file(name)
        assert file.size_bytes is not None
        return NewVersion(self.where.place(name), Base.of(file, file.size_bytes), name)

    def new(self, name: str) -> NewItem:
        return NewItem(self.where.place(name), name)

    async def write(self, data: bytes) -> int:
        """Confirm a generation; its number."""
        content = self.spool.content(DRAFT) or self.spool.create(DRAFT)
        await content.truncate(0, mtime_ns=1)
        for start in range(0, len(data), 1 << 20):
            await content.write(start, data[start : start + (1 << 20)], mtime_ns=1)
        return (await content.confirm(_no_rows)).generation

    async def change(self, base_bytes: int, offset: int, data: bytes) -> None:
        """Confirm a generation that is the base version but for ``data``."""
        content = self.spool.content(DRAFT) or self.spool.create(DRAFT)
        content.start_over(base_bytes)
        await content.write(offset, data, mtime_ns=2)
        await content.confirm(_no_rows)

    def order(self, target: Target, read_base: ReadBase | None = None) -> None:
        """Begin, or go on with what the journal knows."""
        content = self.spool.content(DRAFT)
        assert content is not None
        snapshot = content.snapshot()
        draft = Draft(DRAFT, target.place, "key", "owner", generation=snapshot.generation)
        job = UploadJob(draft, target, snapshot, read_base or _no_base)
        row = self.spool.rows.get("upload", {}).get(DRAFT)
        if row is None:
            assert self.uploader.submit(job)
        else:
            assert self.uploader.resume(row.record, job)

    async def upload(
        self, target: Target, within_s: float = 60.0, read_base: ReadBase | None = None
    ) -> Outcome:
        self.order(target, read_base)
        with trio.fail_after(within_s):
            return await self.uploader.wait(DRAFT)


class _Token:
    """One that is not renewed."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def token(self) -> str:
        return self._text

    async def renew(self, refused: str) -> str:
        raise SignedOutError("the token was refused")


def hurry(patch: pytest.MonkeyPatch, emulator: EmulatorProcess) -> None:
    """Looks, pauses and what counts as a hasty repetition, all a fraction of what they are."""
    patch.setattr(look, "LOOKS_AT_S", (0.15, 0.5))
    patch.setattr(look, "LEAST_WAIT_S", 0.05)
    patch.setattr(uploader, "FIRST_S", 0.1)
    patch.setattr(steps, "LOOK_FIRST_S", 0.4)  # half of it is longer than a hasty repetition
    patch.setattr(sending, "backoff_s", lambda *_: 0.05)
    emulator.settings(lost_look_s=0.15)


def _no_rows(_: Confirmed) -> Sequence[Change]:
    return []


async def _no_base(start: int, length: int) -> bytes:
    raise AssertionError("no byte is the base's")


@asynccontextmanager
async def driving(
    where: Where,
    directory: Path,
    failpoint: Callable[[str], None] = lambda name: None,
    **rules: Any,
) -> AsyncIterator[Drive]:
    """A drive of one process, on the spool in ``directory``."""
    await trio.Path(directory).mkdir(exist_ok=True, mode=0o700)
    sender = ThreadSender(ca_bundle=ca_bundle(""), connections=8)
    sender.start()
    spool = open_spool(directory)
    drive: Drive
    try:
        async with open_engines(ca_bundle("")) as engines, trio.open_nursery() as nursery:
            client = JsonClient(where.api_url, engines, RateLimiter())
            tokens = _Token(where.token)
            uploads = Uploads(client, tokens)

            def adopted(draft: DraftId, generation: int, posted: PostedLike, sha1: str) -> None:
                drive.posted.append((generation, posted))

            hooks = Hooks(
                on_state=lambda draft, state, reason: drive.states.append((state, reason)),
                on_posted=adopted,
                on_event=lambda kind, fields: drive.events.append((kind, fields)),
                my_user_id=lambda: ME,
                version_of=uploads.version_of,
                failpoint=failpoint,
            )
            aps = Aps(client, tokens, url_minutes=60)

            async def list_again(place: Place) -> Listing:
                return await drive.listing(place)

            made = Uploader(
                spool, uploads, sender, list_again, nursery,
                rules=Rules(directory, **rules), hooks=hooks,
            )  # fmt: skip
            drive = Drive(where, aps, uploads, made, spool, sender)
            yield drive
            nursery.cancel_scope.cancel()
    finally:
        sender.close()
        with trio.CancelScope(shield=True):
            await spool.close()


# A child that is killed at a failpoint


def _child(order: Mapping[str, Any]) -> None:
    left = [order["before"]]

    def failpoint(name: str) -> None:
        if name == order["point"]:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

    async def live() -> None:
        where = Where(**order["where"])
        async with driving(where, Path(order["directory"]), failpoint) as drive:
            if drive.spool.content(DRAFT) is None:
                await drive.write(order["text"].encode() * order["times"])
            if order["version"]:
                await drive.upload(await drive.base(order["name"]))
            else:
                await drive.upload(drive.new(order["name"]))

    trio.run(live)


def serve() -> None:
    """Take orders until stdin ends; each has a child of its own."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                _child(json.loads(line))
                os._exit(0)
            finally:
                traceback.print_exc()
                os._exit(1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


class Victims:
    """Runs children that kill themselves."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.write.upload.wire"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def run(self, **order: Any) -> bool:
        """Whether it was killed; else it came to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        assert code in (0, -signal.SIGKILL), "the child failed by itself"
        return code != 0

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait(30) == 0
        self._process.stdout.close()


@contextmanager
def victims() -> Iterator[Victims]:
    found = Victims()
    try:
        yield found
    finally:
        found.end()


if __name__ == "__main__":
    serve()
