"""What happened to the names of one folder, event by event, until the service has the same. Pure.

The recorder is the difference between the folder as its listing has it and as its user sees it.
Items are known by id: wherever a listing still shows one that was renamed or deleted here, it is
not seen there.

Times are seconds of any one clock. Rows go to the journal: ``take_changes`` after each event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from typing import Literal

from dmfs.errors import NotFoundError
from dmfs.model import ItemId
from dmfs.write.records import DraftId
from dmfs.write.settle.nouns import (
    AbsentItem,
    DraftState,
    FolderState,
    Item,
    NameState,
)
from dmfs.write.settle.recording.answers import ServiceAnswers
from dmfs.write.settle.recording.name_table import Entry

MOST_ORIGINS = 16
"""Of a file that is renamed for ever."""


class FolderNames(ServiceAnswers):
    """The touched names of a folder. Each event that takes a draft's name away returns that draft:
    nobody sees it any more."""

    def state(
        self,
        kind: Literal["a", "b"],
        drafts: Mapping[DraftId, DraftState],
        *,
        siblings: Set[str] = frozenset(),
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
            siblings=_Siblings(self, siblings),
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

    def at_home(self, name: str) -> Item | None:
        """What the service has under ``name``, of a touched one."""
        entry = self._entries.get(name)
        return None if entry is None else entry.was

    def continued(self, name: str) -> Item | None:
        """The item whose next version the draft under ``name`` is to become, although it was not
        opened from one: that which has the name on the service, unless it is seen elsewhere."""
        entry = self._entries.get(name)
        if entry is None or entry.draft is None or entry.own is not None or entry.was is None:
            return None  # nothing of ours, opened from a version, or no file of the service's
        return None if entry.was.item_id in self._holder else entry.was

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
        """An item that waits for its deletion, or of which an older version stood here, is seen
        again under the name that it has on the service; False if that is taken, or it is too
        late."""
        return self._revive(item_id, at)

    def spare(self, item_id: ItemId) -> None:
        """An item that waits for its deletion stays as the service has it."""
        gone = self._gone.get(item_id)
        if gone is not None and not gone.done:
            self._unmark_gone(item_id)

    def part(self, draft: DraftId, item_id: ItemId) -> None:
        """The draft is not to become the next version of its item."""
        entry = self._entries.get(self._draft_at.get(draft, ""))
        if entry is not None and entry.own is not None and entry.own.item_id == item_id:
            del self._holder[item_id]
            entry.own = None
            self._note(entry)


class _Siblings(Set[str]):
    """All names of a folder. It is looked into for a few of them: a folder of 100 000 must not be
    gone through at each look."""

    def __init__(self, names: FolderNames, others: Set[str]) -> None:
        self._names, self._others = names, others

    def __contains__(self, name: object) -> bool:
        return name in self._others or (isinstance(name, str) and self._names.at(name) is not None)

    def __iter__(self) -> Iterator[str]:
        return iter({*self._names.shown(), *self._others})

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _path(names: tuple[str, ...], new: str) -> tuple[str, ...]:
    """The names that something had before it got the name ``new``."""
    latest = names[-MOST_ORIGINS:]
    return latest[: latest.index(new)] if new in latest else latest
