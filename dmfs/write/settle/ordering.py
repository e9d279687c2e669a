"""Steps in an order in which no two files ever want one name. Pure.

Bytes first, then copies, names, and deletes last; only what frees a name for another step comes
before that. Where items change names in a circle one of them goes by a name of passage.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from dmfs.model import ItemId
from dmfs.names import NAME_MAX_BYTES, split_extension
from dmfs.write.settle.nouns import (
    CopyItem,
    DeleteItem,
    Item,
    KeepLocal,
    MakeDraft,
    RenameItem,
    Step,
    UploadNewItem,
    UploadNewVersion,
)
from dmfs.write.settle.service_names import compare_key

_RANKS: Mapping[type[Step], int] = {
    KeepLocal: 0,
    UploadNewVersion: 1,
    UploadNewItem: 1,
    MakeDraft: 0,
    CopyItem: 2,
    RenameItem: 3,
    DeleteItem: 4,
}


def name_key(kind: Literal["a", "b"]) -> Callable[[str], str]:
    """Equal for names of which a folder has only one."""
    return compare_key if kind == "b" else lambda name: unicodedata.normalize("NFC", name)


@dataclass(slots=True)
class Ordered:
    """``waiting``: steps that would take a name which nothing of the plan frees, with that name."""

    steps: list[Step]
    waiting: list[tuple[Step, str]]


def order(
    steps: Iterable[Step],
    items: Iterable[Item],
    key: Callable[[str], str],
    taken: Callable[[], Iterable[str]] = tuple,
) -> Ordered:
    """``items``: those of the folder that are known to be touched; ``taken``: gives further names
    that one of passage must not be: all of the folder, and seldom needed."""
    return _Ordering(steps, items, key, taken).ordered()


class _Ordering:
    """The folder of the service, as it is after the steps so far."""

    def __init__(
        self,
        steps: Iterable[Step],
        items: Iterable[Item],
        key: Callable[[str], str],
        taken: Callable[[], Iterable[str]],
    ) -> None:
        self._key = key
        self._left = sorted(steps, key=lambda step: _RANKS.get(type(step), 9))
        self._place: dict[ItemId, str] = {}
        self._holders: dict[str, set[ItemId]] = {}
        for item in items:
            self._put(item.item_id, item.name)
        self._taken = taken
        self._before = frozenset(self._holders)
        """Names that items have before the first step."""
        self._passages: set[str] = set()

    def ordered(self) -> Ordered:
        """All steps that can be done, one by one."""
        steps: list[Step] = []
        while self._left:
            step = self._next()
            if step is None:
                return Ordered(steps, [(each, _takes(each) or "") for each in self._left])
            if step in self._left:
                self._left.remove(step)
            steps.append(step)
            self._happen(step)
        return Ordered(steps, [])

    def _next(self) -> Step | None:
        deletes: dict[ItemId, DeleteItem] = {}
        for step in self._left:
            if isinstance(step, DeleteItem):
                deletes[step.item.item_id] = step
            elif not self._blockers(step):
                return step
        for step in self._left:
            for blocker in self._blockers(step):
                if blocker in deletes:
                    return deletes[blocker]
        return self._of_passage() or next(iter(deletes.values()), None)

    def _blockers(self, step: Step) -> set[ItemId]:
        """Items that have the name which the step would take."""
        name = _takes(step)
        if name is None:
            return set()
        return self._holders.get(self._key(name), set()) - {_own(step)}

    def _put(self, item_id: ItemId, name: str) -> None:
        key = self._key(name)
        self._place[item_id] = key
        self._holders.setdefault(key, set()).add(item_id)

    def _happen(self, step: Step) -> None:
        own, name = _own(step), _takes(step)
        if own is not None and (name is not None or isinstance(step, DeleteItem)):
            self._holders.get(self._place.pop(own, ""), set()).discard(own)
        if name is not None:
            self._put(own or ItemId(f"new {name}"), name)

    def _of_passage(self) -> RenameItem | None:
        """The first rename of a circle, to a name that nobody has. None: what is in the way is none
        of these steps' business."""
        movers = {step.item.item_id: step for step in self._left if isinstance(step, RenameItem)}
        for first in movers.values():
            step, passed = first, {first.item.item_id}
            while len(blockers := self._blockers(step)) == 1:
                (blocker,) = blockers
                if blocker == first.item.item_id:
                    return RenameItem(first.item, "", self._passage_name(first.item.name))
                if blocker not in movers or blocker in passed:
                    break
                passed.add(blocker)
                step = movers[blocker]
        return None

    def _passage_name(self, name: str) -> str:
        stem, extension = split_extension(name)
        names = {self._key(each) for each in self._taken()} | self._before | self._passages
        count = 1
        while True:
            tail = f" (renaming{'' if count == 1 else f' {count}'}){extension}"
            room = NAME_MAX_BYTES - len(tail.encode())
            candidate = stem.encode()[:room].decode("utf-8", "ignore") + tail
            if self._key(candidate) not in names:
                self._passages.add(self._key(candidate))
                return candidate
            count += 1


def _takes(step: Step) -> str | None:
    """The name that a file of the service gets by it; None: no other than it has."""
    if isinstance(step, UploadNewVersion | RenameItem) and step.name == step.item.name:
        return None
    if isinstance(step, UploadNewItem | UploadNewVersion | CopyItem | RenameItem):
        return step.name
    return None


def _own(step: Step) -> ItemId | None:
    """The item that leaves its name by it."""
    if isinstance(step, UploadNewVersion | RenameItem | DeleteItem):
        return step.item.item_id
    return None
