"""A folder of a model service, a user who works in it, and the recorder between the two."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from dmfs.model import ItemId, VersionId
from dmfs.write.records import DraftId
from dmfs.write.settle.ordering import name_key
from dmfs.write.settle.plan import (
    CopyItem,
    DeleteItem,
    DraftState,
    HoldDeletes,
    Item,
    KeepLocal,
    MakeDraft,
    Plan,
    RenameItem,
    Rules,
    ShowAgain,
    Step,
    UploadNewItem,
    UploadNewVersion,
    settle,
)
from dmfs.write.settle.recording.recorder import FolderNames

RULES = Rules(version_interval_s=0.0)
HOUR = 3600.0
F = "plan.dwg"


@dataclass
class Lineage:
    """An item of the model service."""

    name: str
    versions: list[int]
    """Contents."""
    alive: bool = True


@dataclass
class Folder:
    """``seen``: name → content, as the user has made it; ``contents``: of each draft."""

    kind: Literal["a", "b"] = "b"
    rules: Rules = RULES
    now: float = 1000.0
    names: FolderNames = field(default_factory=FolderNames)
    service: dict[ItemId, Lineage] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    drafts: dict[DraftId, DraftState] = field(default_factory=dict)
    contents: dict[DraftId, int] = field(default_factory=dict)
    log: list[Step] = field(default_factory=list)
    fresh: itertools.count = field(default_factory=lambda: itertools.count(1))
    reads_drafts: bool = False
    """What went up is read from its draft still, until ``adopt``."""
    made: int = 0
    """Drafts that were made of what was there."""
    rewritten: int = 0
    rows: dict[str, dict | None] = field(default_factory=dict)
    pending: list[tuple[Step, Item | None, int]] = field(default_factory=list)

    # the service

    def put(self, *names: str) -> None:
        """Items that are there at the beginning."""
        for name in names:
            self.service[ItemId(f"item {next(self.fresh)}")] = Lineage(name, [next(self.fresh)])
        self.look()
        self.seen = self.live()

    def item(self, item_id: ItemId) -> Item:
        lineage = self.service[item_id]
        number = len(lineage.versions)
        return Item(item_id, VersionId(f"{item_id}?version={number}"), lineage.name, number)

    def listing(self) -> dict[str, Item]:
        return {
            lineage.name: self.item(item_id)
            for item_id, lineage in self.service.items()
            if lineage.alive
        }

    def look(self) -> None:
        self.names.see(self.listing(), self.now)

    def live(self) -> dict[str, int]:
        """What the service shows."""
        return {each.name: each.versions[-1] for each in self.service.values() if each.alive}

    # the user

    def content_of(self, name: str) -> int | None:
        """As the recorder tells it."""
        there = self.names.at(name)
        if there is None:
            return None
        if isinstance(there, Item):
            number = int(there.version_id.rpartition("=")[2])
            return self.service[there.item_id].versions[number - 1]
        return self.contents[there]

    def write(self, name: str, size_bytes: int = 10) -> DraftId:
        """Creates the file, or changes it in place."""
        there = self.names.at(name)
        if there is not None and not isinstance(there, Item):
            draft = there
            self.rewritten += 1
            state = self.drafts[draft]
            self.drafts[draft] = replace(
                state, generation=state.generation + 1, size_bytes=size_bytes
            )
            self.names.written(name, self.now)
        else:
            draft = DraftId(f"draft {next(self.fresh)}")
            self.drafts[draft] = DraftState(draft, size_bytes, 1, made_at=self.now)
            self._drop(self.names.create(name, draft, self.now, own=there))
        self.contents[draft] = self.seen[name] = next(self.fresh)
        return draft

    def rename(self, old: str, new: str) -> None:
        self._drop(self.names.rename(old, new, self.now))
        self.seen[new] = self.seen.pop(old)

    def goes_beside(self, draft: DraftId, item_id: ItemId, name: str, place: str = "") -> None:
        """Somebody else has changed the item: as ``Landing.went_beside``, before the draft is up.
        Theirs is seen once a listing has it. ``place``: where it stood when its upload began, if
        that is another than now."""
        now_at = self.names.draft_name(draft)
        assert now_at is not None
        if place in ("", now_at):
            self.names.rename(now_at, name, self.now)
        self.names.part(draft, item_id)
        if not self.names.revive(item_id, self.now):
            self.names.spare(item_id)

    def unlink(self, name: str) -> None:
        self._drop(self.names.unlink(name, self.now))
        del self.seen[name]

    def _drop(self, draft: DraftId | None) -> None:
        if draft is not None:
            del self.drafts[draft]

    def adopt(self) -> None:
        """All that went up is read from the service from now on."""
        for each in list(self.drafts.values()):
            if not each.has_news:
                self.names.adopted(each.id)
        self._sweep()

    # settling

    def plan(self) -> Plan:
        state = self.names.state(self.kind, self.drafts)
        return settle(state, self.now, self.rules)

    def begin(self, step: Step) -> None:
        """The service does it; the answer is still on its way."""
        self.log.append(step)
        self.names.begun(step, self.now)
        item: Item | None = None
        generation = 0
        if isinstance(step, UploadNewItem):
            self._free(step.name)
            item = self._new(step.name, self.contents[step.draft])
            generation = self.drafts[step.draft].generation
        elif isinstance(step, UploadNewVersion):
            item = self._next(step.item, step.name, self.contents[step.draft])
            generation = self.drafts[step.draft].generation
        elif isinstance(step, CopyItem):
            assert self.kind == "b"
            self._free(step.name)
            number = int(step.item.version_id.rpartition("=")[2])
            old = self.service[step.item.item_id].versions[number - 1]
            item = self._new(step.name, old)
        elif isinstance(step, MakeDraft):
            self.made += 1
            content = self.content_of(step.place) or 0
            draft = DraftId(f"draft {next(self.fresh)}")
            self.drafts[draft] = DraftState(draft, 10, 1, made_at=self.now)
            self.contents[draft] = content
            self._drop(self.names.create(step.place, draft, self.now, own=step.item))
        elif isinstance(step, RenameItem):
            lineage = self.service[step.item.item_id]
            item = self._next(step.item, step.name, lineage.versions[-1])
        elif isinstance(step, DeleteItem):
            assert self.kind == "b"
            lineage = self.service[step.item.item_id]
            assert lineage.alive
            self.check_delete(step)
            lineage.alive = False
        self.pending.append((step, item, generation))

    def answer(self) -> None:
        """The oldest answer on its way arrives."""
        step, item, generation = self.pending.pop(0)
        if isinstance(step, HoldDeletes):
            return
        more = False
        if isinstance(step, UploadNewItem | UploadNewVersion) and step.draft in self.drafts:
            state = self.drafts[step.draft]
            more = self.reads_drafts or state.generation > generation
            self.drafts[step.draft] = replace(state, uploaded_generation=generation)
        self.names.done(step, self.now, item, more=more)
        if isinstance(step, ShowAgain):
            self.seen[step.place] = self.content_of(step.place) or 0
        self._sweep()

    def _sweep(self) -> None:
        stands = {each for each in self.names.shown().values() if not isinstance(each, Item)}
        self.drafts = {key: each for key, each in self.drafts.items() if key in stands}

    def carry_out(self, limit: int = 1000) -> list[Step]:
        """Up to ``limit`` steps of the plan of now."""
        steps = list(self.plan().steps[:limit])
        deletes = [isinstance(step, DeleteItem | HoldDeletes) for step in steps]
        assert deletes == sorted(deletes), "deletes are last"
        for step in steps:
            self.begin(step)
            self.answer()
        return steps

    def come_to_rest(self) -> list[Step]:
        """Time passes, and all that is due happens."""
        before = len(self.log)
        for _ in range(20):
            self.now += HOUR
            if not self.carry_out():
                return [each for each in self.log[before:] if not isinstance(each, KeepLocal)]
        raise AssertionError(f"it never comes to rest: {self.log[before:]}")

    def check_delete(self, step: DeleteItem) -> None:
        assert self.seen.get(step.place) is None, "its name is not gone"
        for each in self.names.state(self.kind, self.drafts).names.values():
            is_it = each.clean is not None and each.clean.item_id == step.item.item_id
            assert each.alias or not is_it, "it is seen, and it is deleted"

    def _free(self, name: str, own: ItemId | None = None) -> None:
        key = name_key(self.kind)
        taken = {key(each.name) for id_, each in self.service.items() if each.alive and id_ != own}
        assert key(name) not in taken, f"{name} is taken"

    def _new(self, name: str, content: int) -> Item:
        item_id = ItemId(f"item {next(self.fresh)}")
        self.service[item_id] = Lineage(name, [content])
        return self.item(item_id)

    def _next(self, item: Item, name: str, content: int) -> Item:
        lineage = self.service[item.item_id]
        assert lineage.alive
        self._free(name, item.item_id)
        lineage.name = name
        lineage.versions.append(content)
        return self.item(item.item_id)


def a_folder(*names: str, **more) -> Folder:
    """One file, if no names are given."""
    folder = Folder(**more)
    folder.put(*(names or (F,)))
    return folder


def kinds(steps: Sequence[Step]) -> list[str]:
    return [type(each).__name__ for each in steps]
