"""Settling a folder: what the names that writing has touched mean for the service. Pure.

``settle`` looks at the folder as it is now and plans all that is due. It knows no history: a plan
that was carried out in part, or not at all, is made anew from what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dmfs.model import ItemId
from dmfs.write.settle.claims import claim, gone_items
from dmfs.write.settle.locality import Locality
from dmfs.write.settle.nouns import (
    AbsentItem,
    CopyItem,
    DeleteItem,
    DraftState,
    FolderState,
    HoldDeletes,
    Item,
    KeepLocal,
    MakeDraft,
    NameState,
    Plan,
    RenameItem,
    Rules,
    ShowAgain,
    Step,
    UploadNewItem,
    UploadNewVersion,
)
from dmfs.write.settle.ordering import name_key, order
from dmfs.write.settle.quiet import OPEN, Quiet, open_look_at

__all__ = [
    "AbsentItem",
    "CopyItem",
    "DeleteItem",
    "DraftState",
    "FolderState",
    "HoldDeletes",
    "Item",
    "KeepLocal",
    "MakeDraft",
    "NameState",
    "Plan",
    "RenameItem",
    "Rules",
    "ShowAgain",
    "Step",
    "UploadNewItem",
    "UploadNewVersion",
    "settle",
]


def settle(folder: FolderState, now: float, rules: Rules) -> Plan:
    """The steps that are due at ``now``, in a safe order; the rest with a reason."""
    return _Settling(folder, now, rules).plan()


class _Settling:
    """One look at a folder."""

    def __init__(self, folder: FolderState, now: float, rules: Rules) -> None:
        self._folder = folder
        self._now = now
        self._rules = rules
        self._local = Locality(folder, rules)
        self._quiet = Quiet(folder, self._local.always, now, rules)
        self._key = name_key(folder.kind)
        self._claims = claim(folder, self._local.why, self._key)
        self._steps: list[Step] = []
        self._reasons: dict[str, str] = {}
        self._looks: list[float] = []
        self._stuck: set[str] = set()
        """Saves of which something is not ready: nothing of them is renamed or deleted."""

    def plan(self) -> Plan:
        """The whole of it, once."""
        names = self._folder.names.values()
        for state in names:
            if state.name in self._local.why:
                self._keep_local(state)
            elif state.draft is not None:
                self._upload(state, state.draft)
        if not self._folder.made_folder:
            local = [step for step in self._steps if isinstance(step, KeepLocal)]
            waiting = dict.fromkeys(self._ordinary(), "the folder is not made yet")
            return Plan(local, None, waiting)
        for state in names:
            if state.clean is not None and state.name not in self._local.why:
                self._place_clean(state, state.clean)
        self._delete()
        steps = self._ordered()
        self._looks += open_look_at(self._folder.names, self._now, self._rules)
        later = [at for at in self._looks if self._now < at < OPEN]
        return Plan(steps, min(later, default=None), self._reasons)

    def _ordinary(self) -> Iterator[str]:
        return (name for name in self._folder.names if name not in self._local.why)

    # What is not done yet

    def _wait(self, name: str, why: str, until: float = OPEN) -> None:
        self._reasons[name] = why
        self._looks.append(until)
        self._stuck.add(self._quiet.group[name])

    def _rests(self, name: str) -> bool:
        rest = self._quiet.of[name]
        if not rest.ready:
            self._wait(name, rest.why, rest.since)
        return rest.ready

    def _rests_whole(self, name: str) -> bool:
        """For what is done to names: the whole save has to be ready."""
        if not self._rests(name):
            return False
        if self._quiet.group[name] in self._stuck:
            self._reasons.setdefault(name, "waits for another file of the same save")
            return False
        return True

    # Names with content

    def _keep_local(self, state: NameState) -> None:
        content = state.clean if state.draft is None else state.draft.id
        why = self._local.why[state.name]
        self._reasons[state.name] = why
        if state.local or content is None:
            return
        if state.name in self._local.always or self._rests(state.name):
            self._steps.append(KeepLocal(state.name, content, why))

    def _upload(self, state: NameState, draft: DraftState) -> None:
        item = self._claims.target[state.name]
        own = None if draft.own is None else draft.own.item_id
        at_home = item is not None and self._claims.home.get(item.item_id) == state.name
        same_bytes = item is not None and item.item_id == own and not draft.has_news
        if same_bytes and draft.generation and at_home:
            return
        if not self._may_go_up(state, draft, item):
            return
        if item is None:
            self._steps.append(UploadNewItem(draft.id, state.name, state.name))
        elif same_bytes and draft.generation:
            self._steps.append(RenameItem(item, state.name, state.name))
        else:
            name = item.name if at_home else state.name
            self._steps.append(UploadNewVersion(draft.id, item, state.name, name))

    def _may_go_up(self, state: NameState, draft: DraftState, item: Item | None) -> bool:
        rules, name = self._rules, state.name
        if draft.on_hold:
            self._wait(name, draft.on_hold)
            return False
        if not draft.generation:
            self._wait(name, "open for writing" if draft.open_writers else "nothing is confirmed")
            return False
        if not self._rests(name):
            return False
        until, why = 0.0, ""
        if draft.size_bytes == 0:
            until, why = state.touched_at + rules.empty_delay_s, "it is empty yet"
        if name in self._local.unclear:
            at = state.touched_at + rules.unclear_delay_s
            until, why = max((until, why), (at, "it may be a temporary file"))
        if item is not None and item.item_id in self._folder.posted_at:
            at = self._folder.posted_at[item.item_id] + rules.version_interval_s
            until, why = max(
                (until, why), (at, f"one version in {rules.version_interval_s:.0f} s at most")
            )
        if until > self._now:
            self._wait(name, why, until)
        return until <= self._now

    def _place_clean(self, state: NameState, item: Item) -> None:
        """An item that a person renamed, or an old version that one gave a name of its own."""
        name = state.name
        retaken = state.alias or item.item_id in self._claims.owner
        if self._claims.displaces(name) is not None:
            if self._rests_whole(name):
                self._steps.append(MakeDraft(item, name))
        elif not retaken:
            if self._claims.home.get(item.item_id) != name and self._rests_whole(name):
                self._steps.append(RenameItem(item, name, name))
        elif self._folder.kind == "b":
            if self._rests_whole(name):
                self._steps.append(CopyItem(item, name, name))
        else:
            why = self._reasons[name] = "an older version, which this project cannot copy"
            if not state.local and self._rests(name):
                self._steps.append(KeepLocal(name, item, why))

    # What is gone

    def _delete(self) -> None:
        if self._folder.kind == "a":
            self._show_again()
            return
        at = {each.item.item_id: each.at for each in self._folder.absent}
        last_name = {each.item.item_id: each.name for each in self._folder.absent}
        due: list[tuple[float, DeleteItem]] = []
        for item_id, item in gone_items(self._folder, self._claims, self._local.why).items():
            name = self._claims.home.get(item_id) or last_name.get(item_id, item.name)
            gone_at = at.get(item_id, 0.0)
            if self._may_delete(name, gone_at):
                due.append((gone_at, DeleteItem(item, name)))
        if len(due) > self._rules.bulk_deletes:
            until = max(gone_at for gone_at, _ in due) + self._rules.bulk_hold_s
            if until > self._now:
                self._looks.append(until)
                self._steps.append(HoldDeletes(len(due), until))
                self._reasons.update({each.place: "one of many deletes" for _, each in due})
                return
        self._steps += [each for _, each in due]

    def _show_again(self) -> None:
        """Where nothing can be deleted: a program was about to save, and did not."""
        gone = gone_items(self._folder, self._claims, self._local.why)
        for each in self._folder.absent:
            name = self._claims.home.get(each.item.item_id, "")  # '': somebody else has named it
            if each.item.item_id in gone and (not name or self._rests_whole(name)):
                self._steps.append(ShowAgain(each.item, name))

    def _may_delete(self, name: str, gone_at: float) -> bool:
        if name not in self._folder.names:
            until = gone_at + self._rules.upload_delay_s
            self._looks.append(until)
            return until <= self._now
        if not self._rests_whole(name):
            return False
        state = self._folder.names[name]
        until = gone_at + self._rules.cut_dance_hold_s
        if state.empty and until > self._now and self._local.temporary_near(gone_at):
            self._wait(name, "a program may be about to save it", until)
            return False
        return True

    # The order

    def _ordered(self) -> list[Step]:
        held = [step for step in self._steps if isinstance(step, HoldDeletes)]
        left = [step for step in self._steps if not isinstance(step, HoldDeletes)]
        items = _items(self._folder)
        while True:
            ordered = order(left, items, self._key, self._all_names)
            stuck = {self._group(step) for step, _ in ordered.waiting}
            early = {
                id(step)
                for step in left
                if isinstance(step, DeleteItem) and self._group(step) in stuck
            }
            if not early:
                break
            left = [step for step in left if id(step) not in early]
        for step, name in ordered.waiting:
            self._reasons[getattr(step, "place", name)] = f"waits until {name!r} is free"
        return [*ordered.steps, *held]

    def _all_names(self) -> Iterable[str]:
        return (*self._folder.siblings, *self._folder.names)

    def _group(self, step: Step) -> str:
        place = getattr(step, "place", "")
        return self._quiet.group.get(place, place)


def _items(folder: FolderState) -> list[Item]:
    """All items that touched names tell of, as the service has them now."""
    found: Mapping[ItemId, Item] = {
        item.item_id: item for each in folder.absent for item in (each.item,)
    } | {
        item.item_id: item
        for state in folder.names.values()
        for item in (state.was, None if state.alias else state.clean)
        if item is not None
    }
    return list(found.values())
