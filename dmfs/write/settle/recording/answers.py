"""What the service says about the names of a folder: listings, and answers to steps. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from dmfs.model import ItemId
from dmfs.write.records import DraftId
from dmfs.write.settle.nouns import (
    CopyItem,
    DeleteItem,
    HoldDeletes,
    Item,
    KeepLocal,
    MakeDraft,
    RenameItem,
    ShowAgain,
    Step,
    UploadNewItem,
    UploadNewVersion,
)
from dmfs.write.settle.recording.listed import names_of
from dmfs.write.settle.recording.name_table import LAG_S, Entry, NameTable

POSTED_S = 86_400.0
"""So long it is known when a version went up: the longest ``version_interval``."""


class ServiceAnswers(NameTable):
    """That half of ``FolderNames``."""

    def see(self, listed: Mapping[str, Item], at: float) -> None:
        """A listing's items by their names in the mount; ``at``: when it was requested. It is taken
        by reference, unless a later one was seen. What it agrees with is forgotten."""
        if at < self._listed_at:
            return
        self._listed, self._listed_at = listed, at
        self._see_newer(listed)
        for entry in list(self._entries.values()):
            self._tidy(entry, at)
        done = {item_id: gone for item_id, gone in self._gone.items() if gone.done and at > gone.at}
        there = names_of(listed, {item_id: gone.name for item_id, gone in done.items()})
        for item_id, gone in done.items():
            if item_id not in there or at > gone.at + LAG_S:
                self._unmark_gone(item_id)
        for item_id, posted_at in list(self._posted_at.items()):
            if at > posted_at + POSTED_S:
                del self._posted_at[item_id]

    def _see_newer(self, listed: Mapping[str, Item]) -> None:
        """Items that wait for their new name are as new as the listing has them."""
        waiting = {
            entry.clean.item_id: entry
            for entry in self._entries.values()
            if entry.clean is not None and not entry.alias
        }
        likely = {each: self._home.get(each, entry.name) for each, entry in waiting.items()}
        for item_id, name in names_of(listed, likely).items():
            entry, item = waiting[ItemId(item_id)], listed.get(name)
            if item is not None and entry.clean is not None and item.number > entry.clean.number:
                entry.clean = item
                self._note(entry)

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
        elif isinstance(step, ShowAgain):
            if not step.place:
                self._unmark_gone(step.item.item_id)
            else:
                self._revive(step.item.item_id, at)
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

    def adopted(self, draft: DraftId) -> None:
        """The draft's bytes are the tip's, and are read from there from now on. Nothing, if the
        item has gone on with other bytes."""
        entry = self._entries.get(self._draft_at.get(draft, ""))
        if entry is not None and entry.own is not None:
            del self._draft_at[draft]
            entry.draft, entry.clean, entry.own = None, entry.own, None
            self._tidy(entry)

    def lost(self, item_id: ItemId) -> None:
        """Somebody else has deleted the item. A draft of it will be a new one; what it was renamed
        over is seen again."""
        self._unmark_gone(item_id)
        home = self._entries.get(self._home.pop(item_id, ""))
        holder = self._entries.get(self._holder.pop(item_id, ""))
        if home is not None:
            home.was = None
        if holder is not None:
            holder.own = None
            if holder.draft is None:
                holder.clear()
                self._fill(holder)
        for each in (home, holder):
            if each is not None:
                self._tidy(each)

    def _uploaded(
        self, step: UploadNewItem | UploadNewVersion, at: float, item: Item, *, more: bool
    ) -> None:
        now_at = self._draft_at.get(step.draft)
        for name in {self._holder.get(item.item_id), self._home.get(item.item_id)} - {None, now_at}:
            self._supersede(self._entries.get(name or ""), item.item_id)
        self._move_home(item, step.place, at)
        if now_at is None:  # removed or replaced while it went up
            entry = self._entries.get(step.place)
            # a listing may have shown what the POST made before it was known to be of the draft
            seen = None if entry is None else entry.clean
            if entry and seen and isinstance(step, UploadNewItem) and seen.item_id == item.item_id:
                entry.clear()
                self._note(entry)
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
        self._take_over(item, at)
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
                holder.own = item
            self._note(holder)
        gone = self._gone.get(item.item_id)
        if gone is not None:
            self._mark_gone(item, gone.name, gone.at)
        for each in (before, holder, entry):
            if each is not None:
                self._tidy(each)

    def _take_over(self, item: Item, at: float) -> None:
        """Of an item that only the listing tells of, in which its change cannot be seen yet."""
        if not self.knows(item.item_id):
            for name in names_of(self._listed, {item.item_id: item.name}).values():
                if not self.hides(item.item_id, name):
                    self._touch(name, at, event=False)

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


def _since(home: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names before the last of them, from ``home`` on: the service has it there now."""
    return names[names.index(home) if home in names else 0 : -1]
