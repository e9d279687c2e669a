"""What happened to the names of one folder, event by event, until the service has the same. Pure.

The recorder is the difference between the folder as its listing has it and as its user sees it.
Items are known by id: wherever a listing still shows one that was renamed or deleted here, it is
not seen there.

Times are seconds of any one clock. Rows go to the journal: ``take_changes`` after each event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from dmfs.errors import NotFoundError
from dmfs.model import ItemId
from dmfs.write.records import DraftId
from dmfs.write.settle.name_table import LAG_S, Entry, NameTable
from dmfs.write.settle.state import AbsentItem, DraftState, FolderState, Item, NameState
from dmfs.write.settle.steps import (
    CopyItem,
    DeleteItem,
    HoldDeletes,
    KeepLocal,
    MakeDraft,
    RenameItem,
    Step,
    UploadNewItem,
    UploadNewVersion,
)

MOST_ORIGINS = 16


class FolderNames(NameTable):
    """The touched names of a folder. Each event that takes a draft's name away returns that draft:
    nobody sees it any more."""

    def state(
        self,
        kind: Literal["a", "b"],
        drafts: Mapping[DraftId, DraftState],
        *,
        siblings: Iterable[str] = (),
        made_folder: bool = True,
        local: bool = False,
    ) -> FolderState:
        """For ``settle``. ``drafts``: all that stand in this folder (``own`` is set here);
        ``siblings``: names that are no files, or of no listing."""
        return FolderState(
            kind=kind,
            names={name: self._name_state(each, drafts) for name, each in self._entries.items()},
            absent=[
                AbsentItem(each.item, each.name, each.at)
                for each in self._gone.values()
                if not each.done
            ],
            siblings=frozenset(self.shown()).union(siblings),
            made_folder=made_folder,
            local=local,
            posted_at=dict(self._posted_at),
        )

    def _name_state(self, entry: Entry, drafts: Mapping[DraftId, DraftState]) -> NameState:
        draft = None if entry.draft is None else replace(drafts[entry.draft], own=entry.own)
        return NameState(
            entry.name, draft, entry.clean, entry.was, entry.began_at, entry.touched_at,
            frozenset(entry.partners), entry.origins, entry.alias, entry.local,
        )  # fmt: skip

    # What a user does

    def create(
        self, name: str, draft: DraftId, at: float, own: Item | None = None
    ) -> DraftId | None:
        """A draft stands under ``name``: a new file, or the file there now has bytes of ours; then
        ``own`` is its item."""
        entry = self._touch(name, at)
        before, alias, origins = entry.clean, entry.alias, entry.origins
        if own is not None and before is not None and own.item_id == before.item_id:
            self._lift(entry)
        else:
            origins = ()
        dropped = self._remove(entry, at)
        entry.draft, entry.origins = draft, origins
        self._draft_at[draft] = name
        if own is not None and not alias and own.item_id not in self._holder:
            entry.own = own
            self._holder[own.item_id] = name
            self._unmark_gone(own.item_id)
        return dropped

    def written(self, name: str, at: float) -> None:
        """Bytes, or a handle that had written was closed."""
        if name in self._entries:
            self._touch(name, at)

    def rename(self, old: str, new: str, at: float) -> DraftId | None:
        """What stands under ``old`` has the name ``new`` now, in place of what was there."""
        if self.at(old) is None:
            raise NotFoundError(f"nothing stands under {old!r}")
        if old == new:
            return None
        source, target = self._touch(old, at), self._touch(new, at)
        dropped = self._remove(target, at)
        target.draft, target.own, target.clean = source.draft, source.own, source.clean
        target.alias, target.local = source.alias, False
        target.origins = _path((*source.origins, old), new)
        source.clear()
        if target.draft is not None:
            self._draft_at[target.draft] = new
        if target.item is not None:
            self._holder[target.item.item_id] = new
        source.partners.add(new)
        target.partners.add(old)
        self._tidy(source)
        self._tidy(target)
        return dropped

    def unlink(self, name: str, at: float) -> DraftId | None:
        """Nothing stands under ``name`` any more."""
        if self.at(name) is None:
            raise NotFoundError(f"nothing stands under {name!r}")
        entry = self._touch(name, at)
        dropped = self._remove(entry, at)
        self._tidy(entry)
        return dropped

    def discard(self, draft: DraftId, at: float) -> None:
        """The draft goes, and what it would have replaced is seen again."""
        name = self._draft_at.get(draft)
        if name is None:
            return
        entry = self._touch(name, at)
        item = entry.own or entry.was
        self._remove(entry, at)
        if item is not None and item.item_id not in self._holder:
            self.revive(item.item_id, at)
        self._tidy(entry)

    def lose(self, draft: DraftId) -> None:
        """The draft was never confirmed, and is lost with its program: its item stands there with
        the bytes that it had."""
        entry = self._entries.get(self._draft_at.get(draft, ""))
        if entry is None or entry.own is None:
            self.discard(draft, 0.0 if entry is None else entry.touched_at)
            return
        del self._draft_at[draft]
        entry.draft, entry.own, entry.clean = None, None, entry.own
        self._tidy(entry)

    def revive(self, item_id: ItemId, at: float) -> bool:
        """An item that waits for its deletion is seen again, under the name that it has on the
        service; False if that is taken, or it is too late."""
        gone = self._gone.get(item_id)
        if gone is None or gone.done:
            return False
        entry = self._touch(self._home.get(item_id, gone.name), at)
        if not entry.empty:
            return False
        self._unmark_gone(item_id)
        entry.clean = gone.item
        self._holder[item_id] = entry.name
        self._tidy(entry)
        return True

    def spare(self, item_id: ItemId) -> None:
        """An item that waits for its deletion stays as the service has it."""
        gone = self._gone.get(item_id)
        if gone is not None and not gone.done:
            self._unmark_gone(item_id)

    # What the service says

    def see(self, listed: Mapping[str, Item], at: float) -> None:
        """A listing's items by their names in the mount; ``at``: when it was requested. It is taken
        by reference, unless a later one was seen. What it agrees with is forgotten."""
        if at < self._listed_at:
            return
        self._listed, self._listed_at = listed, at
        for entry in list(self._entries.values()):
            self._tidy(entry, at)
        ids = {each.item_id for each in listed.values()} if self._gone else set()
        for item_id, gone in list(self._gone.items()):
            if gone.done and at > gone.at and (item_id not in ids or at > gone.at + LAG_S):
                self._unmark_gone(item_id)
        for item_id, posted_at in list(self._posted_at.items()):
            if at > posted_at + LAG_S:
                del self._posted_at[item_id]

    def begun(self, step: Step, at: float) -> None:
        """``step`` is being carried out: what a listing shows under its place meanwhile is its
        work, not news. ``done`` or ``failed`` ends that."""
        if isinstance(step, UploadNewItem | UploadNewVersion | CopyItem):
            self._touch(step.place, at, event=False).begun = True

    def failed(self, step: Step) -> None:
        """``step`` was certainly not carried out, and is not going on."""
        entry = self._entries.get(getattr(step, "place", ""))
        if entry is not None and entry.begun:
            entry.begun = False
            self._tidy(entry)

    def done(self, step: Step, at: float, item: Item | None = None, *, more: bool = False) -> None:
        """The service has carried out ``step``, requested before whatever else happened since.
        ``item``: the item as its answer describes it; ``more``: of an upload: the draft has newer
        bytes, or its bytes are to be read from the draft still."""
        place = self._entries.get(getattr(step, "place", ""))
        if place is not None:
            place.begun = False
        if isinstance(step, KeepLocal):
            entry = self._entries.get(step.place)
            if entry is not None and self._same(entry, step.content):
                entry.local = True
                self._note(entry)
        elif isinstance(step, DeleteItem):
            self._deleted(step.item, at)
        elif isinstance(step, MakeDraft | HoldDeletes):
            pass
        elif item is None:
            raise ValueError("what did the service answer?")
        elif isinstance(step, UploadNewItem | UploadNewVersion):
            self._posted_at[item.item_id] = at
            self._uploaded(step, at, item, more=more)
        elif isinstance(step, CopyItem):
            self._copied(step, at, item)
        elif isinstance(step, RenameItem):
            self._move_home(item, step.place or step.name, at)

    def _uploaded(
        self, step: UploadNewItem | UploadNewVersion, at: float, item: Item, *, more: bool
    ) -> None:
        now_at = self._draft_at.get(step.draft)
        for name in {self._holder.get(item.item_id), self._home.get(item.item_id)} - {None, now_at}:
            self._supersede(self._entries.get(name or ""), item.item_id)
        self._move_home(item, step.place, at)
        if now_at is None:  # removed or replaced while it went up
            entry = self._entries.get(step.place)
            if entry is None or entry.empty:
                self._mark_gone(item, step.place, at)
            return
        entry = self._entries[now_at]
        if entry.own is not None and entry.own.item_id != item.item_id:
            self._lift_own(entry, at)
        self._unmark_gone(item.item_id)
        if more:
            entry.own = item
        else:
            self._draft_at.pop(step.draft)
            entry.draft = entry.own = None
            entry.clean, entry.alias = item, False
        self._holder[item.item_id] = now_at
        entry.settled_at = at
        entry.origins = _since(step.place, (*entry.origins, now_at))
        self._tidy(entry)

    def _supersede(self, entry: Entry | None, item_id: ItemId) -> None:
        """The item went on with other bytes than those that stand here."""
        if entry is None or entry.item is None or entry.item.item_id != item_id:
            return
        if entry.draft is not None:
            entry.own = None
        else:
            entry.alias = True
        self._holder.pop(item_id, None)
        self._note(entry)

    def _copied(self, step: CopyItem, at: float, item: Item) -> None:
        self._move_home(item, step.place, at)
        source = (step.item.item_id, step.item.version_id)
        for entry in self._entries.values():
            clean = entry.clean
            if clean is None or (clean.item_id, clean.version_id) != source:
                continue
            if step.place in (entry.name, *entry.origins):
                self._settle(entry, item, at)
                return
        self._mark_gone(item, step.place, at)

    def _settle(self, entry: Entry, item: Item, at: float) -> None:
        """``entry`` shows ``item`` as it is now."""
        self._lift(entry)
        entry.clean, entry.alias, entry.settled_at = item, False, at
        self._holder[item.item_id] = entry.name
        self._unmark_gone(item.item_id)
        self._tidy(entry)

    def _move_home(self, item: Item, name: str, at: float) -> None:
        """The service has ``item`` under this name now."""
        self._take_over(item.item_id, at)
        before = self._entries.get(self._home.pop(item.item_id, ""))
        if before is not None:
            before.was = None
        entry = self._touch(name, at, event=False)
        if entry.was is not None and self._home.get(entry.was.item_id) == name:
            del self._home[entry.was.item_id]
        entry.was, entry.settled_at = item, at
        self._home[item.item_id] = name
        holder = self._entries.get(self._holder.get(item.item_id, ""))
        if holder is not None:
            holder.origins = _since(name, (*holder.origins, holder.name))
            if holder.clean is not None:
                holder.clean = item
            elif holder.own is not None:
                holder.own = replace(holder.own, name=item.name)
            self._note(holder)
        gone = self._gone.get(item.item_id)
        if gone is not None:
            self._mark_gone(item, gone.name, gone.at)
        for each in (before, holder, entry):
            if each is not None:
                self._tidy(each)

    def _take_over(self, item_id: ItemId, at: float) -> None:
        """Of an item that only the listing tells of, in which its change cannot be seen yet."""
        if item_id not in self._holder and item_id not in self._gone and item_id not in self._home:
            for name, item in self._listed.items():
                if item.item_id == item_id and not self.hides(item_id, name):
                    self._touch(name, at, event=False)
                    return

    def _deleted(self, item: Item, at: float) -> None:
        home = self._entries.get(self._home.pop(item.item_id, ""))
        holder = self._entries.get(self._holder.pop(item.item_id, ""))
        if holder is not None and holder.draft is not None:
            holder.own = None
            self._note(holder)
        if home is not None:
            home.was = None
            self._tidy(home)
        self._mark_gone(item, item.name, at, done=True)

    def _same(self, entry: Entry, content: DraftId | Item) -> bool:
        if isinstance(content, Item):
            return entry.clean is not None and entry.clean.item_id == content.item_id
        return entry.draft == content

    def _lift_own(self, entry: Entry, at: float) -> None:
        """The draft's bytes went to another item than its own."""
        own = entry.own
        if own is not None and self._holder.get(own.item_id) == entry.name:
            del self._holder[own.item_id]
            self._mark_gone(own, entry.name, at)


def _path(names: tuple[str, ...], new: str) -> tuple[str, ...]:
    """The names that something had before it got the name ``new``."""
    latest = names[-MOST_ORIGINS:]
    return latest[: latest.index(new)] if new in latest else latest


def _since(home: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names before the last of them, from ``home`` on: the service has it there now."""
    return names[names.index(home) if home in names else 0 : -1]
