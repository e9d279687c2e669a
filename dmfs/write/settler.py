"""Watches the folders that something was written in, and carries out what settling decides.

Files go up by the uploader, several at once. Renames and deletions follow one by one, after the
uploads of their folder, and only while nothing of it is under way: whatever is cut in between, the
service shows the file that was there before.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace

import trio

from dmfs.errors import DriveError
from dmfs.model import Directory, Folder, FolderId, ItemId
from dmfs.namespace.listings import Listings
from dmfs.write.calls.name_calls import NameCalls
from dmfs.write.drafts import Drafts
from dmfs.write.live import LiveFile
from dmfs.write.name_steps import NEVER, RETRY_S, NameSteps, PendingName, PendingStep
from dmfs.write.overlay.overlay import Overlay
from dmfs.write.overlay.view import FolderView
from dmfs.write.records import Base, State, is_account
from dmfs.write.settle.local_names import is_local_folder
from dmfs.write.settle.nouns import (
    DeleteItem,
    FolderState,
    HoldDeletes,
    KeepLocal,
    MakeDraft,
    Plan,
    Rules,
    ShowAgain,
    Step,
    UploadNewItem,
    UploadNewVersion,
)
from dmfs.write.settle.plan import settle
from dmfs.write.settle.recording.name_table import LAG_S
from dmfs.write.spool.spool import Spool
from dmfs.write.upload_orders import DraftStates, OnEvent, UploadOrders

log = logging.getLogger(__name__)

LOOKS_A_DELAY = 5
"""A folder in which much happens is looked at so often in one delay."""
BUSY_LOOK_S = 0.05
AGREEING_MAX = 1000
"""Folders in which all is done and no listing has said so: 3 KB each, and their listings."""


class Settler:
    """See above. ``run`` is its task; ``touched`` says that something happened."""

    def __init__(
        self, overlay: Overlay, drafts: Drafts, orders: UploadOrders, spool: Spool,
        names: NameCalls, listings: Listings, nursery: trio.Nursery, rules: Rules,
        on_event: OnEvent,
    ) -> None:  # fmt: skip
        self._overlay = overlay
        self._drafts = drafts
        self._spool = spool
        self._listings = listings
        self._nursery = nursery
        self.rules = rules
        self._on_event = on_event
        self.orders = orders
        self._due: dict[FolderId, float] = {}
        self._busy: set[FolderId] = set()
        self._steps = NameSteps(
            spool, names, drafts, listings, orders, on_event, self._still_due
        )  # fmt: skip
        self._announced: set[FolderId] = set()
        """Folders of which it was said that their deletions wait."""
        self._wake = trio.Event()
        self._hurrying = 0
        """How many wait for everything to go up."""
        drafts.on_change = self.touched
        orders.on_over = self.touched
        overlay.on_agreement = self.touched

    def start(self) -> None:
        """Look at what an earlier run has left."""
        for view in self._overlay.views():
            self.touched(view.folder_id)

    def touched(self, folder_id: FolderId) -> None:
        """Something happened there: it is looked at soon."""
        pause_s = self.rules.upload_delay_s / LOOKS_A_DELAY if not self.hurried else 0.0
        at = trio.current_time() + pause_s
        if self._due.get(folder_id, NEVER) > at:
            self._due[folder_id] = at
            self._wake.set()

    def is_local(self, name: str) -> bool:
        """Whether a program makes such a name for itself, whatever else is in the folder."""
        return self.rules.local_names.find(name) is not None

    def is_dancing(self, view: FolderView) -> bool:
        """Whether a program is saving in a folder: something of ours was touched just now."""
        since_s = trio.current_time() - view.names.draft_touched_at()
        return since_s <= self.rules.upload_delay_s

    @property
    def hurried(self) -> bool:
        return self._hurrying > 0

    def hurry(self, on: bool) -> None:
        """Wait for nothing but the service, as long as somebody wants all to be there; each call
        with True is followed by one with False."""
        self._hurrying += 1 if on else -1
        for view in self._overlay.views():
            self.touched(view.folder_id)
        if on:
            self.try_again()

    def try_again(self) -> None:
        """What waits for a better moment need not wait any longer."""
        self._steps.retry()
        self.orders.uploader.nudge()
        self.start()

    async def run(self) -> None:
        """For ever."""
        while True:
            now = trio.current_time()
            for folder_id in [each for each, at in self._due.items() if at <= now]:
                if folder_id in self._busy:  # what happened since its plan was made is not in it
                    self._due[folder_id] = now + BUSY_LOOK_S
                    continue
                del self._due[folder_id]
                if view := self._overlay.find(folder_id):
                    self._busy.add(folder_id)
                    self._nursery.start_soon(self._look, view)
            self._wake = trio.Event()
            with trio.move_on_at(min(self._due.values(), default=NEVER)):
                await self._wake.wait()

    # One folder

    async def _look(self, view: FolderView) -> None:
        folder_id = view.folder_id  # it changes when a folder that was made here is made there
        try:
            next_at = await self._carry_out(view, self.plan(view))
            if next_at is None:
                next_at = await self._list_if_crowded(view)
        except DriveError as error:
            log.warning("%s", error.message)
            next_at = trio.current_time() + RETRY_S
        except Exception:
            log.exception("settling a folder failed")
            next_at = trio.current_time() + RETRY_S
        finally:
            self._busy.discard(folder_id)
        if next_at is not None and self._due.get(view.folder_id, NEVER) > next_at:
            self._due[view.folder_id] = next_at
            self._wake.set()

    def plan(self, view: FolderView, *, hurry: bool = False, closing: str = "") -> Plan:
        """What is to be done now. ``closing``: a draft whose last writing handle counts as closed
        already."""
        rules = self.rules
        if hurry or self.hurried:
            rules = replace(
                rules, upload_delay_s=0.0, empty_delay_s=0.0, unclear_delay_s=0.0,
                version_interval_s=0.0, bulk_hold_s=0.0,
            )  # fmt: skip
        return settle(self._state(view, closing), trio.current_time(), rules)

    def _state(self, view: FolderView, closing: str) -> FolderState:
        listing = self._overlay.listed(view.directory)
        if listing is not None:
            view.see(listing)
        return view.names.state(
            "b" if is_account(view.place("")) else "a",
            DraftStates(self._drafts, closing),
            siblings=view.others(),
            local=is_local_tree(view.directory),
            made_folder=not (isinstance(view.directory, Folder) and view.directory.comes_later),
        )

    async def _carry_out(self, view: FolderView, plan: Plan) -> float | None:
        now = trio.current_time()
        self._tell(view, plan.reasons)
        next_at, rests = plan.next_look_at, True
        for step in plan.steps:
            if isinstance(step, KeepLocal):
                await self._keep_local(view, step)
            elif isinstance(step, UploadNewItem | UploadNewVersion):
                rests = False
                self.orders.begin(view, step)
            elif isinstance(step, MakeDraft):
                rests = False
                await self._make_draft(view, step)
            elif isinstance(step, HoldDeletes):
                self._announce(view, step)
            elif isinstance(step, ShowAgain):
                if rests:  # what stood there may be on its way to another item
                    await self._show_again(view, step)
            elif rests := rests and not self.orders.must_wait(view, step):
                until = self._steps.held(view, step).until
                if until <= now:
                    until = await self._steps.carry_out(view, step)
                next_at = min(until, next_at or NEVER)
                # what follows may need the name that it leaves; for a person nothing waits
                rests = not self._steps.held(view, step) or until == NEVER
        await self._let_rest(view, plan)
        if not view.differs:
            await self._agreed(view)
        return next_at if next_at != NEVER else None

    async def _list_if_crowded(self, view: FolderView) -> float | None:
        """A folder in which only a listing is waited for costs no call: whoever looks into it will
        list it. Of very many of them perhaps nobody ever does."""
        if not view.waits_for_listing or len(self._overlay.views()) <= AGREEING_MAX:
            return None
        view.see(await self._listings.list_again(view.directory))
        if view.differs:  # it lags behind
            return trio.current_time() + LAG_S
        await self._agreed(view)
        return None

    async def _agreed(self, view: FolderView) -> None:
        """A listing agrees with all that was done in a folder: nothing is remembered of it."""
        self._announced.discard(view.folder_id)
        self._steps.forget(view)
        rows = view.rows()
        if rows:
            await self._spool.commit(rows)

    def _still_due(self, view: FolderView, step: Step) -> bool:
        return step in self.plan(view, hurry=True).steps

    async def _let_rest(self, view: FolderView, plan: Plan) -> None:
        """What was to go up under a name that it has no more is clean again."""
        busy = {*plan.reasons, *(getattr(step, "place", "") for step in plan.steps)}
        for name in set(view.names.touched()) - busy:
            live = view.live_at(name)
            if live is None or live.draft is None or live.is_dirty or live.unfinished:
                continue
            draft = live.draft
            up = 0 < draft.generation == draft.uploaded_generation
            if up and draft.state is State.WAITING and not self.orders.is_under_way(draft.id):
                view.lose(draft.id)
                self._drafts.set_state(live, State.CLEAN, "")
                await self._drafts.note(live)
                await self._spool.commit(view.rows())

    def _tell(self, view: FolderView, reasons: Mapping[str, str]) -> None:
        for name, reason in reasons.items():
            live = view.live_at(name)
            if live is not None and live.draft is not None and live.draft.state is State.WAITING:
                self._drafts.set_state(live, State.WAITING, reason)

    async def _show_again(self, view: FolderView, step: ShowAgain) -> None:
        file = view.file_of(step.item)
        parted = [] if file is None else self._drafts.adopted.parted(file)
        view.done(step, trio.current_time(), None)
        await self._spool.commit([*parted, *view.rows()])
        self.orders.show_anew(view, [step.place, step.item.name])
        self.touched(view.folder_id)  # its name may be what another file has waited for

    async def _keep_local(self, view: FolderView, step: KeepLocal) -> None:
        view.done(step, trio.current_time(), None)
        live = view.live_at(step.place)
        if live is not None:
            self._drafts.set_state(live, State.LOCAL, step.why)
            await self._drafts.note(live)
        await self._spool.commit(view.rows())

    async def _make_draft(self, view: FolderView, step: MakeDraft) -> None:
        """A version becomes content of ours, which goes up as the next one of another item."""
        file = view.file_of(step.item)
        if file is None:
            log.error("nothing is known of the version under %r", step.place)
            return
        live = self._drafts.live(self._drafts.adopted.shown(file), view.place(step.place))
        await live.take_all()
        tip = view.names.at_home(step.place)
        newest = None if tip is None or tip.item_id != file.item_id else view.file_of(tip)
        if newest is not None and live.draft is not None:  # ours: no change of somebody else's
            base = Base.of(newest, newest.size_bytes or 0)
            live.draft = replace(live.draft, base=base)
            await self._drafts.note(live)
        self.touched(view.folder_id)

    def _announce(self, view: FolderView, step: HoldDeletes) -> None:
        if view.folder_id not in self._announced:
            self._announced.add(view.folder_id)
            log.warning("%d deletions in one folder wait a minute", step.count)
            self._on_event("deletions", {"count": step.count, "folder_id": view.folder_id})

    # For those who wait

    async def sync(self, live: LiveFile) -> None:
        """Wait until the service has what was confirmed; the error of the upload. What is local
        stays local."""
        while live.place is not None and live.draft is not None and not live.is_clean:
            view = self._overlay.of(live.place)
            plan = self.plan(view, hurry=True, closing=live.draft.id)
            steps = [each for each in plan.steps if getattr(each, "draft", "") == live.draft.id]
            if not steps:
                return
            over = self.orders.begin(view, steps[0])  # type: ignore[arg-type]
            if over is None:
                return
            await over.wait()
            if live.draft.state is State.FAILED:
                raise DriveError(f"cannot save {live.draft.place.name!r}: {live.draft.reason}")

    def waiting(self) -> list[LiveFile]:
        """Files that have not gone up, and shall."""
        stays = (State.CLEAN, State.LOCAL, State.CONFLICT)
        return [
            live
            for live in self._drafts.by_id.values()
            if live.draft is not None and live.draft.state not in stays and live.place is not None
        ]

    def pending_names(self) -> list[PendingName]:
        """Renames and deletions that the service has not seen. Folders in which there can be none
        are not planned."""
        return [
            PendingName(view, step, *self._steps.held(view, step))
            for view in self._overlay.views()
            if view.names.waits
            for step in self.plan(view, hurry=True).steps
            if isinstance(step, PendingStep)
        ]

    async def delete_now(self, view: FolderView, item_ids: Collection[ItemId]) -> None:
        """Delete at once what was unlinked, because a person has named it. DriveError if the
        service refuses one; it is tried again."""
        folder_id = view.folder_id
        while over := self.orders.in_the_way(view, item_ids):
            await over.wait()
        while folder_id in self._busy:  # noqa: ASYNC110 - for a moment, and rarely
            await trio.sleep(BUSY_LOOK_S)
        self._busy.add(folder_id)
        try:
            for step in self.plan(view, hurry=True).steps:
                if isinstance(step, DeleteItem) and step.item.item_id in item_ids:
                    await self._steps.carry_out(view, step)
                    held = self._steps.held(view, step)
                    if held:
                        raise DriveError(held.reason)
        finally:
            self._busy.discard(folder_id)
            self.touched(folder_id)


def is_local_tree(directory: Directory) -> bool:
    """Whether all of a directory stays on this machine."""
    return isinstance(directory, Folder) and (
        directory.stays_here or is_local_folder(directory.name)
    )
