"""All files with content of ours, and those that programs have open: one ``LiveFile`` an inode."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import trio

from dmfs.blocks.reader import AnyReader
from dmfs.errors import DriveError
from dmfs.model import File, FolderId, Listing
from dmfs.system.clock import wall_time_ns, wall_time_s
from dmfs.write.live import FoundIn, LiveFile
from dmfs.write.overlay.adopted import AdoptedVersions, plain, under_key
from dmfs.write.overlay.overlay import Overlay
from dmfs.write.overlay.view import FolderView
from dmfs.write.records import (
    Base,
    Change,
    Draft,
    DraftId,
    Place,
    Row,
    State,
    is_unlinked,
    new_draft_id,
    new_unlinked_key,
)
from dmfs.write.spool.content import Content
from dmfs.write.spool.spool import Spool

log = logging.getLogger(__name__)

KIND = "draft"
CLEAN_MAX = 256  # files whose bytes the service has, and that are still read from the spool


class ReadTools(Protocol):
    """How versions are read."""

    @property
    def open_reader(self) -> Callable[[File, FoundIn | None], Awaitable[AnyReader]]: ...

    @property
    def real_size(self) -> Callable[[File], Awaitable[int]]: ...


class Drafts:
    """See above. Its rows in the journal are of the kind ``draft``, by draft id."""

    def __init__(
        self, spool: Spool, overlay: Overlay, adopted: AdoptedVersions, tools: ReadTools,
        nursery: trio.Nursery, *, owner: str,
    ) -> None:  # fmt: skip
        """``owner``: the sign-in; drafts of another one stay where they are, unseen."""
        self._nursery = nursery
        self._spool = spool
        self._overlay = overlay
        self._tools = tools
        self._owner = owner
        self.adopted = adopted
        self.by_key: dict[str, LiveFile] = {}
        self.by_id: dict[DraftId, LiveFile] = {}
        overlay.live_by_id = self.by_id.get
        self.others: dict[DraftId, Draft] = {}
        """Of other sign-ins."""
        self.on_change: Callable[[FolderId], None] = lambda _: None
        """Something happened in a folder that settling may wait for."""
        self.on_dropped: Callable[[DraftId], bool] = lambda _: True
        """A draft has no name any more: it must not go up. False if it may be on the service
        already: its bytes and its row stay until that is known."""
        self.at_large: Callable[[DraftId], bool] = lambda _: False
        self.on_other_key: Callable[[File, File], None] = lambda _before, _after: None
        """What was one node goes on as another, under its inode number; the identity that it had
        may be seen again, as another file."""

    def load(self, rows: Mapping[str, Row], uploads: Container[str] = ()) -> list[Change]:
        """Drafts of an earlier run; the changes that drop those without use. What cannot be read
        stays in the spool. ``uploads``: drafts with an upload that may have reached the service."""
        drop: list[Change] = []
        for key, row in rows.items():
            try:
                draft = Draft.of_row(row.record)
            except (KeyError, TypeError, ValueError):
                log.exception("a draft of the journal cannot be read: %s", key)
                continue
            content = self._spool.content(draft.id)
            useless = draft.orphan and draft.id not in uploads
            if draft.owner != self._owner:
                self.others[draft.id] = draft
            elif content is None or draft.is_up(content.generation) or useless:
                drop.append(Change(KIND, draft.id, None))
            else:
                self._recover(draft, content)
        return drop

    def _recover(self, draft: Draft, content: Content) -> None:
        if content.confirmed is not None:
            draft = draft.recovered(*content.confirmed)
        beneath = draft.beneath or draft.base
        file = draft.as_file() if beneath is None else beneath.as_file(draft.place)
        live = LiveFile(self, file, None if draft.orphan else draft.place, key=draft.key)
        live.adopt(draft, content)
        self.by_id[draft.id] = live
        if not draft.orphan:
            self._add(live)

    def mend_names(self) -> None:
        """Names and drafts of an earlier run, brought together: a draft whose name is lost is seen
        where it was confirmed; a name without confirmed bytes of ours is what it was before."""
        for view in self._overlay.views():
            for draft_id in [each for each in view.names.drafts() if each not in self.by_id]:
                view.lose(draft_id)
        for live in self.by_id.values():
            if live.place is not None and not live.is_clean:
                view = self._overlay.of(live.place)
                if live.draft_id is not None and view.names.draft_name(live.draft_id) is None:
                    view.written(live)

    def _add(self, live: LiveFile) -> None:
        self.by_key[live.key] = live
        if live.draft is not None:
            self.by_id[live.draft.id] = live

    # Open files

    def live(self, node: File, place: Place | None) -> LiveFile:
        """What stands under a node's inode."""
        if is_unlinked(node.identity):
            place = None  # /proc/PID/fd leads to it, and gives it no name
        live = self.by_key.get(node.identity)
        if live is None:
            file = self.adopted.latest(node)
            live = LiveFile(self, plain(file), place, key=file.identity)
            live.mtime_ns = file.mtime_ns
            self.by_key[live.key] = live
        elif live.content is None or live.is_clean:
            live.place = place or live.place
        return live

    def content_of(self, file: File) -> LiveFile | None:
        """What was written under the inode of a node and is not the service's yet."""
        live = self.by_key.get(file.identity)
        return live if live is not None and live.content is not None else None

    def create(self, place: Place) -> LiveFile:
        """A new empty file."""
        draft_id = new_draft_id()
        draft = Draft(
            draft_id, place, f"draft {draft_id}", self._owner, made_at_s=wall_time_s()
        )  # fmt: skip
        live = LiveFile(self, draft.as_file(), place, key=draft.key)
        live.adopt(draft, self._spool.create(draft_id))
        live.fresh = True
        live.mtime_ns = wall_time_ns()
        self._add(live)
        return live

    # What live files need (``live.Surroundings``)

    async def reader(self, file: File, found_in: FoundIn | None = None) -> AnyReader:
        return await self._tools.open_reader(file, found_in)

    async def size_of(self, file: File) -> int:
        return await self._tools.real_size(file)

    def begin(self, live: LiveFile, base: Base | None) -> tuple[Draft, Content]:
        """A draft and empty content, for a version that is about to be changed."""
        draft_id = new_draft_id()
        place = live.place or Place.of(live.file)
        draft = Draft(
            draft_id, place, live.key, self._owner, base, beneath=base, made_at_s=wall_time_s()
        )
        content = self._spool.create(draft_id)
        self.by_id[draft_id] = live
        return draft, content

    def changed(self, live: LiveFile) -> None:
        if live.place is not None:
            self._overlay.of(live.place).written(live)

    def rows(self, live: LiveFile, draft: Draft) -> Sequence[Change]:
        changes = [Change(KIND, draft.id, draft.as_row())]
        if live.place is not None:
            changes += self._overlay.of(live.place).rows()
        return changes

    def on_event(self, live: LiveFile) -> None:
        if live.place is not None:
            if not live.is_clean and live.content is not None:
                self._overlay.of(live.place).touched(live.place.name)
            self.on_change(live.place.folder)

    def on_unused(self, live: LiveFile) -> None:
        if live.content is None:
            self.by_key.pop(live.key, None)
        elif live.place is None and not (live.draft_id and self.at_large(live.draft_id)):
            self._nursery.start_soon(self._forget, live)

    async def _forget(self, live: LiveFile) -> None:  # without a name and without a handle
        try:
            await self._remove(live, ())
        except DriveError as error:
            log.warning("%s", error.message)  # the next start drops it

    # Names

    def may_move(self, node: File) -> bool:
        """Whether a file may go to another folder: the service has never seen it."""
        live = self.by_key.get(node.identity)
        return (
            live is not None
            and live.draft is not None
            and live.draft.base is None
            and not self.at_large(live.draft.id)
        )

    async def unlink(self, view: FolderView, name: str, listing: Listing) -> None:
        """Take a name away; content without a name goes with its last handle."""
        lost = self._file_at(view, name, listing)
        view.unlink(name, listing)
        await self._commit_without(lost, view.rows())

    async def rename(
        self, view: FolderView, old: str, goal: FolderView, new: str,
        listing: Listing, target_listing: Listing,
    ) -> File:  # fmt: skip
        """What stood at ``old`` stands at ``new``; what stood there has no name any more."""
        goal.see(target_listing)
        lost = self._file_at(goal, new, target_listing)
        moved = view.node_at(old, listing)
        live = self.by_key.get(moved.identity)
        if lost is not None and lost.identity == moved.identity:
            lost = None
        if view is goal:
            view.rename(old, new, listing)
        else:
            assert live is not None
            view.unlink(old, listing)
            goal.create(new, live, target_listing)
        changes = [*view.rows(), *(goal.rows() if goal is not view else ())]
        if live is not None:
            live.place = goal.place(new)
            if live.draft is not None:
                live.draft = replace(live.draft, place=live.place)
                if live.draft.state in (State.LOCAL, State.FAILED):
                    live.to_go_up()  # under another name
                if live.draft.generation:
                    changes.append(Change(KIND, live.draft.id, live.draft.as_row()))
        await self._commit_without(lost, changes)
        return goal.node_at(new, target_listing)

    def moved_folder(self, folder_id: FolderId, other_id: FolderId) -> list[Change]:
        """The folder of some drafts has another id; the rows of that."""
        changes = []
        for live in self.by_id.values():
            if live.draft is not None and live.place is not None and live.place.folder == folder_id:
                live.place = replace(live.place, folder=other_id)
                live.draft = replace(live.draft, place=live.place)
                changes.append(Change(KIND, live.draft.id, live.draft.as_row()))
        return [each for each in changes if each.record and each.record["generation"]]

    def _file_at(self, view: FolderView, name: str, listing: Listing) -> File | None:
        node = view.shown(listing).entries.get(name)
        return node if isinstance(node, File) else None

    def give_key(self, node: File, key: str) -> LiveFile | None:
        """What stands under a node's inode goes on under another identity, which is its own: the
        version beneath may be seen again, and is another file then. It has the inode number still,
        as far as a program or the kernel knows it."""
        live = self.by_key.pop(node.identity, None)
        if live is None:
            after = under_key(node, key, node.mtime_ns)
        else:
            live.key, self.by_key[key] = key, live
            if live.draft is None:
                after = under_key(live.file, key, live.mtime_ns)
            else:
                live.draft = replace(live.draft, key=key)
                after = live.shown()
        self.on_other_key(node, after)
        return live

    async def _commit_without(self, node: File | None, changes: Sequence[Change]) -> None:
        """``node``: what has lost its name."""
        lost = None if node is None else self.give_key(node, new_unlinked_key())
        if lost is not None:
            lost.place = None
        if lost is None or lost.draft is None:
            await self._spool.commit(changes)
            return
        if not self.on_dropped(lost.draft.id) or lost.handles:
            lost.draft = replace(lost.draft, orphan=True)
            if lost.draft.generation:
                changes = [*changes, Change(KIND, lost.draft.id, lost.draft.as_row())]
            await self._spool.commit(changes)
        else:
            await self._remove(lost, changes)

    async def upload_over(self, live: LiveFile) -> None:
        """What has become of it is known: content without a name may go."""
        if live.place is None and not live.handles and live.draft_id in self.by_id:
            await self._forget(live)

    async def _remove(self, live: LiveFile, changes: Sequence[Change]) -> None:
        assert live.draft is not None
        draft_id = live.draft.id
        self.by_id.pop(draft_id, None)
        if self.by_key.get(live.key) is live:
            del self.by_key[live.key]
        await self._spool.remove(draft_id, [*changes, Change(KIND, draft_id, None)])

    # What became of them

    def renamed_there(self, before: File, after: File) -> list[Change]:
        """The service made ``after`` of the bytes of ``before``, under another name: it goes on as
        the same inode, and what is written to that stands on it. The rows to commit. (As an inode
        of its own it took the name from an open file: what was written to that went up under the
        name that it had before.)"""
        shown = self.adopted.shown(before)
        live = self.by_key.get(shown.identity)
        mtime_ns = shown.mtime_ns if live is None else live.mtime_ns
        changes = self.adopted.add(plain(after), shown.identity, mtime_ns)
        draft = None if live is None else live.draft
        if live is None or draft is None or draft.base is None:
            return changes
        if draft.base.version_id == before.version_id:
            live.draft = replace(draft, base=Base.of(after, draft.base.size_bytes))
            if draft.generation:
                changes.append(Change(KIND, draft.id, live.draft.as_row()))
        return changes

    def set_state(self, live: LiveFile, state: State, reason: str) -> None:
        """In memory; ``note`` writes it down."""
        if live.draft is not None:
            live.draft = replace(live.draft, state=state, reason=reason)

    def fail(self, live: LiveFile, reason: str) -> None:
        self.set_state(live, State.FAILED, reason)

    async def note(self, live: LiveFile) -> None:
        """Write the state down, for a start after this one. Best effort."""
        if live.draft is not None and live.draft.generation:
            try:
                await self._spool.commit([Change(KIND, live.draft.id, live.draft.as_row())])
            except DriveError as error:
                log.warning("%s", error.message)

    async def trim(self) -> None:
        """Let go of bytes that the service has, oldest first."""
        clean = list(filter(self._may_go, self.by_id.values()))
        room = self._spool.room()
        crowded = room.free_bytes < room.total_bytes // 4
        for live in clean if crowded else clean[:-CLEAN_MAX]:
            if self._may_go(live):  # opened, or written to, while the one before went
                await self._remove(live, ())

    def _may_go(self, live: LiveFile) -> bool:
        draft = live.draft
        clean = draft is not None and draft.state is State.CLEAN and not live.handles
        return clean and live.draft_id in self.by_id
