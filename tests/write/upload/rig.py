"""Uploads of small files to a service in memory, on a clock that does not wait."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from dmfs.errors import GoneError, NoRoomError, SpoolError
from dmfs.write.records import Change, Draft, DraftId, NewItem, NewVersion, Place, State, Target
from dmfs.write.spool.extents import Piece
from dmfs.write.upload import pace, sending, stage, work
from dmfs.write.upload.plan import records
from dmfs.write.upload.ports import Hooks, Outcome, Rules, UploadJob
from dmfs.write.upload.uploader import Uploader
from tests.write.upload.model import FOLDER, HUB, ME, PROJECT, Item, World, wall_s

PART = 100
OURS = bytes(range(250)) + b"ours" * 10
THEIRS = b"theirs" * 20
BASE = b"base" * 30
DRAFT = DraftId("d" * 32)
PLACE = Place(HUB, PROJECT, FOLDER, "Plan.dwg")


class Killed(BaseException):
    """The process is gone."""


class Journal:
    """Rows that outlive an uploader."""

    def __init__(self) -> None:
        self.rows: dict[str, Mapping[str, Any]] = {}
        self.commits = 0
        self.asked = self.refused_from = self.refusals = 0
        """From so many commits on, so many are refused."""

    async def commit(self, changes: Sequence[Change], *, durable: bool = False) -> None:
        await trio.lowlevel.checkpoint()
        if self.refusals and self.refused_from <= self.asked:
            self.refusals -= 1
            raise NoRoomError("the disk is full")
        self.asked += 1
        for change in changes:
            assert change.kind == "upload"
            self.commits += 1
            if change.record is None:
                self.rows.pop(change.key, None)
            else:
                self.rows[change.key] = _as_json(change.record)


def _as_json(record: Mapping[str, Any]) -> Mapping[str, Any]:
    import json

    return json.loads(json.dumps(record))


class Snapshot:
    """A generation in a file; ``of_base``: its bytes have to be read, they lie nowhere here."""

    needs_base = False

    def __init__(self, data: bytes, generation: int = 1, *, of_base: bool = False) -> None:
        self.data, self.generation, self.size_bytes = data, generation, len(data)
        self.damaged = self.base_gone = False
        self.of_base = of_base
        self.read_bytes = self.descriptors = 0

    def pieces(self, start: int, stop: int) -> list[Piece]:
        return [Piece("base" if self.of_base else "data", start, stop - start, start)]

    async def descriptor(self) -> int:
        await trio.lowlevel.checkpoint()
        self.descriptors += 1
        descriptor = os.memfd_create("snapshot")
        os.pwrite(descriptor, self.data, 0)
        return descriptor

    async def read(self, start: int, stop: int, read_base: Any) -> bytes:
        await trio.lowlevel.checkpoint()
        if self.damaged:
            raise SpoolError("the spool is damaged")
        if self.base_gone:
            raise GoneError("no such version")
        self.read_bytes += stop - start
        return self.data[start:stop]


async def no_base(start: int, length: int) -> bytes:
    raise AssertionError("no byte is the base's")


class Rig:
    """A world, a journal, and one uploader after the other."""

    def __init__(self, nursery: trio.Nursery, **rules: Any) -> None:
        self.world = World(nursery)
        self.journal = Journal()
        self.states: list[tuple[State, str]] = []
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.posted: list[Any] = []
        self.points: list[str] = []
        self.kill_at: tuple[str, int] | None = None
        self.kill_after: set[int] = set()
        """Numbers of failpoints, of all that are passed."""
        self.signed_in = "owner"
        self.on_posted_error: list[Exception] = []
        self.rules = replace(Rules(Path("/nowhere")), **rules)
        self.uploader: Uploader

    def hooks(self) -> Hooks:
        return Hooks(
            on_state=lambda draft, state, reason: self.states.append((state, reason)),
            on_posted=self._on_posted,
            on_event=lambda kind, fields: self.events.append((kind, fields)),
            my_user_id=lambda: ME,
            is_signed_in=lambda owner: owner == self.signed_in,
            version_of=self.world.version_of,
            failpoint=self._failpoint,
        )

    async def _on_posted(self, draft: DraftId, generation: int, posted: Any, sha1: str) -> None:
        await trio.lowlevel.checkpoint()
        if self.on_posted_error:
            raise self.on_posted_error.pop()
        self.posted.append((draft, generation, posted, sha1))

    def _failpoint(self, name: str) -> None:
        self.points.append(name)
        if len(self.points) in self.kill_after:
            raise Killed
        if self.kill_at is not None and self.kill_at[0] == name:
            left = self.kill_at[1]
            self.kill_at = (name, left - 1) if left else None
            if not left:
                raise Killed

    def start(self, nursery: trio.Nursery) -> Uploader:
        self.uploader = Uploader(
            self.journal, self.world, self.world, self.world.list_again, nursery,
            rules=self.rules, hooks=self.hooks(),
        )  # fmt: skip
        return self.uploader

    def job(self, target: Target, data: bytes = OURS, generation: int = 1) -> UploadJob:
        draft = Draft(DRAFT, target.place, "key", "owner", generation=generation)
        return UploadJob(draft, target, Snapshot(data, generation), no_base)

    def version_of(self, item: Item) -> NewVersion:
        return NewVersion(PLACE, self.world.base(item), item.tip.name)

    async def upload(self, job: UploadJob, within_s: float = 7200.0) -> Outcome | None:
        """The outcome; None if there is none in that time. A kill ends the uploader, and another
        one goes on from the journal."""
        for _ in range(20):
            try:
                async with trio.open_nursery() as nursery:
                    uploader = self.start(nursery)
                    row = self.journal.rows.get(job.draft.id)
                    if row is None and self.posted:  # its owner knows, and orders nothing
                        return Outcome("posted", self.posted[-1][2].file)
                    if row is None:
                        uploader.submit(job)
                    else:
                        uploader.resume(row, job)
                    outcome = None
                    with trio.move_on_after(within_s):
                        outcome = await uploader.wait(job.draft.id)
                    nursery.cancel_scope.cancel()
                return outcome
            except* Killed:
                pass
        raise AssertionError("killed without end")

    @property
    def reasons(self) -> list[str]:
        return [reason for _, reason in self.states if reason]

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


def new_item(name: str = "Plan.dwg") -> NewItem:
    return NewItem(PLACE.named(name), name)


def play(
    scenario: Callable[[Rig], Awaitable[None]],
    *,
    small: int = 0,
    clock_off_s: float = 0.0,
    **rules: Any,
) -> None:
    """Run a scenario, with the time of a mock clock. ``small``: a part of so many bytes is not
    counted. ``clock_off_s``: how wrong this machine's clock is."""

    def clock_s() -> float:
        return wall_s() + clock_off_s

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await scenario(Rig(nursery, **rules))
            nursery.cancel_scope.cancel()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "wall_time_s", clock_s)
        patch.setattr(sending, "wall_time_s", clock_s)
        patch.setattr(pace, "SMALL_BYTES", small)
        patch.setattr(stage, "SMALL_BYTES", small)
        patch.setattr(records, "part_size", lambda size: PART)
        trio.run(main, clock=MockClock(autojump_threshold=0))
