"""Which draft becomes the next version of which item. Pure.

The version belongs to whatever stands under the item's name in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from dmfs.model import ItemId
from dmfs.write.settle.nouns import FolderState, Item, NameState


@dataclass(slots=True)
class Claims:
    """Of all names, local ones apart."""

    target: dict[str, Item | None] = field(default_factory=dict)
    """Name of a draft → the item whose next version stands there; None: a new item."""
    owner: dict[ItemId, str] = field(default_factory=dict)
    """The other way round."""
    home: dict[ItemId, str] = field(default_factory=dict)
    """Item → the name that it has on the service, as the mount shows that."""
    before: dict[str, Item] = field(default_factory=dict)
    """Name where something stands → the item that has this name on the service."""
    placed: set[ItemId] = field(default_factory=set)
    """Items that stand under an ordinary name without new bytes."""

    def give(self, item: Item, name: str) -> None:
        self.target[name] = item
        self.owner[item.item_id] = name

    def displaces(self, name: str) -> Item | None:
        """The item that has ``name`` on the service, and no place in the folder any more."""
        item = self.before.get(name)
        if item is None or item.item_id in self.placed or item.item_id in self.owner:
            return None
        return item


def claim(folder: FolderState, local: Collection[str], key: Callable[[str], str]) -> Claims:
    """Each draft gets one item or none, each item one draft at most. ``key``: equal for names that
    the service takes for the same."""
    claims = Claims()
    left_names: dict[str, Item] = {}
    for state in folder.names.values():
        if state.was is not None:
            claims.home.setdefault(state.was.item_id, state.name)
            if state.empty:
                left_names[key(state.name)] = state.was
    for name, state in folder.names.items():
        before = state.was or left_names.get(key(name))
        if before is not None and not state.empty:
            claims.before[name] = before
        if state.clean is not None and not state.alias and name not in local:
            claims.placed.add(state.clean.item_id)
    _give(folder, local, claims)
    return claims


def _give(folder: FolderState, local: Collection[str], claims: Claims) -> None:
    drafts = [
        state
        for name, state in folder.names.items()
        if state.draft is not None and name not in local
    ]
    drafts.sort(key=lambda state: (state.was is None, state.began_at, state.name))
    for state in drafts:  # whatever stands under the item's name
        before = claims.before.get(state.name)
        if before is not None and before.item_id not in claims.owner:
            claims.give(before, state.name)
    for state in drafts:
        own = None if state.draft is None else state.draft.own
        if state.name in claims.target:
            continue
        if own is not None and own.item_id not in claims.owner:
            claims.give(own, state.name)  # edited, and renamed by a person
        else:
            claims.target[state.name] = None


def gone_items(folder: FolderState, claims: Claims, local: Collection[str]) -> dict[ItemId, Item]:
    """Items that no name shows any more, and whose name nothing has taken: to be deleted."""
    gone = {each.item.item_id: each.item for each in folder.absent}
    stay = set(claims.owner) | claims.placed
    stay |= {each.item_id for each in claims.before.values()}
    for name, state in folder.names.items():
        if name in local:
            stay |= _stand_for(state) | _moved_aside(state, folder)
        elif state.draft is not None and state.draft.own is not None:
            own = state.draft.own
            gone.setdefault(own.item_id, own)  # its bytes go to another item
    return {item_id: item for item_id, item in gone.items() if item_id not in stay}


def _moved_aside(state: NameState, folder: FolderState) -> set[ItemId]:
    """Items whose name it had: a program has moved it aside, and died before it wrote the new
    one."""
    names = [folder.names[each] for each in state.origins if each in folder.names]
    return {each.was.item_id for each in names if each.was is not None and each.empty}


def _stand_for(state: NameState) -> set[ItemId]:
    if state.draft is not None:
        return set() if state.draft.own is None else {state.draft.own.item_id}
    return set() if state.clean is None or state.alias else {state.clean.item_id}
