"""The names of a folder that writing has touched: what stands where, and how the journal spells
it. Pure.

Each item stands under one name at most, and has one home at most: its name on the service.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from dmfs.model import ItemId, VersionId
from dmfs.write.records import DraftId
from dmfs.write.settle.nouns import Item

LAG_S = 600.0
"""So long a listing may contradict what the service answered to a change."""
_NAME, _GONE = "name ", "gone "


@dataclass(slots=True)
class Entry:
    """See ``NameState`` for what the fields mean."""

    name: str
    began_at: float
    touched_at: float
    draft: DraftId | None = None
    own: Item | None = None
    clean: Item | None = None
    was: Item | None = None
    partners: set[str] = field(default_factory=set)
    origins: tuple[str, ...] = ()
    alias: bool = False
    local: bool = False
    begun: bool = False
    """A step is under way that makes a file of this name on the service."""
    settled_at: float | None = None
    """When the service's answer made it what it is."""

    @property
    def empty(self) -> bool:
        return self.draft is None and self.clean is None

    @property
    def item(self) -> Item | None:
        """The item that it stands for."""
        return self.own if self.draft is not None else None if self.alias else self.clean

    @property
    def at_home(self) -> bool:
        """Whether the item that it stands for has this name on the service, too, or has none and
        stands for none: then nothing is to be renamed, copied or deleted for it."""
        if self.alias:
            return False
        return (self.item and self.item.item_id) == (self.was and self.was.item_id)

    def clear(self) -> None:
        """Nothing stands here any more."""
        self.draft = self.own = self.clean = None
        self.alias = self.local = False
        self.origins = ()

    def as_row(self) -> dict[str, Any]:
        return {
            "began_at": self.began_at,
            "touched_at": self.touched_at,
            "settled_at": self.settled_at,
            "draft": self.draft,
            "own": item_row(self.own),
            "clean": item_row(self.clean),
            "was": item_row(self.was),
            "partners": sorted(self.partners),
            "origins": list(self.origins),
            "alias": self.alias,
            "local": self.local,
            "begun": self.begun,
        }

    @classmethod
    def of_row(cls, name: str, row: Mapping[str, Any], shift_s: float) -> Self:
        """Times are shifted: a clock starts anew with the machine."""
        return cls(
            name=name,
            began_at=row["began_at"] + shift_s,
            touched_at=row["touched_at"] + shift_s,
            settled_at=_shifted(row["settled_at"], shift_s),
            draft=None if row["draft"] is None else DraftId(row["draft"]),
            own=item_of(row["own"]),
            clean=item_of(row["clean"]),
            was=item_of(row["was"]),
            partners=set(row["partners"]),
            origins=tuple(row["origins"]),
            alias=bool(row["alias"]),
            local=bool(row["local"]),
            begun=bool(row["begun"]),
        )


@dataclass(slots=True)
class Gone:
    """An item that is not seen any more. ``done``: the service has deleted it, and listings may
    still lag behind."""

    item: Item
    name: str
    at: float
    done: bool = False

    def as_row(self) -> dict[str, Any]:
        item = item_row(self.item)
        return {"item": item, "name": self.name, "at": self.at, "done": self.done}

    @classmethod
    def of_row(cls, row: Mapping[str, Any], shift_s: float) -> Self:
        """KeyError, TypeError, ValueError for a row of another shape, as all of these."""
        item = item_of(row["item"])
        if item is None:
            raise ValueError("an absent item without an item")
        return cls(item, row["name"], row["at"] + shift_s, bool(row["done"]))


def _shifted(at: float | None, shift_s: float) -> float | None:
    return None if at is None else at + shift_s


def item_row(item: Item | None) -> list[Any] | None:
    return None if item is None else [item.item_id, item.version_id, item.name, item.number]


def item_of(row: Any) -> Item | None:
    if row is None:
        return None
    item_id, version_id, name, number = row
    return Item(ItemId(item_id), VersionId(version_id), name, number)


