"""Whatever happens in a folder, in whatever order: in the end the service has what is seen."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmfs.write.settle.local_names import Kind, LocalNames
from dmfs.write.settle.plan import (
    CopyItem,
    DeleteItem,
    Item,
    RenameItem,
    UploadNewItem,
    UploadNewVersion,
)
from dmfs.write.settle.recording.recorder import FolderNames
from tests.write.settle.model import Folder

ORDINARY = ["plan.dwg", "Plan B.dwg", "c.ifc", "PLAN.dwg"]
LOCAL = ["plan.dwg~", ".plan.dwg.swp"]
UNCLEAR = ["acad1.tmp", "plan.bak"]
NAMES = [*ORDINARY, *LOCAL, *UNCLEAR]
TABLE = LocalNames()

name = st.sampled_from(NAMES)
event = st.one_of(
    st.tuples(st.just("write"), name),
    st.tuples(st.just("rename"), name, name),
    st.tuples(st.just("rename"), name, name),
    st.tuples(st.just("unlink"), name),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 2.0, 6.0, 31.0, 700.0])),
    st.tuples(st.just("settle"), st.integers(1, 4)),
    st.tuples(st.just("begin")),
    st.tuples(st.just("answer")),
    st.tuples(st.just("look")),
    st.tuples(st.just("look late")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("adopt")),
)
several = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def folds(folder: Folder, wanted: str, old: str = "") -> bool:
    """Whether the name is a case variant, which the drive refuses at create and rename."""
    if folder.kind == "a":
        return False
    others = {each.casefold() for each in folder.seen if each not in (old, wanted)}
    return wanted.casefold() in others


def act(folder: Folder, what: tuple, listings: list) -> None:  # noqa: C901, PLR0912
    """One event, if it is possible."""
    match what:
        case ("write", name) if not folds(folder, name):
            folder.write(name)
        case ("rename", old, new) if old in folder.seen and old != new:
            if folds(folder, new, old):
                return
            folder.rename(old, new)
        case ("unlink", name) if name in folder.seen:
            folder.unlink(name)
        case ("wait", seconds):
            folder.now += seconds
        case ("settle", count):
            while folder.pending:
                folder.answer()
            folder.carry_out(count)
        case ("begin",) if not folder.pending:
            for step in folder.plan().steps[:1]:
                folder.begin(step)
        case ("answer",) if folder.pending:
            folder.answer()
        case ("adopt",):
            folder.adopt()
        case ("look",):
            listings.append((folder.listing(), folder.now))
            folder.look()
        case ("look late",) if listings:
            folder.names.see(*listings[-1])
        case ("restart",) if not folder.pending:
            folder.rows.update(folder.names.take_changes())
            folder.names = FolderNames.of_rows(
                {key: row for key, row in folder.rows.items() if row is not None}, folder.now
            )
            folder.look()


def kept_back(folder: Folder) -> set[str]:
    """Names that stay here, as the recorder has them."""
    state = folder.names.state(folder.kind, folder.drafts)
    return {each.name for each in state.names.values() if each.local}


def check_end(folder: Folder) -> None:
    local = kept_back(folder)
    for each in local:
        row = TABLE.find(each)
        assert row is not None or folder.kind == "a", each
    for each in folder.seen:
        row = TABLE.find(each)
        if row is not None and row.row.kind is Kind.ALWAYS:
            there = folder.names.at(each)
            assert each in local or isinstance(there, Item), each
    ordinary = {name: content for name, content in folder.seen.items() if name not in local}
    live = folder.live()
    assert ordinary.items() <= live.items()
    state = folder.names.state(folder.kind, folder.drafts)
    behind = set()
    for name in local:
        entry = state.names[name]
        own = entry.draft.own if entry.draft is not None else entry.clean
        if own is not None and not entry.alias:
            behind.add(folder.service[own.item_id].name)
        behind |= {each for each in entry.origins if each in state.names}
    untouched = {n for n in live if n not in ordinary and TABLE.find(n) is not None}
    if folder.kind == "b":
        assert set(live) - set(ordinary) <= behind | untouched


def check_log(folder: Folder) -> None:
    """No bytes go up twice, and none of them to two items."""
    sent = [each for each in folder.log if isinstance(each, UploadNewItem | UploadNewVersion)]
    contents = [content for each in folder.service.values() for content in each.versions]
    ours = set(folder.contents.values())
    copies = sum(isinstance(each, CopyItem | RenameItem) for each in folder.log)
    twice = sum(contents.count(each) - 1 for each in ours if each in contents)
    assert twice <= copies + folder.made
    assert len(sent) <= len(folder.contents) + folder.rewritten


def run(events: list, there: list, kind: str, *, reads: bool) -> Folder:
    folder = Folder(kind=kind, reads_drafts=reads)  # type: ignore[arg-type]
    folder.put(*there)
    listings: list = []
    for each in events:
        folder.now += 0.001  # no two listings of one moment
        act(folder, each, listings)
        assert {n: folder.content_of(n) for n in folder.names.shown()} == folder.seen
    while folder.pending:
        folder.answer()
    folder.come_to_rest()
    assert {n: folder.content_of(n) for n in folder.names.shown()} == folder.seen
    return folder


start = st.lists(st.sampled_from(["plan.dwg", "Plan B.dwg", "c.ifc", "plan.bak"]), unique=True)


@several
@given(st.lists(event, max_size=25), start, st.booleans())
def test_in_the_end_the_service_has_what_the_user_sees(
    events: list, there: list, reads: bool
) -> None:
    folder = run(events, there, "b", reads=reads)
    check_end(folder)
    check_log(folder)
    assert folder.plan().steps == []  # settled is settled


@several
@given(st.lists(event, max_size=25), start, st.booleans())
def test_without_deletes_too(events: list, there: list, reads: bool) -> None:
    folder = run(events, there, "a", reads=reads)
    check_end(folder)
    assert not [each for each in folder.log if isinstance(each, DeleteItem | CopyItem)]
