"""What programs do when they save, as recorded: one version of the same item, and no other item."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from dmfs.write.records import DraftId
from dmfs.write.settle.local_names import LocalNames, is_local_folder
from dmfs.write.settle.plan import KeepLocal, UploadNewItem, UploadNewVersion
from tests.write.settle.model import Folder
from tests.write.traces.replay import Op, Trace, expected, load, trace_names

TABLE = LocalNames()
DATA = {"write", "store", "ftruncate", "fallocate", "truncate"}


@dataclass
class Desk:
    """Files by identity, as handles know them, and the folder that is told of their names."""

    folder: Folder
    now_at: dict[int, str | None] = field(default_factory=dict)
    file_of: dict[int, int] = field(default_factory=dict)
    """Handle or map → file."""
    wrote: dict[int, DraftId] = field(default_factory=dict)
    count: int = 0

    def name_of(self, file: int) -> str | None:
        return self.now_at.get(file)

    def file_at(self, name: str) -> int:
        for file, at in self.now_at.items():
            if at == name:
                return file
        self.count += 1
        self.now_at[self.count] = name
        return self.count

    def forget(self, name: str) -> None:
        self.now_at[self.file_at(name)] = None

    def change(self, key: int) -> None:
        name = self.name_of(self.file_of[key])
        if name is None:
            return
        draft = self.folder.write(name)
        if self.wrote.get(key) != draft:
            self.wrote[key] = draft
            self.writers(draft, 1)

    def writers(self, draft: DraftId, more: int) -> None:
        state = self.folder.drafts.get(draft)
        if state is not None:
            count = state.open_writers + more
            self.folder.drafts[draft] = replace(state, open_writers=count)

    def leave(self, key: int) -> None:
        draft = self.wrote.pop(key, None)
        if draft is not None:
            self.writers(draft, -1)
            name = self.folder.names.draft_name(draft)
            if name is not None:
                self.folder.names.written(name, self.folder.now)

    def do(self, op: Op) -> None:
        match op["op"]:
            case "open":
                is_new = op["path"] not in self.folder.seen
                if is_new:
                    self.folder.write(op["path"], size_bytes=0)
                self.file_of[op["handle"]] = self.file_at(op["path"])
                if "O_TRUNC" in op["flags"] or is_new:
                    self.change(op["handle"])
            case "dup":
                self.file_of[op["new"]] = self.file_of[op["handle"]]
            case "mmap":
                self.file_of[-op["map"]] = self.file_of[op["handle"]]
            case "write" | "ftruncate" | "fallocate":
                self.change(op["handle"])
            case "store":
                self.change(-op["map"])
            case "close":
                self.leave(op["handle"])
            case "munmap":
                self.leave(-op["map"])
            case "rename":
                self.forget(op["new"])
                self.now_at[self.file_at(op["old"])] = op["new"]
                self.folder.rename(op["old"], op["new"])
            case "unlink" if op["path"] in self.folder.seen:
                self.forget(op["path"])
                self.folder.unlink(op["path"])


def in_a_local_folder(op: Op) -> bool:
    name = op.get("path") or op.get("old") or ""
    return "/" in name and is_local_folder(name.partition("/")[0])


def play(trace: Trace, *, step_s: float) -> Folder:
    """All of it, with so much time between two operations, and a look at the plan each time."""
    folder = Folder()
    folder.put(*(name for name in trace.before if "/" not in name))
    desk = Desk(folder)
    elsewhere: set[int] = set()
    for op in trace.ops:
        folder.now += step_s
        if in_a_local_folder(op) or op.get("handle") in elsewhere:
            elsewhere.add(op.get("handle", -1))
        elif "error" not in op and "errors" not in op:
            desk.do(op)
        for step in folder.plan().steps:
            if isinstance(step, KeepLocal):
                folder.begin(step)
                folder.answer()
            else:
                folder.log.append(step)
    return folder


def changed(trace: Trace) -> set[str]:
    """Names that are there before and after, with other bytes or written anew."""
    touched = {op["new"] for op in trace.ops if op["op"] == "rename" and "error" not in op}
    handles = {
        op["handle"]: op["path"] for op in trace.ops if op["op"] == "open" and "handle" in op
    }
    handles |= {op["new"]: handles[op["handle"]] for op in trace.ops if op["op"] == "dup"}
    maps = {op["map"]: handles[op["handle"]] for op in trace.ops if op["op"] == "mmap"}
    touched |= {
        handles.get(op.get("handle")) or maps.get(op.get("map"), "")
        for op in trace.ops
        if op["op"] in DATA
    }
    return {name for name in trace.before if name in touched and name in trace.after}


@pytest.mark.parametrize("name", trace_names())
def test_a_save_is_one_version_of_the_same_item(name: str) -> None:
    trace = load(name)
    folder = play(trace, step_s=0.01)
    assert [each for each in folder.log if not isinstance(each, KeepLocal)] == [], "too early"
    before = dict(folder.service)
    steps = folder.come_to_rest()
    versions = {each.place for each in steps if isinstance(each, UploadNewVersion)}
    items = {each.place for each in steps if isinstance(each, UploadNewItem)}
    assert len(steps) == len(versions) + len(items), steps
    here = {each for each in expected(trace) if "/" not in each}
    assert versions == {each for each in changed(trace) if "/" not in each}
    assert items == {each for each in here - set(trace.before) if not is_kept(folder, each)}
    assert all(lineage.alive for lineage in before.values())
    assert set(folder.live()) == {each for each in here if not is_kept(folder, each)}
    assert folder.live().items() <= folder.seen.items()


def is_kept(folder: Folder, name: str) -> bool:
    state = folder.names.state("b", folder.drafts).names.get(name)
    return state is not None and state.local


@pytest.mark.parametrize("name", trace_names())
def test_what_stays_here_is_in_the_table(name: str) -> None:
    trace = load(name)
    folder = play(trace, step_s=0.01)
    folder.come_to_rest()
    for each in folder.seen:
        assert not is_kept(folder, each) or TABLE.find(each) is not None


@pytest.mark.parametrize("name", trace_names())
def test_a_slow_program_makes_no_item_of_a_local_name(name: str) -> None:
    """With two seconds between two operations some saves are long."""
    trace = load(name)
    folder = play(trace, step_s=2.0)
    posted = {
        each.name for each in folder.log if isinstance(each, UploadNewItem | UploadNewVersion)
    }
    assert posted <= {*trace.before, *trace.after}


@pytest.mark.parametrize("name", trace_names())
def test_cut_at_any_point_the_item_lives_on(name: str) -> None:
    """The program dies between any two operations, and time passes. Only where it had removed the
    file, and made nothing yet, is that what a person does who deletes it."""
    trace = load(name)
    for cut in range(1, len(trace.ops), max(1, len(trace.ops) // 40)):
        part = replace(trace, ops=trace.ops[:cut])
        folder = play(part, step_s=0.01)
        if not folder.seen:
            continue
        for draft, state in folder.drafts.items():
            folder.drafts[draft] = replace(state, open_writers=0)
        for _ in range(12):
            folder.now += 5
            folder.carry_out()
            there = [each for each in trace.before if "/" not in each]
            assert set(there) <= set(folder.live()), f"cut at {cut}"
