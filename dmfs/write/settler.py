"""Watches the folders that something was written in, and carries out what settling decides.

Files go up by the uploader, several at once. Renames and deletions follow one by one, after the
uploads of their folder, and only while nothing of it is under way: whatever is cut in between, the
service shows the file that was there before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import trio

from dmfs.errors import DriveError
from dmfs.model import Directory, File, FolderId
from dmfs.namespace.listings import Listings
from dmfs.write.drafts import Drafts, Upload
from dmfs.write.live import LiveFile
from dmfs.write.calls.name_calls import NameCalls
from dmfs.write.overlay import FolderView, Overlay
from dmfs.write.places import is_account
from dmfs.write.records import Base, DraftId, NewItem, NewVersion, State, Target
from dmfs.write.settle.plan import settle
from dmfs.write.settle.state import DraftState, FolderState, Rules
from dmfs.write.settle.steps import (
    HoldDeletes,
    KeepLocal,
    Plan,
    UploadNewItem,
    UploadNewVersion,
)
from dmfs.write.spool.spool import Spool
from dmfs.write.upload.ports import Outcome, PostedLike, UploadJob
from dmfs.write.upload.uploader import Uploader

log = logging.getLogger(__name__)

LOOKS_A_DELAY = 5
"""A folder in which much happens is looked at so often in one delay."""
NEVER = float("inf")
RETRY_S = 30.0
HURRY = {"upload_delay_s": 0.0, "empty_delay_s": 0.0, "unclear_delay_s": 0.0,
         "version_interval_s": 0.0, "bulk_hold_s": 0.0}  # fmt: skip
OnEvent = Callable[[str, Mapping[str, Any]], None]


class Settler:
    """See above. ``run`` is its task; ``touched`` says that something happened."""

    def __init__(
        self, overlay: Overlay, drafts: Drafts, spool: Spool, names: NameCalls,
        listings: Listings, nursery: trio.Nursery, rules: Rules, on_event: OnEvent,
    ) -> None:  # fmt: skip
        self._overlay = overlay
        self._drafts = drafts
        self._spool = spool
        self._names = names
        self._listings = listings
        self._nursery = nursery
        self.rules = rules
        self._on_event = on_event
        self.uploader: Uploader
        """Set once both are there: its hooks are of this object."""
        self._earlier: dict[str, Mapping[str, Any]] = {}
        """Rows of uploads of an earlier run, by draft id."""
        self._due: dict[FolderId, float] = {}
        self._under_way: dict[DraftId, Upload] = {}
        self._busy: set[FolderId] = set()
        self._held: dict[tuple[FolderId, str], tuple[float, str]] = {}
        """Steps that failed: not before that time, and why."""
        self._announced: set[FolderId] = set()
        self._wake = trio.Event()
        self.hurried = False
        """Whether somebody waits for everything to go up."""
        drafts.on_change = self.touched
        drafts.on_dropped = self.dropped

    def load(self, rows: Mapping[str, Any]) -> None:
        """Of the journal, kind ``upload``."""
        self._earlier = {key: row.record for key, row in rows.items()}
        for view in self._overlay.views():
            self.touched(view.folder_id)

    def touched(self, folder_id: FolderId) -> None:
        """Something happened there: it is looked at soon."""
        pause_s = self.rules.upload_delay_s / LOOKS_A_DELAY if not self.hurried else 0.0
        at = trio.current_time() + pause_s
        if self._due.get(folder_id, NEVER) > at:
            self._due[folder_id] = at
            self._wake.set()

    def dropped(self, draft_id: DraftId) -> None:
        """It has no name any more: it must not go up."""
        self.uploader.cancel(draft_id)

    def is_local(self, name: str) -> bool:
        """Whether a program makes such a name for itself, whatever else is in the folder."""
        return self.rules.local_names.is_always(name)

    def hurry(self, on: bool) -> None:
        """Wait for nothing but the service, as long as somebody wants all to be there."""
        self.hurried = on
        for view in self._overlay.views():
            self.touched(view.folder_id)
        if on:
            self._held.clear()
            self.uploader.nudge()

    async def run(self) -> None:
        """For ever."""
        while True:
            now = trio.current_time()
            for folder_id in [each for each, at in self._due.items() if at <= now]:
                del self._due[folder_id]
                view = self._overlay.find(folder_id)
                if view is not None and folder_id not in self._busy:
                    self._busy.add(folder_id)
                    self._nursery.start_soon(self._look, view)
            self._wake = trio.Event()
            with trio.move_on_at(min(self._due.values(), default=NEVER)):
                await self._wake.wait()

    # One folder

    async def _look(self, view: FolderView) -> None:
        try:
            plan = self.plan(view)
            next_at = await self._carry_out(view, plan)
        except DriveError as error:
            log.warning("%s", error.message)
            next_at = trio.current_time() + RETRY_S
        except Exception:
            log.exception("settling a folder failed")
            next_at = trio.current_time() + RETRY_S
        finally:
            self._busy.discard(view.folder_id)
        if next_at is not None and self._due.get(view.folder_id, NEVER) > next_at:
            self._due[view.folder_id] = next_at
            self._wake.set()

    def plan(self, view: FolderView, *, hurry: bool = False, closing: str = "") -> Plan:
        """What is to be done now. ``closing``: a draft whose last writing handle counts as closed
        already."""
        rules = self.rules
        if hurry or self.hurried:
            rules = replace(rules, **HURRY)
        return settle(self._state(view, closing), trio.current_time(), rules)

    def _state(self, view: FolderView, closing: str) -> FolderState:
        listing = self._listings.known(view.directory)
        siblings: Iterable[str] = () if listing is None else listing.names
        return view.names.state(
            "b" if is_account(view.place("")) else "a",
            _DraftStates(self._drafts, closing),
            siblings=siblings,
            local=is_local_tree(view.directory),
        )

    async def _carry_out(self, view: FolderView, plan: Plan) -> float | None:
        now = trio.current_time()
        self._tell(view, plan.reasons)
        next_at = plan.next_look_at
        rests = True
        for step in plan.steps:
            if isinstance(step, KeepLocal):
                await self._keep_local(view, step)
            elif isinstance(step, UploadNewItem | UploadNewVersion):
                rests = False
                self._order(view, step)
            elif isinstance(step, HoldDeletes):
                self._announce(view, step)
            elif rests:
                held_until, _ = self._held.get((view.folder_id, step.place), (0.0, ""))
                if held_until > now:
                    next_at = min(held_until, next_at or NEVER)
                    continue
                until = await self._change(view, step)
                next_at = min(until, next_at or NEVER)
        return next_at if next_at != NEVER else None

    def _tell(self, view: FolderView, reasons: Mapping[str, str]) -> None:
        for name, reason in reasons.items():
            live = view.live_at(name)
            if live is not None and live.draft is not None and live.draft.state is State.WAITING:
                self._drafts.set_state(live, State.WAITING, reason)

    async def _keep_local(self, view: FolderView, step: KeepLocal) -> None:
        view.done(step, trio.current_time(), None)
        live = view.live_at(step.place)
        if live is not None:
            self._drafts.set_state(live, State.LOCAL, step.why)
            await self._drafts.note(live)
        await self._spool.commit(view.rows())

    def _announce(self, view: FolderView, step: HoldDeletes) -> None:
        if view.folder_id not in self._announced:
            self._announced.add(view.folder_id)
            log.warning("%d deletions in one folder wait a minute", step.count)
            self._on_event("deletions", {"count": step.count, "folder_id": view.folder_id})

    async def _change(self, view: FolderView, step: Any) -> float:
        """A rename, a copy or a deletion; when to look again."""
        began_at = trio.current_time()
        key = view.folder_id, step.place
        try:
            done, file = await self._names.carry_out(view, step)
        except DriveError as error:
            final = self._names.is_final(error)
            until = NEVER if final else trio.current_time() + RETRY_S
            self._held[key] = until, error.message
            log.warning("%s", error.message)
            self._on_event("failed", {"name": step.place, "reason": error.message})
            return until
        self._held.pop(key, None)
        if done:
            view.done(step, began_at, file)
        await self._spool.commit(view.rows())
        self._show_anew(view, [step.place])
        return trio.current_time()

    def _show_anew(self, view: FolderView, names: Iterable[str]) -> None:
        self._listings.shown_anew(view.directory, [name for name in names if name])

    # Uploads

    def _order(self, view: FolderView, step: Upload) -> trio.Event | None:
        """Begin an upload, if it is not under way."""
        live = self._drafts.by_id.get(step.draft)
        if live is None or live.draft is None or live.content is None:
            return None
        if self.uploader.is_under_way(step.draft) or step.draft in self._under_way:
            return None
        target = self._target(view, step, live)
        if target is None:
            log.error("nothing is known of the version that %r stands on", step.place)
            return None
        self._under_way[step.draft] = step
        over = trio.Event()
        self._nursery.start_soon(self._upload, view, live, target, over)
        return over

    def _target(self, view: FolderView, step: Upload, live: LiveFile) -> Target | None:
        place = view.place(step.place)
        if isinstance(step, UploadNewItem):
            return NewItem(place, step.name)
        assert live.draft is not None
        base = live.draft.base
        if base is None or base.item_id != step.item.item_id:
            file = view.file_of(step.item)
            if file is None:
                return None
            base = Base.of(file, file.size_bytes or 0)
        return NewVersion(place, base, step.name)

    async def _upload(
        self, view: FolderView, live: LiveFile, target: Target, over: trio.Event
    ) -> None:
        assert live.draft is not None and live.content is not None
        draft, content = live.draft, live.content
        base = _BaseBytes(self._drafts, live.file)
        try:
            snapshot = content.snapshot()
            try:
                job = UploadJob(draft, target, snapshot, base.read)
                earlier = self._earlier.pop(draft.id, None)
                if earlier is not None:
                    self.uploader.resume(earlier, job)
                else:
                    self.uploader.submit(job)
                outcome = await self.uploader.wait(draft.id)
            finally:
                content.release(snapshot)
        except DriveError as error:
            outcome = Outcome("failed", None, error.message)
        finally:
            base.close()
            self._under_way.pop(draft.id, None)
            over.set()
        if outcome.kind == "failed":
            self._drafts.fail(live, outcome.reason)
            await self._drafts.note(live)
        self.touched(view.folder_id)

    async def on_posted(
        self, draft_id: DraftId, generation: int, posted: PostedLike, sha1: str
    ) -> None:
        """See ``upload.ports.Hooks``."""
        step, live = self._under_way.get(draft_id), self._drafts.by_id.get(draft_id)
        if step is None or live is None or live.draft is None:
            return
        file, size_bytes = posted.file, posted.file.size_bytes
        if size_bytes is None:
            size_bytes = live.draft.size_bytes
        before = step.place
        if file.name != step.name:
            await self._drafts.went_beside(step, file.name, generation, file, size_bytes)
        elif isinstance(step, UploadNewVersion) and file.item_id != step.item.item_id:
            anew = UploadNewItem(step.draft, step.place, step.name)
            await self._drafts.posted(anew, generation, file, size_bytes)
        else:
            await self._drafts.posted(step, generation, file, size_bytes)
        view = self._overlay.of(live.place or live.draft.place)
        self._show_anew(view, {before, file.name})
        if not posted.conforming:
            self._on_event("holding area", {"name": file.name})

    async def on_state(self, draft_id: DraftId, state: State, reason: str) -> None:
        """See ``upload.ports.Hooks``."""
        live = self._drafts.by_id.get(draft_id)
        if live is not None and live.draft is not None and live.draft.state is not State.CONFLICT:
            self._drafts.set_state(live, state, reason)

    async def sync(self, live: LiveFile) -> None:
        """Wait until the service has what was confirmed; the error of the upload. What is local
        stays local."""
        while live.place is not None and live.draft is not None and not live.is_clean:
            view = self._overlay.of(live.place)
            plan = self.plan(view, hurry=True, closing=live.draft.id)
            steps = [each for each in plan.steps if getattr(each, "draft", "") == live.draft.id]
            if not steps:
                return
            over = self._order(view, steps[0])  # type: ignore[arg-type]
            if over is not None:
                await over.wait()
            else:
                await self.uploader.wait(live.draft.id)
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

    def pending_names(self) -> int:
        """Renames and deletions that the service has not seen."""
        return sum(
            1 for view in self._overlay.views() for step in self.plan(view, hurry=True).steps
            if not isinstance(step, KeepLocal | UploadNewItem | UploadNewVersion)
        )  # fmt: skip


class _DraftStates(Mapping[DraftId, DraftState]):
    """What settling is to know of drafts, made when it asks."""

    def __init__(self, drafts: Drafts, closing: str) -> None:
        self._drafts = drafts
        self._closing = closing

    def __getitem__(self, draft_id: DraftId) -> DraftState:
        live = self._drafts.by_id[draft_id]
        draft = live.draft
        assert draft is not None
        return DraftState(
            id=draft_id,
            size_bytes=draft.size_bytes,
            generation=draft.generation,
            uploaded_generation=draft.uploaded_generation,
            open_writers=live.writers if live.is_dirty or draft_id != self._closing else 0,
            synced_at=live.synced_at,
            on_hold=draft.reason if draft.state is State.FAILED else "",
        )

    def __iter__(self) -> Any:
        return iter(self._drafts.by_id)

    def __len__(self) -> int:
        return len(self._drafts.by_id)


class _BaseBytes:
    """Bytes of the version beneath a draft, for its upload: a reader of its own."""

    def __init__(self, drafts: Drafts, file: File) -> None:
        self._drafts = drafts
        self._file = file
        self._reader: Any = None

    async def read(self, offset: int, length: int) -> bytes:
        if self._reader is None:
            self._reader = await self._drafts.reader(self._file)
        found = bytearray()
        while len(found) < length:
            data, _ = await self._reader.read(offset + len(found), length - len(found))
            if not data:
                break
            found += data
        return bytes(found)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


def is_local_tree(directory: Directory) -> bool:
    """Whether all of a directory stays on this machine."""
    return directory.name == ".git"


