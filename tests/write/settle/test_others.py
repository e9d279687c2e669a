"""Other people change the same folder: what the user sees and what the service has still meet."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmfs.model import ItemId
from dmfs.write.settle.plan import (
    CopyItem,
    DeleteItem,
    HoldDeletes,
    KeepLocal,
    MakeDraft,
    RenameItem,
    Step,
    UploadNewVersion,
)
from tests.write.settle.model import Folder, Lineage

NAMES = ["plan.dwg", "b.dwg", "c.ifc", "plan.dwg~", "acad1.tmp", "plan.bak"]
name = st.sampled_from(NAMES)
event = st.one_of(
    st.tuples(st.just("write"), name),
    st.tuples(st.just("rename"), name, name),
    st.tuples(st.just("unlink"), name),
    st.tuples(st.just("wait"), st.sampled_from([2.0, 6.0, 31.0])),
    st.tuples(st.just("settle"), st.integers(1, 4)),
    st.tuples(st.just("look")),
    st.tuples(st.just("their version"), st.integers(0, 3)),
    st.tuples(st.just("their rename"), st.integers(0, 3)),
    st.tuples(st.just("their delete"), st.integers(0, 3)),
    st.tuples(st.just("their file")),
)


class Shared(Folder):
    """Carries steps out as the uploader does: it looks at the tip first."""

    def begin(self, step: Step) -> None:
        item = getattr(step, "item", None)
        if item is None or isinstance(step, MakeDraft | CopyItem):
            if item is not None and not self.service[item.item_id].alive:
                self.lost(item.item_id)
                return
            super().begin(step)
            return
        lineage = self.service[item.item_id]
        tip = self.item(item.item_id)
        if not lineage.alive:
            self.lost(item.item_id)
        elif tip.version_id == item.version_id or isinstance(step, RenameItem):
            super().begin(step)
        elif isinstance(step, UploadNewVersion):
            beside = f"conflict {next(self.fresh)}.dwg"
            self.goes_beside(step.draft, item.item_id, beside)
        elif isinstance(step, DeleteItem):
            assert self.names.revive(item.item_id, self.now)

    def carry_out(self, limit: int = 1000) -> list[Step]:
        """What follows a step that was not possible is planned anew."""
        steps = list(self.plan().steps[:limit])
        for step in steps:
            self.begin(step)
            if not self.pending:
                break
            self.answer()
        return steps

    def lost(self, item_id: ItemId) -> None:
        self.names.lost(item_id)

    def _their_item(self, number: int) -> Lineage | None:
        live = [each for each in self.service.values() if each.alive]
        return live[number % len(live)] if live else None

    def act(self, what: tuple) -> None:
        shown = self.names.shown()
        match what:
            case ("write", name):
                self.write(name)
            case ("rename", old, new) if old in shown and old != new:
                self.seen.setdefault(old, 0)
                self.rename(old, new)
            case ("unlink", name) if name in shown:
                self.seen.setdefault(name, 0)
                self.unlink(name)
            case ("wait", seconds):
                self.now += seconds
            case ("settle", count):
                self.carry_out(count)
            case ("look",):
                self.look()
            case ("their version", number) if lineage := self._their_item(number):
                lineage.versions.append(next(self.fresh))
            case ("their rename", number) if lineage := self._their_item(number):
                lineage.name = f"theirs {next(self.fresh)}.dwg"
            case ("their delete", number) if lineage := self._their_item(number):
                lineage.alive = False
            case ("their file",):
                new = f"theirs {next(self.fresh)}.dwg"
                self.service[ItemId(f"item {next(self.fresh)}")] = Lineage(new, [0])

    def settle_down(self) -> None:
        for _ in range(30):
            self.now += 3600
            self.look()
            if not [s for s in self.carry_out() if not isinstance(s, KeepLocal | HoldDeletes)]:
                break
        else:
            raise AssertionError(f"it never comes to rest: {self.log[-5:]}")
        self.now += 3600
        self.look()

    def check_delete(self, step: DeleteItem) -> None:
        """``seen`` knows nothing of what others do."""


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(event, max_size=25), st.lists(st.sampled_from(NAMES[:3]), unique=True))
def test_in_the_end_both_see_the_same(events: list, there: list) -> None:
    folder = Shared()
    folder.put(*there)
    for each in events:
        folder.act(each)
    folder.settle_down()
    state = folder.names.state("b", folder.drafts)
    local = {each.name for each in state.names.values() if each.local}
    shown = {each: folder.content_of(each) for each in folder.names.shown() if each not in local}
    live = folder.live()
    assert shown.items() <= live.items()
    held = {
        folder.service[own.item_id].name
        for each in local
        for entry in (state.names[each],)
        if (own := entry.draft.own if entry.draft else entry.clean) and not entry.alias
    }
    held |= {
        folder.service[was.item_id].name
        for each in local
        for origin in state.names[each].origins
        if origin in state.names and (was := state.names[origin].was)
    }
    assert set(live) - set(shown) <= held | local  # an item of a name that is local since
