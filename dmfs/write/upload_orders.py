"""Uploads that settling has ordered, and what becomes of each in the drive."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import trio

from dmfs.errors import DriveError
from dmfs.model import Directory, File, FolderId, ItemId
from dmfs.names import legal_name
from dmfs.namespace.listings import Listings
from dmfs.write.drafts import Drafts
from dmfs.write.landing import Landing, Upload
from dmfs.write.live import BaseBytes, LiveFile
from dmfs.write.overlay.overlay import Overlay
from dmfs.write.overlay.view import FolderView
from dmfs.write.records import Base, Draft, DraftId, NewItem, NewVersion, Place, State, Target
from dmfs.write.settle.nouns import (
    CopyItem,
    DeleteItem,
    DraftState,
    Item,
    RenameItem,
    UploadNewItem,
    UploadNewVersion,
)
from dmfs.write.upload.plan.records import UploadRow
from dmfs.write.upload.ports import Outcome, PostedLike, UploadJob
from dmfs.write.upload.uploader import Uploader

log = logging.getLogger(__name__)

OnEvent = Callable[[str, Mapping[str, Any]], None]


class UploadOrders:
    """See above. ``uploader`` is set once both are there: its hooks are of this object."""

    uploader: Uploader

    def __init__(
        self, overlay: Overlay, drafts: Drafts, landing: Landing, listings: Listings,
        nursery: trio.Nursery, on_event: OnEvent,
    ) -> None:  # fmt: skip
        self._overlay = overlay
        self._drafts = drafts
        self._landing = landing
        self._listings = listings
        self._nursery = nursery
        self._on_event = on_event
        self._earlier: dict[str, Mapping[str, Any]] = {}
        """Rows of uploads of an earlier run, by draft id."""
        self._under_way: dict[DraftId, tuple[Upload, trio.Event]] = {}
        self.on_over: Callable[[FolderId], None] = lambda _: None
        """An upload in a folder is over."""
        drafts.on_dropped = self.dropped
        drafts.at_large = self._under_way.__contains__

    def load(self, rows: Mapping[str, Any]) -> None:
        """Of the journal, kind ``upload``. What was deleted while it went up is looked for."""
        self._earlier = {key: row.record for key, row in rows.items()}
        for key in list(self._earlier):
            live = self._drafts.by_id.get(DraftId(key))
            if live is not None and live.place is None and live.draft is not None:
                self._find_out(live, live.draft)

    def _earlier_row(self, draft_id: DraftId) -> UploadRow | None:
        """The upload of an earlier run; None if there is none, or it cannot be read."""
        record = self._earlier.get(draft_id)
        if record is None:
            return None
        try:
            return UploadRow.of_row(record)
        except (ValueError, TypeError, KeyError, AttributeError):
            log.exception("the upload of %s cannot be read", draft_id)
            return None

    def _find_out(self, live: LiveFile, draft: Draft) -> None:
        row = self._earlier_row(draft.id)
        if row is None:
            self._nursery.start_soon(self._drafts.upload_over, live)
            return
        wanted = row.wanted
        step: Upload = UploadNewItem(draft.id, wanted.place.name, wanted.name)
        if isinstance(wanted, NewVersion):
            base = wanted.base
            item = Item(base.item_id, base.version_id, base.name, base.number)
            step = UploadNewVersion(draft.id, item, wanted.place.name, wanted.name)
        self.begin(self._overlay.of(draft.place), step)

    def dropped(self, draft_id: DraftId) -> bool:
        """It has no name any more: it must not go up. False if it may have."""
        if draft_id in self._earlier and draft_id not in self._under_way:
            live, row = self._drafts.by_id.get(draft_id), self._earlier_row(draft_id)
            if live is not None and row is not None and row.at_large:
                self._nursery.start_soon(self._look_for, live)
                return False
        return self.uploader.cancel(draft_id)

    async def _look_for(self, live: LiveFile) -> None:
        if live.draft is not None and live.draft.id in self._earlier:
            self._find_out(live, live.draft)

    def show_anew(self, view: FolderView, names: Iterable[str]) -> None:
        """These names mean something else now."""
        self._listings.shown_anew(view.directory, [name for name in names if name])

    def is_under_way(self, draft_id: DraftId) -> bool:
        return draft_id in self._under_way

    def begin(self, view: FolderView, step: Upload) -> trio.Event | None:
        """Begin an upload, if it is not under way."""
        live = self._drafts.by_id.get(step.draft)
        if live is None or live.draft is None or live.content is None:
            return None
        if step.draft in self._under_way:
            return self._under_way[step.draft][1]
        before = self._before(view, step)
        if before is not None:
            return before
        target = self._target(view, step, live)
        if target is None:
            log.error("nothing is known of the version that %r stands on", step.place)
            return None
        over = trio.Event()
        self._under_way[step.draft] = step, over
        view.begun(step)
        self._nursery.start_soon(self._upload, view, step, live, target, over)
        return over

    def in_the_way(
        self, view: FolderView, items: Collection[ItemId], name: str = ""
    ) -> trio.Event | None:
        """The end of an upload to one of these items, or to that name, whose file was deleted while
        nobody knew what had come of it: only then may the items be deleted, or the name given."""
        ends = self._under_way_to(view, items, name)
        return next((over for live, over in ends if live.place is None), None)

    def must_wait(self, view: FolderView, step: RenameItem | CopyItem | DeleteItem) -> bool:
        """The same, for a step of settling."""
        name = "" if isinstance(step, DeleteItem) else step.name
        return self.in_the_way(view, [step.item.item_id], name) is not None

    def _before(self, view: FolderView, step: Upload) -> trio.Event | None:
        """The end of an upload to the same item or name: only then is it known what this one stands
        on. Else a save that came while the last one was posted would look like somebody else's."""
        items = [step.item.item_id] if isinstance(step, UploadNewVersion) else []
        return next((over for _, over in self._under_way_to(view, items, step.place)), None)

    def _under_way_to(
        self, view: FolderView, items: Collection[ItemId], name: str
    ) -> Iterator[tuple[LiveFile, trio.Event]]:
        """Uploads in a folder to one of these items, or to that name, and the end of each."""
        for draft_id, (other, over) in self._under_way.items():
            live = self._drafts.by_id.get(draft_id)
            if live is None or live.draft is None or live.draft.place.folder != view.folder_id:
                continue
            same = isinstance(other, UploadNewVersion) and other.item.item_id in items
            if same or other.place == name:
                yield live, over

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
        self, view: FolderView, step: Upload, live: LiveFile, target: Target, over: trio.Event
    ) -> None:
        assert live.draft is not None
        assert live.content is not None
        draft, content = live.draft, live.content
        base = BaseBytes(self._drafts, live.file)
        try:
            snapshot = content.snapshot()
            try:
                job = UploadJob(draft, target, snapshot, base.read)
                earlier = self._earlier.pop(draft.id, None)
                if earlier is not None:
                    self.uploader.resume(earlier, job)
                else:
                    self.uploader.submit(job)
                if live.place is None:
                    self.uploader.cancel(draft.id)
                outcome = await self.uploader.wait(draft.id)
            finally:
                content.release(snapshot)
        except DriveError as error:
            outcome = Outcome("failed", None, error.message)
        except Exception:  # it ends this upload, not the drive with all others
            log.exception("an upload failed")
            outcome = Outcome("failed", None, "an unexpected error, which the log has")
        finally:
            base.close()
            self._under_way.pop(draft.id, None)
            over.set()
        if outcome.kind in ("failed", "cancelled"):
            view.failed(step)
        if outcome.kind == "failed":
            self._drafts.fail(live, outcome.reason)
            await self._drafts.note(live)
        await self._drafts.upload_over(live)
        self.on_over(view.folder_id)
        if live.place is not None and live.place.folder != view.folder_id:
            self.on_over(live.place.folder)  # somebody has moved it, and newer bytes go up there

    async def on_posted(
        self, draft_id: DraftId, generation: int, posted: PostedLike, _sha1: str
    ) -> None:
        """See ``upload.ports.Hooks``."""
        live = self._drafts.by_id.get(draft_id)
        if draft_id not in self._under_way or live is None or live.draft is None:
            return
        step, _ = self._under_way[draft_id]
        file, size_bytes = posted.file, posted.file.size_bytes
        if size_bytes is None:
            size_bytes = live.draft.size_bytes
        before = live.place or live.draft.place
        await self._adopt(step, before, generation, file, size_bytes)
        view = self._overlay.of(before)
        self.show_anew(view, {step.place, before.name, file.name})
        self._on_event(
            "upload",
            {
                "draft": draft_id, "name": file.name, "item_id": file.item_id,
                "version": file.version_number, "size_bytes": size_bytes,
            },
        )  # fmt: skip
        if not posted.conforming:
            self._on_event("holding area", {"name": file.name})

    async def _adopt(
        self, step: Upload, at: Place, generation: int, file: File, size_bytes: int
    ) -> None:
        """What the service made of it may not be what was ordered: others change things, too."""
        landing = self._landing
        same = isinstance(step, UploadNewVersion) and file.item_id == step.item.item_id
        if isinstance(step, UploadNewVersion) and same:
            name = legal_name(file.name)
            if file.folder_id and file.folder_id != at.folder:
                await landing.moved_there(step, name, generation, file, size_bytes)
            elif file.name != step.name:
                await landing.renamed_there(step, name, generation, file, size_bytes)
            else:
                await landing.posted(step, generation, file, size_bytes)
        elif file.name != step.name:
            await landing.went_beside(step, file.name, generation, file, size_bytes)
            self._nursery.start_soon(self._list_again, self._overlay.of(at).directory)
        else:
            anew = UploadNewItem(step.draft, step.place, step.name)
            await landing.posted(anew, generation, file, size_bytes)

    async def _list_again(self, directory: Directory) -> None:
        """What somebody else has changed is to be seen, too."""
        try:
            await self._listings.list_again(directory)
        except DriveError as error:
            log.info("%s", error.message)

    async def on_state(self, draft_id: DraftId, state: State, reason: str) -> None:
        """See ``upload.ports.Hooks``."""
        live = self._drafts.by_id.get(draft_id)
        if live is None or live.draft is None or state is State.CLEAN:
            return  # whether it is clean follows from what is confirmed, not from an upload
        if state is not State.CONFLICT:
            self._drafts.set_state(live, state, reason)
        elif live.draft.state is State.CLEAN:
            self._drafts.set_state(live, state, reason)
            await self._drafts.note(live)


class DraftStates(Mapping[DraftId, DraftState]):
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
            open_writers=live.unfinished if live.is_dirty or draft_id != self._closing else 0,
            synced_at=live.synced_at,
            on_hold=draft.reason if draft.state is State.FAILED else "",
        )

    def __iter__(self) -> Any:
        return iter(self._drafts.by_id)

    def __len__(self) -> int:
        return len(self._drafts.by_id)
