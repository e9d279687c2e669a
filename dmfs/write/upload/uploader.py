"""All uploads of a profile: who goes up when, what waits and why."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import trio

from dmfs import errors
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.system.backoff import backoff_s
from dmfs.write.parts.put import PartSender
from dmfs.write.records import Change, DraftId, State
from dmfs.write.upload.pace import Budget, NewItems, PartPlaces, Slots
from dmfs.write.upload.plan.answers import FIRST_S, MAX_S, Kind, Pause, Stop, Wait, pause_after
from dmfs.write.upload.plan.conflicts import extension
from dmfs.write.upload.plan.records import KIND, Step, UploadRow, moved_on
from dmfs.write.upload.ports import (
    Hooks,
    Journal,
    ListAgain,
    Outcome,
    Progress,
    Rules,
    Service,
    UploadJob,
)
from dmfs.write.upload.steps import Steps
from dmfs.write.upload.work import Link, Tools, Work

log = logging.getLogger(__name__)

OUTCOMES_REMEMBERED = 4096
FINISH_LOOK_S = 0.1


class Uploader:
    """Takes confirmed generations to the service; one upload a draft at a time."""

    def __init__(
        self,
        journal: Journal,
        service: Service,
        sender: PartSender,
        list_again: ListAgain,
        nursery: trio.Nursery,
        *,
        rules: Rules,
        hooks: Hooks,
    ) -> None:
        self._nursery = nursery
        self._tools = Tools(
            journal, service, sender, list_again, rules, hooks, Slots(rules),
            NewItems(rules.new_items_a_minute), PartPlaces(rules, hooks.somebody_reads),
            Budget(rules.memory_bytes), Budget(rules.staged_bytes), Link(),
        )  # fmt: skip
        self._works: dict[DraftId, Work] = {}
        self._rows: dict[DraftId, UploadRow] = {}
        """Of uploads that are not under way: failed, or found in the journal."""
        self._over: dict[DraftId, trio.Event] = {}
        self._outcomes: OrderedDict[DraftId, Outcome] = OrderedDict()

    def submit(self, job: UploadJob) -> bool:
        """Begin the upload of a generation, or go on with it where the journal knows it. False,
        and nothing happens, while the draft's last one is still under way."""
        draft_id = job.draft.id
        if draft_id in self._works:
            return False
        self._outcomes.pop(draft_id, None)
        earlier = self._rows.pop(draft_id, None)
        row = _row_for(job, earlier)
        work = self._works[draft_id] = Work(job, row, self._tools)
        self._over[draft_id] = trio.Event()
        if earlier is not None and row is not earlier and earlier.at_large:
            work.left = earlier
        self._nursery.start_soon(self._take_up, work)
        return True

    def resume(self, row: Mapping[str, Any], job: UploadJob) -> bool:
        """The same, with a row of the journal (kind ``upload``) of an earlier process. A row that
        cannot be read counts as none: the upload begins anew."""
        try:
            self._rows[job.draft.id] = UploadRow.of_row(row)
        except (ValueError, TypeError, KeyError, AttributeError):
            self._rows.pop(job.draft.id, None)
        return self.submit(job)

    async def wait(self, draft_id: DraftId) -> Outcome:
        """The outcome of a draft's upload, once there is one: waiting for a lock, for the network
        or for a sign-in is none."""
        over = self._over.get(draft_id)
        if over is not None:
            await over.wait()
        return self._outcomes.get(draft_id, Outcome("failed", None, "no such upload"))

    def cancel(self, draft_id: DraftId) -> bool:
        """End an upload before it is posted; its row goes with it. False if it is, or may be, at
        the service already: it ends as soon as it is known that it is not."""
        work = self._works.get(draft_id)
        if work is None:
            row = self._rows.get(draft_id)
            if row is not None and row.at_large:
                return False
            if self._rows.pop(draft_id, None) is not None:
                self._nursery.start_soon(self._drop, draft_id)
            return True
        if not work.can_be_cancelled:
            work.unwanted = True
            return False
        work.scope.cancel()
        return True

    def nudge(self) -> None:
        """The network is back, or somebody signed in: whatever waits tries now."""
        for work in self._works.values():
            work.nudged.set()

    async def finish(self, within_s: float) -> None:
        """Before the process ends: begin nothing any more, and wait for answers that would else
        have to be looked for. What is under way goes on meanwhile; the next process resumes it."""
        self._tools.slots.close()
        with trio.move_on_after(within_s):
            while self._waits_for_an_answer():  # noqa: ASYNC110 - of any of several uploads
                await trio.sleep(FINISH_LOOK_S)

    def _waits_for_an_answer(self) -> bool:
        works = self._works.values()
        return any(each.in_slot and not each.can_be_cancelled for each in works)

    def is_under_way(self, draft_id: DraftId) -> bool:
        return draft_id in self._works

    def new_files_s(self, count: int) -> float:
        """Seconds until the service takes the last of so many new files; 0 where none of them is
        under way, such as offline."""
        if not count or not any(each.in_slot and each.is_new_item for each in self._works.values()):
            return 0.0
        return self._tools.new_items.delay_s(count - 1)

    def progress(self) -> list[Progress]:
        """Of all uploads that are ordered and not over."""
        now = trio.current_time()
        gate, order = self._tools.new_items, self._tools.slots.new_items_ahead
        place = {draft_id: index for index, draft_id in enumerate(order)}
        found = []
        for draft_id, work in self._works.items():
            reason, left_s = work.reason, max(0.0, work.next_try_at - now)
            if draft_id in place and not work.in_slot and left_s == 0:
                left_s = gate.delay_s(place[draft_id])
                reason = f"{gate.a_minute} new files a minute" if left_s else "its turn comes"
            found.append(
                Progress(
                    draft_id, work.state, reason, work.done_bytes, work.row.size_bytes,
                    work.rate.bytes_s, left_s,
                )
            )  # fmt: skip
        return found

    async def _take_up(self, work: Work) -> None:
        draft_id = work.row.draft_id
        outcome = Outcome("cancelled")
        try:
            # the task that ordered it may be somebody's look-up: its urgency is not ours
            with work.scope, at_priority(RequestPriority(work.job.priority)):
                outcome = await self._to_the_end(work)
            if work.scope.cancelled_caught:
                await self._drop(draft_id)
        except Exception:  # one upload's fault must not end the drive
            log.exception("an upload failed by a bug")
            outcome = Outcome("failed", None, "a bug in dmfs: its log has more")
        finally:
            self._works.pop(draft_id, None)
            if outcome.kind == "failed":
                self._rows[draft_id] = work.row
            self._outcomes[draft_id] = outcome
            while len(self._outcomes) > OUTCOMES_REMEMBERED:
                forgotten, _ = self._outcomes.popitem(last=False)
                self._over.pop(forgotten, None)
            self._over[draft_id].set()

    async def _drop(self, draft_id: DraftId) -> None:
        with trio.CancelScope(shield=True):
            try:
                change = Change(KIND, draft_id, None)
                await self._tools.journal.commit([change], durable=True)
            except errors.DriveError:
                pass  # the row is of no use to anybody: the next start drops it

    async def _to_the_end(self, work: Work) -> Outcome:
        """Try until it is done or only a person can help."""
        attempts = _Attempts(work)
        failures = 0
        while True:
            before = (work.row.step, len(work.row.etags))
            result = await attempts.next()
            if isinstance(result, Outcome):
                return result
            if result.kind is Kind.FAILED:
                await work.be(State.FAILED, result.reason)
                await work.event("failed", reason=result.reason)
                return Outcome("failed", None, result.reason)
            failures = 1 if before != (work.row.step, len(work.row.etags)) else failures + 1
            work.trouble = result.reason
            await work.be(State.WAITING, result.reason)
            wait_s = result.wait_s
            if result.kind is Kind.BACKOFF:
                wait_s = max(wait_s, backoff_s(failures, FIRST_S, MAX_S))
            if await work.pause(wait_s):
                failures = 0


