"""A listing as settling reads it: nothing of it is copied, whatever is asked of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dmfs.model import Child, File, ItemId, own_id
from dmfs.write.settle.nouns import Item


class Listed(Mapping[str, Item]):
    """The items of a listing by their names in the mount; an ``Item`` is made when it is asked
    for. A folder may have 100 000 entries, of which writing touches one."""

    def __init__(self, entries: Mapping[str, Child]) -> None:
        self.entries = entries
        self.scans = 0
        """How often all entries were gone through."""
        self._name_of: dict[str, str | None] = {}
        """Of ids that were asked for; None: it is not here."""

    def __getitem__(self, name: str) -> Item:
        child = self.entries[name]
        if not isinstance(child, File):
            raise KeyError(name)
        return Item.of(child)

    def __iter__(self) -> Iterator[str]:
        return (name for name, child in self.entries.items() if isinstance(child, File))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def names_of(self, likely: Mapping[str, str]) -> Mapping[str, str]:
        """Under which names these ids are listed; one that is not here is left out. ``likely``: id
        → the name that it should have: the entries are gone through only for ids that are not
        there, and once for each of these."""
        left = set()
        for each, name in likely.items():
            if each not in self._name_of:
                child = self.entries.get(name)
                if child is not None and own_id(child) == each:
                    self._name_of[each] = name
                else:
                    left.add(each)
        if left:
            self._look_for(left)
        found = ((each, self._name_of[each]) for each in likely)
        return {each: name for each, name in found if name is not None}

    def _look_for(self, ids: set[str]) -> None:
        self.scans += 1
        self._name_of.update(dict.fromkeys(ids))
        for name, child in self.entries.items():
            if own_id(child) in ids:
                self._name_of[own_id(child)] = name


class ListedIds:
    """The ids of a listing's entries, to be looked up one by one."""

    def __init__(self, listed: Listed) -> None:
        self._listed = listed

    def __contains__(self, each: object) -> bool:
        return isinstance(each, str) and bool(self._listed.names_of({each: ""}))


def names_of(listed: Mapping[str, Item], likely: Mapping[ItemId, str]) -> Mapping[str, str]:
    """As ``Listed.names_of``, of any listing."""
    if isinstance(listed, Listed):
        return listed.names_of({str(each): name for each, name in likely.items()})
    return {item.item_id: name for name, item in listed.items() if item.item_id in likely}
