"""One upload under way: its row, and how it is journalled, called and told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import trio

from dmfs.model import Project
from dmfs.system.clock import wall_time_s
from dmfs.system.concurrency import deadline
from dmfs.write.parts.put import PartSender
from dmfs.write.records import NewItem, State
from dmfs.write.upload.pace import Budget, NewItems, PartPlaces, Rate, Slots
from dmfs.write.upload.plan.records import Step, UploadRow
from dmfs.write.upload.ports import (
    Hooks,
    Journal,
    ListAgain,
    Rules,
    Service,
    UploadJob,
    tell,
)
from dmfs.write.upload.stage import Stager

T = TypeVar("T")

NO_ACCELERATION_S = 600.0


class Link:
    """Whether the storage's accelerated host can be reached, as far as the last part said."""

    def __init__(self) -> None:
        self._slow_until = float("-inf")

    @property
    def accelerate(self) -> bool:
        return trio.current_time() >= self._slow_until

    def not_reached(self) -> None:
        self._slow_until = trio.current_time() + NO_ACCELERATION_S


class Tools(NamedTuple):
    """What all uploads share."""

    journal: Journal
    service: Service
    sender: PartSender
    list_again: ListAgain
    rules: Rules
    hooks: Hooks
    slots: Slots
    new_items: NewItems
    places: PartPlaces
    memory: Budget
    disk: Budget
    link: Link


class Work:
    """An upload, from its order to its outcome."""

    def __init__(self, job: UploadJob, row: UploadRow, tools: Tools) -> None:
        self.job, self.row, self.tools = job, row, tools
        self.scope = trio.CancelScope()
        self.state, self.reason = State.WAITING, ""
        self.trouble = ""
        """Why the last try failed, as long as the next has come no further."""
        self.next_try_at = 0.0
        self.sending: dict[int, int] = {}
        """Bytes of parts under way, by their number."""
        self.rate = Rate()
        self.nudged = trio.Event()
        self.in_slot = False
        self.unwanted = False
        """Its file was deleted while something of it might have been at the service: once it is
        known that there is nothing, it ends. A lost POST is sent again all the same: only what has
        used the storage keeps a late one from making a version after the deletion."""
        self.left: UploadRow | None = None
        """Of an older order, which may have become a version: that is found out first."""
        self._journalling = trio.Lock()
        self.stager = self._new_stager()
        self._post_at = trio.current_time() - max(0.0, wall_time_s() - row.post_sent_at_s)

    def _new_stager(self) -> Stager:
        tools = self.tools
        return Stager(
            self.job.snapshot, self.job.read_base, self.row.plan, self.row.wanted,
            tools.rules, tools.memory, tools.disk,
        )  # fmt: skip

    @property
    def project(self) -> Project:
        place = self.row.target.place
        return Project(place.project_id, place.hub_id, "")

    @property
    def is_new_item(self) -> bool:
        return isinstance(self.row.target, NewItem)

    @property
    def can_be_cancelled(self) -> bool:
        """Whether nothing of it can be at the service yet."""
        return self.left is None and not self.row.at_large

    async def end_if_unwanted(self) -> None:
        """Cancelled here if its file was deleted, and nothing of it is at the service."""
        if self.unwanted and self.can_be_cancelled:
            self.scope.cancel()
            await trio.lowlevel.checkpoint()

    @property
    def done_bytes(self) -> int:
        """Bytes that the storage has or is getting."""
        if self.row.step in (Step.POSTED, Step.COPY, Step.POST, Step.COMPLETE):
            return self.row.size_bytes
        plan = self.row.plan
        accepted = sum(plan.part(number).length for number in self.row.etags)
        return accepted + sum(self.sending.values())

    async def note(self, name: str, *, durable: bool = True, **changes: Any) -> None:
        """Journal the row with ``changes``. The copy in memory may be ahead of the journal's: a
        step that is repeated after a kill looks for what it did."""
        await self.become(name, replace(self.row, **changes), durable=durable)

    async def become(self, name: str, row: UploadRow, *, durable: bool = True) -> None:
        """The same, for another row."""
        failpoint = self.tools.hooks.failpoint
        failpoint(f"{name}.commit.before")
        if row.step is not self.row.step:
            self.trouble = ""
        self.row = row
        async with self._journalling:  # parts end together: no older row goes over a newer one
            await self.tools.journal.commit([self.row.change()], durable=durable)
        failpoint(f"{name}.commit.after")

    async def close(self) -> None:
        """The row goes: nothing is left to do."""
        self.tools.hooks.failpoint("close.commit.before")
        await self.tools.journal.commit([self.row.removal()], durable=True)
        self.tools.hooks.failpoint("close.commit.after")

    async def call(
        self,
        name: str,
        action: str,
        ask: Callable[[], Awaitable[T]],
        seconds: float | None = None,
    ) -> T:
        """A call to the service, with its deadline. DeadlineError."""
        self.tools.hooks.failpoint(f"{name}.call.before")
        with deadline(self.tools.rules.call_s if seconds is None else seconds, action):
            answer = await ask()
        self.tools.hooks.failpoint(f"{name}.call.after")
        return answer

    async def be(self, state: State, reason: str = "") -> None:
        """Tell the state, if it is another one."""
        if state is State.UPLOADING and not reason:
            reason = self.trouble
        if (self.state, self.reason) != (state, reason):
            self.state, self.reason = state, reason
            await tell(self.tools.hooks.on_state, self.row.draft_id, state, reason)

    async def event(self, kind: str, **fields: Any) -> None:
        """Something that a person may want to know."""
        row = self.row
        known = {"draft": row.draft_id, "name": row.target.name, **fields}
        await tell(self.tools.hooks.on_event, kind, known)

    def begin_try(self) -> None:
        """Nudges up to now are answered by this try; one that comes while it runs is for the pause
        after it: what it says may have become true too late for the call under way."""
        self.nudged = trio.Event()

    async def pause(self, seconds: float) -> bool:
        """Wait, or until there is a nudge since the last try began; True if it was one."""
        self.next_try_at = trio.current_time() + seconds
        with trio.move_on_after(seconds):
            await self.nudged.wait()
        self.next_try_at = 0.0
        return self.nudged.is_set()

    async def about_to_post(self, expected: int) -> None:
        """Journal that a POST will be sent now: from here on it may have happened."""
        now_s = wall_time_s()
        self._post_at = trio.current_time()
        await self.note(
            "post", expected=expected, posts=self.row.posts + 1, post_sent_at_s=now_s,
            first_post_s=self.row.first_post_s or now_s,
        )  # fmt: skip

    def since_post_s(self) -> float:
        """Seconds since the last POST. Over a restart the wall clock tells, once."""
        return trio.current_time() - self._post_at