class _Attempts:
    """At one upload: each goes on where the last one stopped."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._steps = Steps(work)
        self._busy_since: float | None = None

    async def next(self) -> Outcome | Pause:
        """The outcome, or why there is none yet."""
        try:
            return await self._in_a_slot()
        except Stop as stop:
            return Pause(Kind.FAILED, stop.reason)
        except Wait as wait:
            return wait.pause
        except errors.InUseError as error:
            if self._busy_since is None:
                self._busy_since = trio.current_time()
            return pause_after(error, trio.current_time() - self._busy_since)
        except errors.DriveError as error:
            self._busy_since = None
            return pause_after(error, 0.0)
        except OSError as error:
            return Pause(Kind.BACKOFF, f"this machine cannot prepare it: {error.strerror}")

    async def _in_a_slot(self) -> Outcome:
        work = self._work
        slots = work.tools.slots
        async with slots.turn(work.row.draft_id, work.row.size_bytes, work.is_new_item):
            work.in_slot = True
            work.begin_try()
            try:
                if work.left is not None:
                    outcome = await self._settle(work.left)
                    if outcome is not None:
                        return outcome
                    work.left = None
                    self._steps = Steps(work)
                return await self._steps.run()
            finally:
                work.in_slot = False

    async def _settle(self, left: UploadRow) -> Outcome | None:
        """An upload of an older generation, or to another place, may have become a version: only
        then is it known what this one stands on, and whether anything is left of it to do."""
        work = self._work
        older = Work(work.job, left, work.tools)
        outcome = await Steps(older).settle()
        if outcome is None or outcome.file is None:
            await work.become("begin", work.row)
            return None
        if left.generation == work.row.generation:
            work.row = older.row
            return await Steps(work).run()
        target = moved_on(work.row.target, outcome.file, left)
        await work.become("begin", replace(work.row, target=target))
        return None


def _row_for(job: UploadJob, earlier: UploadRow | None) -> UploadRow:
    """What a job goes on from: the row of the same generation to the same place, or a new one."""
    snapshot = job.snapshot
    fresh = UploadRow.begin(job.draft.id, job.target, snapshot.generation, snapshot.size_bytes)
    if earlier is None or earlier.draft_id != job.draft.id:
        return fresh
    same = earlier.generation == fresh.generation and earlier.size_bytes == fresh.size_bytes
    if same and (earlier.wanted == job.target or earlier.step in (Step.POSTED, Step.COPY)):
        # a person's retry is a fresh start as far as patience goes
        return replace(earlier, remakes=0, refusals=0) if earlier.remakes else earlier
    fits = extension(earlier.storage_name) == extension(job.target.name)
    if same and fits and earlier.storage_id and not earlier.at_large:
        # to another place, or under another name: what went up already serves there as well
        return replace(
            earlier, wanted=job.target, target=job.target, remakes=0, refusals=0, posts=0,
            first_post_s=0.0, conflict="",
        )  # fmt: skip
    return fresh