class NameTable:
    """Entries by name, with the indexes that go with them. Events are ``FolderNames``' business."""

    def __init__(self, posted_at: Mapping[ItemId, float] = MappingProxyType({})) -> None:
        """``posted_at``: when versions of items last went up from here."""
        self._entries: dict[str, Entry] = {}
        self._gone: dict[ItemId, Gone] = {}
        self._posted_at = dict(posted_at)
        self._listed: Mapping[str, Item] = MappingProxyType({})
        self._listed_at = float("-inf")
        self._home: dict[ItemId, str] = {}
        self._holder: dict[ItemId, str] = {}
        self._draft_at: dict[DraftId, str] = {}
        self._changed: set[str] = set()

    # What is there

    def __bool__(self) -> bool:
        """Whether anything differs from the listing."""
        return bool(self._entries or self._gone)

    @property
    def waits(self) -> bool:
        """Whether the service may have to rename, copy or delete anything; goes through what was
        touched, and no further."""
        return any(not each.done for each in self._gone.values()) or any(
            not each.at_home for each in self._entries.values()
        )

    @property
    def posted_at(self) -> Mapping[ItemId, float]:
        """When versions of items last went up from here."""
        return self._posted_at

    @property
    def listed_at(self) -> float:
        """When the listing that counts was requested."""
        return self._listed_at

    def at(self, name: str) -> DraftId | Item | None:
        """What a user sees under ``name``."""
        entry = self._entries.get(name)
        if entry is not None:
            return entry.clean if entry.draft is None else entry.draft
        item = self._listed.get(name)
        return None if item is None or self.hides(item.item_id, name) else item

    def hides(self, item_id: ItemId, name: str) -> bool:
        """Whether a listing's ``item_id`` is not to be shown under ``name``."""
        return (
            name in self._entries
            or item_id in self._gone
            or self._holder.get(item_id, name) != name
            or self._home.get(item_id, name) != name
        )

    def displaced(self) -> Mapping[ItemId, str]:
        """Items that a listing may show where a user does not see them, each with the name under
        which it is most likely listed."""
        gone = {item_id: each.name for item_id, each in self._gone.items()}
        return {**gone, **self._holder, **self._home}

    def items(self) -> Iterator[Item]:
        """All that is known of other than from the listing."""
        for entry in self._entries.values():
            yield from (each for each in (entry.own, entry.clean, entry.was) if each is not None)
        yield from (each.item for each in self._gone.values())

    def draft_touched_at(self) -> float:
        """When a draft that stands here was touched last; 0: there is none."""
        times = (each.touched_at for each in self._entries.values() if each.draft is not None)
        return max(times, default=0.0)

    def shown(self) -> dict[str, DraftId | Item]:
        """All that a user sees, as far as items and drafts go. Goes through the listing."""
        seen: dict[str, DraftId | Item] = {
            name: item for name, item in self._listed.items() if not self.hides(item.item_id, name)
        }
        for name in self._entries:
            content = self.at(name)
            if content is not None:
                seen[name] = content
        return seen

    def touched(self) -> Iterable[str]:
        """Names of which anything differs, or may."""
        return list(self._entries)

    def is_local(self, name: str) -> bool:
        """Whether what stands there was found to stay on this machine."""
        entry = self._entries.get(name)
        return entry is not None and entry.local

    def draft_name(self, draft: DraftId) -> str | None:
        """Where a draft stands now."""
        return self._draft_at.get(draft)

    def knows(self, item_id: ItemId) -> bool:
        """Whether anything was done to an item, or is about to be."""
        return item_id in self._holder or item_id in self._home or item_id in self._gone

    def drafts(self) -> Iterable[DraftId]:
        """All that stand anywhere here."""
        return list(self._draft_at)

    # The journal

    @property
    def has_changes(self) -> bool:
        """Whether rows differ since the last ``take_changes``."""
        return bool(self._changed)

    def take_changes(self) -> list[tuple[str, dict[str, Any] | None]]:
        """Rows that differ since the last call, by keys that are unique in this folder; None: the
        row goes."""
        changes: list[tuple[str, dict[str, Any] | None]] = []
        for key in sorted(self._changed):
            row: Entry | Gone | None
            if key.startswith(_NAME):
                row = self._entries.get(key.removeprefix(_NAME))
            else:
                row = self._gone.get(ItemId(key.removeprefix(_GONE)))
            changes.append((key, None if row is None else row.as_row()))
        self._changed.clear()
        return changes

    def write_again(self, keys: Iterable[str]) -> None:
        """These rows are to be written, whether they differ or not."""
        self._changed.update(keys)

    def row_keys(self) -> Iterable[str]:
        """Of all rows, as ``take_changes`` has them."""
        return [*(_NAME + name for name in self._entries), *(_GONE + each for each in self._gone)]

    @classmethod
    def of_rows(cls, rows: Mapping[str, Mapping[str, Any]], now: float) -> Self:
        """As it was, with the latest event happening ``now``. KeyError, TypeError, ValueError for
        rows of another shape."""
        names = cls()
        times = [row["touched_at"] for key, row in rows.items() if key.startswith(_NAME)]
        times += [row["at"] for key, row in rows.items() if key.startswith(_GONE)]
        shift_s = now - max(times, default=now)
        for key, row in rows.items():
            if key.startswith(_NAME):
                entry = Entry.of_row(key.removeprefix(_NAME), row, shift_s)
                names._entries[entry.name] = entry
                names._index(entry)
            else:
                gone = Gone.of_row(row, shift_s)
                names._gone[gone.item.item_id] = gone
        return names

    def _index(self, entry: Entry) -> None:
        if entry.was is not None:
            self._home[entry.was.item_id] = entry.name
        if entry.item is not None:
            self._holder[entry.item.item_id] = entry.name
        if entry.draft is not None:
            self._draft_at[entry.draft] = entry.name

    # Entries

    def _touch(self, name: str, at: float, *, event: bool = True) -> Entry:
        """The entry of a name, made from the listing if there is none."""
        entry = self._entries.get(name)
        if entry is None:
            item = self._listed.get(name)
            if item is not None and self.hides(item.item_id, name):
                item = None
            entry = Entry(name, at, at, clean=item, was=item)
            self._entries[name] = entry
            self._index(entry)
        elif event:
            entry.touched_at = at
        self._note(entry)
        return entry

    def _note(self, entry: Entry) -> None:
        self._changed.add(_NAME + entry.name)

    def _lift(self, entry: Entry) -> None:
        """Takes an item away from a name, which it will have again in another form."""
        if entry.item is not None and self._holder.get(entry.item.item_id) == entry.name:
            del self._holder[entry.item.item_id]
        entry.clean, entry.alias = None, False

    def _remove(self, entry: Entry, at: float) -> DraftId | None:
        """What stands there is seen no more."""
        item, draft = entry.item, entry.draft
        if item is not None and self._holder.get(item.item_id) == entry.name:
            del self._holder[item.item_id]
            self._mark_gone(item, entry.name, at)
        if draft is not None:
            self._draft_at.pop(draft, None)
        entry.clear()
        return draft

    def _fill(self, entry: Entry) -> None:
        """The item of this name is seen again, if it waits for its deletion."""
        item = entry.was
        if entry.empty and item is not None and item.item_id in self._gone:
            self._unmark_gone(item.item_id)
            entry.clean = item
            self._holder[item.item_id] = entry.name

    def _revive(self, item_id: ItemId, at: float) -> bool:
        gone = self._gone.get(item_id)
        name = self._home.get(item_id, "" if gone is None else gone.name)
        if not name or item_id in self._holder or (gone is not None and gone.done):
            return False
        entry = self._touch(name, at)  # spared before, its name may have been another's till now
        item = entry.was if gone is None else gone.item
        if not entry.empty or item is None:
            return False
        self._unmark_gone(item_id)
        entry.clean = item
        self._holder[item_id] = entry.name
        self._tidy(entry)
        return True

    def _mark_gone(self, item: Item, name: str, at: float, *, done: bool = False) -> None:
        self._gone[item.item_id] = Gone(item, name, at, done)
        self._changed.add(_GONE + item.item_id)

    def _unmark_gone(self, item_id: ItemId) -> None:
        if self._gone.pop(item_id, None) is not None:
            self._changed.add(_GONE + item_id)

    def _tidy(self, entry: Entry, listed_at: float | None = None) -> None:
        """Forgets an entry that says nothing any more."""
        self._note(entry)
        if self._entries.get(entry.name) is not entry or not self._agrees(entry, listed_at):
            return
        del self._entries[entry.name]
        for index in (self._home, self._holder):
            for item in (entry.was, entry.item):
                if item is not None and index.get(item.item_id) == entry.name:
                    del index[item.item_id]

    def _agrees(self, entry: Entry, listed_at: float | None) -> bool:
        if entry.begun:
            return False
        if entry.empty:
            return entry.was is None
        clean = entry.clean
        if clean is None or entry.alias or entry.was is None:
            return False
        if entry.was.item_id != clean.item_id:
            return False
        if not entry.settled_at and listed_at is not None and listed_at > entry.touched_at:
            return True  # nothing was done to it: whatever is listed is news
        listed = self._listed.get(entry.name)
        if (
            listed is not None
            and listed.item_id == clean.item_id
            and (listed.version_id == clean.version_id or listed.number > clean.number > 0)
        ):
            return True
        if listed_at is None:
            return False
        return entry.settled_at is None or entry.settled_at + LAG_S < listed_at
