"""The planner of pins: nothing that can be read is let go of before its successor is whole, no room
is promised twice, and failure never looks like absence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dmfs.model import (
    Child,
    Directory,
    File,
    Folder,
    FolderId,
    HubId,
    ItemId,
    Listing,
    ProjectId,
    StorageId,
)
from dmfs.pins.pin_plan import arrived, make_plan, progress_of, survey
from dmfs.pins.records import Key, Pin, PinnedFile
from tests.support.helpers import a_file

PROJECT = ProjectId("b.project")


def a_folder(name: str) -> Folder:
    return Folder(FolderId(name), PROJECT, HubId("b.hub"), name)


def a_version(item: int, number: int, size: int) -> File:
    storage = StorageId(f"urn:{item}@{number}")
    return a_file(f"i{item}", size, version=f"v{item}.{number}", storage_id=storage)


def a_pin(folder: Folder, number: int) -> Pin:
    return Pin("folder", PROJECT, folder.id, f"/{folder.name}", folder, (), id=number)


def size_of(file: File) -> int:
    return file.size_bytes or 0


@dataclass
class World:
    """Three folders, nested; what is in them, and which of them the drive knows."""

    tree: dict[str, dict[str, Child]]
    known: set[str]
    lost: set[str]

    def listing(self, directory: Directory) -> Listing | None:
        if directory.name not in self.known:
            return None
        lost = 1 if directory.name in self.lost else 0
        return Listing(directory, self.tree[directory.name], 0.0, lost=lost)


A, B, C = (a_folder(name) for name in "abc")
PINS = {1: a_pin(A, 1), 2: a_pin(B, 2)}
STEPS = st.lists(
    st.tuples(
        st.sampled_from("add version remove know forget lose find pin unpin arrive room".split()),
        st.integers(0, 5),
        st.integers(0, 60),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_whatever_happens_one_whole_version_stays_until_the_next_is_whole(steps: Any) -> None:
    world = World({"a": {"b": B}, "b": {"c": C}, "c": {}}, {"a", "b", "c"}, set())
    files: dict[Key, PinnedFile] = {}
    pins, room = {1}, 200
    versions: dict[int, int] = {}
    for step, which, amount in steps:
        name, item = "abc"[which % 3], f"i{which}"
        inside = world.tree[name]
        if step in ("add", "version"):
            versions[which] = versions.get(which, 0) + 1
            for other in world.tree.values():
                other.pop(item, None)
            inside[item] = a_version(which, versions[which], amount)
        elif step == "remove":
            inside.pop(item, None)
        elif step in ("know", "forget"):
            (world.known.add if step == "know" else world.known.discard)(name)
        elif step in ("lose", "find"):
            (world.lost.add if step == "lose" else world.lost.discard)(name)
        elif step in ("pin", "unpin"):
            (pins.add if step == "pin" else pins.discard)(1 + which % 2)
        elif step == "room":
            room = amount * 5
        else:
            for key, file in [*files.items()][:1]:
                if file.coming is not None:
                    files[key], gone = arrived(file, file.coming)
                    assert file.coming.storage_id not in gone
        files = check(world, [PINS[each] for each in sorted(pins)], files, room)


def check(
    world: World, pins: list[Pin], files: dict[Key, PinnedFile], room: int
) -> dict[Key, PinnedFile]:
    found = survey(pins, world.listing)
    plan = make_plan(found, files, size_of, room)
    used_before = _used(files)
    assert plan.used_bytes == _used(plan.files)
    assert plan.used_bytes <= max(room, used_before), "no more than there is room for"
    for key, file in files.items():
        if key in plan.files:
            after = plan.files[key]
            newest = found.wanted[key].file if key in found.wanted else None
            if file.whole is not None and after.whole is not file.whole:
                assert after.whole == newest, "renamed"
                assert newest is not None
                assert file.whole.storage_id == newest.storage_id
        else:
            certain = not found.unknown or (
                file.directory in found.directories and file.directory not in found.unknown
            )
            assert certain, "what is only unknown is not let go of"
    still = {each for file in plan.files.values() for each in file.storage_ids}
    assert not plan.leaving & still
    for file in plan.fetch:
        assert file.coming is not None
        assert file.whole is None or file.whole.storage_id != file.coming.storage_id
    again = make_plan(found, plan.files, size_of, room)
    assert (again.put, again.drop, again.leaving) == ([], [], set()), "a plan is the end of it"
    for pin in pins:
        progress = progress_of(pin, found, plan, size_of, room, trouble="", errors={})
        assert progress.files_done <= progress.files
        if progress.state == "complete":
            assert progress.files_done == progress.files
            assert progress.bytes_done == progress.bytes
    return plan.files


def _used(files: dict[Key, PinnedFile]) -> int:
    held = {
        version.storage_id: size_of(version)
        for file in files.values()
        for version in (file.whole, file.coming)
        if version is not None
    }
    return sum(held.values())


def test_a_version_that_does_not_fit_leaves_the_old_one_in_its_place() -> None:
    world = World({"a": {"i1": a_version(1, 1, 60)}}, {"a"}, set())
    plan = make_plan(survey([PINS[1]], world.listing), {}, size_of, 100)
    (file,) = plan.fetch
    files = {file.key: arrived(file, file.coming)[0]}  # type: ignore[arg-type]
    world.tree["a"]["i1"] = a_version(1, 2, 60)
    found = survey([PINS[1]], world.listing)
    plan = make_plan(found, files, size_of, 100)
    assert plan.fetch == []
    assert plan.leaving == set()
    assert plan.files == files
    progress = progress_of(PINS[1], found, plan, size_of, 100, trouble="", errors={})
    assert progress.state == "no room"
    assert "60 bytes are needed, and 40 are left" in progress.error
    assert (progress.files, progress.files_done) == (1, 0)
    plan = make_plan(found, files, size_of, 120)
    assert [each.coming for each in plan.fetch] == [world.tree["a"]["i1"]]


def test_one_object_that_two_items_share_is_counted_and_held_once() -> None:
    one = a_version(1, 1, 60)
    world = World({"a": {"x": one, "y": replace(one, item_id=ItemId("other"))}}, {"a"}, set())
    plan = make_plan(survey([PINS[1]], world.listing), {}, size_of, 100)
    assert len(plan.fetch) == 2
    assert plan.used_bytes == 60
    del world.tree["a"]["y"]
    plan = make_plan(survey([PINS[1]], world.listing), plan.files, size_of, 100)
    assert plan.drop == [(PROJECT, "other")]
    assert plan.leaving == set()


def test_without_pins_everything_is_let_go_of_but_what_others_hold() -> None:
    one, two = a_version(1, 1, 60), a_version(2, 1, 60)
    files: dict[Key, PinnedFile] = {
        (PROJECT, each.item_id): PinnedFile(PROJECT, each.item_id, A.identity, each)
        for each in (one, two)
    }
    plan = make_plan(survey([], lambda _directory: None), files, size_of, 100, {one.storage_id})
    assert len(plan.drop) == 2
    assert plan.leaving == {two.storage_id}
