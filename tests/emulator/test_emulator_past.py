"""The record that the emulator keeps of itself, and changes with a moment of their own."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmfs.emulator.process import EmulatorError
from dmfs.emulator.world import changes, facts, times
from dmfs.emulator.world.catalog import make_world
from dmfs.emulator.world.changing import finding
from dmfs.emulator.world.model import Json, World
from dmfs.emulator.world.past import tree

from .client import Api

DAY_S = 86400.0
BEGIN_S = times.parsed("2020-01-01")
HUB = "Emulated Builders ~1 Headquarters"
DELETED = "versions:autodesk.core:Deleted"


def seconds(text: str) -> float:
    """Of a time as the service writes it."""
    return datetime.fromisoformat(text.replace("0Z", "Z")).timestamp()


def entries(found: tree.Tree) -> list[tuple[str, int]]:
    return sorted((entry["path"], entry.get("number", 0)) for entry in found.entries)


def now_there(folder: Json, names: tuple[str, ...] = ()) -> list[tuple[str, int]]:
    """What a folder of raw facts has that is not deleted."""
    found: list[tuple[str, int]] = []
    for child in folder["folders"]:
        if not child["hidden"]:
            found.append(("/".join((*names, child["name"])), 0))
            found += now_there(child, (*names, child["name"]))
    for item in folder["items"]:
        tip = item["versions"][-1]
        if tip["type"] != DELETED:
            found.append(("/".join((*names, tip["name"])), tip["number"]))
    return sorted(found)


def as_a_client_finds(
    folder: Json, at_s: float, names: tuple[str, ...] = ()
) -> list[tuple[str, int]]:
    """Of documents alone: times of creation and of change, and what is hidden."""
    found: list[tuple[str, int]] = []
    for child in folder["folders"]:
        was_deleted = child["hidden"] and seconds(child["lastModifiedTime"]) <= at_s
        if seconds(child["createTime"]) <= at_s and not was_deleted:
            found.append(("/".join((*names, child["name"])), 0))
            found += as_a_client_finds(child, at_s, (*names, child["name"]))
    for item in folder["items"]:
        until_then = [each for each in item["versions"] if seconds(each["createTime"]) <= at_s]
        if until_then and until_then[-1]["type"] != DELETED:
            found.append(("/".join((*names, until_then[-1]["name"])), until_then[-1]["number"]))
    return sorted(found)


class History:
    """Orders of one project, a day between each two."""

    def __init__(self) -> None:
        self.world: World = make_world("small:files=0")
        hub = self.world.hubs[0]
        made = changes.apply(
            self.world, {"op": "add_project", "id": hub.id, "name": "P", "at": BEGIN_S}
        )
        self.project = self.world.projects[made.id]
        self.seen: list[list[tuple[str, int]]] = [self.now()]
        self.moments_s = [BEGIN_S]

    def now(self) -> list[tuple[str, int]]:
        return now_there(facts.folder(self.project.root))

    def order(self, op: str, choice: int, name: str) -> None:
        """On the item or folder that ``choice`` picks; an order that makes no sense is left out."""
        top = self.project.root.folders[0]
        folders = [f for f in self.world.folders.values() if f.project is self.project]
        folders = [f for f in folders if f.parent is not None and not f.hidden]
        items = [i for i in self.world.items.values() if i.parent.project is self.project]
        on_items = op in ("new_version", "rename", "hide", "restore", "promote", "move")
        nodes: list[Any] = items if on_items else folders
        if op.endswith("_folder_") or not nodes:
            nodes, op = folders, op.replace("_folder_", "")
            nodes = [f for f in nodes if f is not top] if not op.startswith("add") else nodes
        if not nodes:
            return
        node = nodes[choice % len(nodes)]
        at_s = self.moments_s[-1] + DAY_S
        order: Json = {"op": op, "id": node.id, "name": name, "at": at_s}
        order |= {"to": folders[choice % len(folders)].id, "number": 1}
        if on_items and op != "restore" and getattr(node, "hidden", False):
            return
        try:
            changes.apply(self.world, order)
        except ValueError:
            return
        self.moments_s.append(at_s)
        self.seen.append(self.now())


OPS = (
    "new_version", "rename", "hide", "restore", "promote", "move", "add_item", "add_folder",
    "rename_folder_", "delete_folder_folder_", "move_folder_",
)  # fmt: skip
ORDERS = st.lists(
    st.tuples(st.sampled_from(OPS), st.integers(0, 50), st.sampled_from(["a", "b", "c.dwg"])),
    max_size=25,
)


@given(ORDERS)
@settings(max_examples=100, deadline=None)
def test_any_moment_is_as_it_was_seen_then(orders):
    history = History()
    for op, choice, name in orders:
        history.order(op, choice, name)
    for moment_s, seen in zip(history.moments_s, history.seen, strict=True):
        for later_s in (0.0, DAY_S / 2):
            found = tree.true_tree(history.world, history.project, moment_s + later_s)
            assert entries(found) == seen


@given(ORDERS)
@settings(max_examples=100, deadline=None)
def test_what_is_served_of_a_moment_is_what_documents_say(orders):
    history = History()
    for op, choice, name in orders:
        history.order(op, choice, name)
    root = facts.folder(history.project.root)
    for moment_s in history.moments_s:
        for later_s in (-1.0, 0.0, DAY_S / 2):
            found = tree.served_tree(history.world, history.project, moment_s + later_s)
            assert entries(found) == as_a_client_finds(root, moment_s + later_s)
            assert not [entry for entry in found.entries if entry["doubt"]]


def test_the_sample_has_a_past():
    world = make_world("sample")
    quirks = finding.by_path(world, f"{HUB}/Quirks")
    served = tree.served_tree(world, quirks, time.time()).entries
    here = {entry["path"]: entry for entry in served}
    assert here["Project Files/Versions/seven versions.txt"]["number"] == 7
    assert here["Project Files/Versions/250 versions.txt"]["label"] == "250"
    assert here["Project Files/Times/garbage.txt"]["doubt"]
    assert "Project Files/Folders/hidden and deleted/deleted item.txt" not in here
    truly = {entry["path"] for entry in tree.true_tree(world, quirks, time.time()).entries}
    assert "Project Files/Folders/hidden and deleted/visible.txt" in truly
    assert "Project Files/Folders/hidden and deleted/hidden item.txt" not in truly
    item = finding.by_path(world, f"{HUB}/Quirks/Project Files/Versions/seven versions.txt")
    numbers: dict[int, list[list[int]]] = {}
    for version in facts.item(world.items[item.id])["versions"]:
        for view in (tree.true_tree, tree.served_tree):
            found = view(world, quirks, seconds(version["createTime"]) + 1).entries
            row = [entry["number"] for entry in found if entry["id"] == item.id]
            numbers.setdefault(version["number"], []).append(row)
    assert numbers == {n: [[], []] if n in (3, 5) else [[n], [n]] for n in range(1, 8)}


@pytest.fixture
def folder(place):
    """A folder that was made in 2019, with the world, its path and its id."""
    place.old = place.emulator.change("add_project", path=HUB, name=place.name, at="2019-01-01")
    (top,) = place.old["folders"][0]["folders"]
    place.path, place.id = f"{HUB}/{place.name}/Project Files", top["id"]
    return place


def times_of(emulator, path):
    for node in emulator.world()["hubs"][0]["projects"]:
        if node["name"] == path.split("/")[1]:
            top = node["folders"][0]["folders"][0]
            return top["lastModifiedTime"], top["lastModifiedTimeRollup"]
    raise AssertionError(path)


def test_times_follow_an_order_of_the_past(folder):
    made = folder.emulator.change(
        "add_item", id=folder.id, name="a.txt", text="one\n", at="2021-05-01T09:30Z"
    )
    assert made["createTime"] == made["lastModifiedTime"] == "2021-05-01T09:30:00.0000000Z"
    assert made["versions"][0]["createTime"] == "2021-05-01T09:30:00.0000000Z"
    changed = folder.change("new_version", "a.txt", text="two\n", at=1_640_995_200)
    assert changed["versions"][1]["createTime"] == "2022-01-01T00:00:00.0000000Z"
    assert changed["versions"][1]["lastModifiedTime"] == changed["lastModifiedTime"]
    assert times_of(folder.emulator, folder.path) == ("2022-01-01T00:00:00.0000000Z",) * 2
    # Something older beside it moves no time of the folder back.
    folder.emulator.change("rename", id=folder.id, name="Project Files", at="2022-01-01")
    folder.emulator.change("add_item", id=folder.id, name="older.txt", text="x\n", at="2020-01-01")
    assert times_of(folder.emulator, folder.path) == ("2022-01-01T00:00:00.0000000Z",) * 2


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (4e9, "in the future"),
        ("2021-04-30", "before its last change .2021-05-01T00:00:00"),
        ("yesterday", "a moment is ISO 8601"),
        (True, "a moment is ISO 8601"),
        (None, "a moment is ISO 8601"),
        (["2022-01-01"], "a moment is ISO 8601"),
    ],
)
def test_a_moment_that_makes_no_sense(folder, at, message):
    folder.emulator.change("add_item", id=folder.id, name="a.txt", at="2021-05-01")
    with pytest.raises(EmulatorError, match=message):
        folder.change("new_version", "a.txt", at=at)
    with pytest.raises(EmulatorError, match="before its last change"):
        folder.emulator.change("add_item", id=folder.id, name="b.txt", at="2018-12-31")


def test_two_changes_of_one_moment(folder):
    """Whatever a float makes of its microseconds."""
    for number in range(20):
        at = 1_700_000_000 + number / 7
        item = folder.emulator.change("add_item", id=folder.id, name=f"{number}.txt", at=at)
        folder.emulator.change("new_version", id=item["id"], at=at)
        found = folder.emulator.tree(at, path=folder.path)["entries"]
        assert [row["number"] for row in found if row["id"] == item["id"]] == [2]


def test_many_changes_at_once(folder):
    emulator = folder.emulator
    ids = emulator.changes(
        {"op": "add_item", "id": folder.id, "name": "a.txt", "at": "2020-01-01", "as": "a"},
        {"op": "hide", "on": "a", "at": "2020-02-01"},
        {"op": "restore", "on": "a", "at": "2020-03-01"},
        {"op": "settings", "page_limit": None},
    )
    assert ids == [ids[0], ids[0], ids[0], ""]
    with pytest.raises(EmulatorError, match="change 1: unknown op 'explode'"):
        emulator.changes({"op": "new_version", "id": ids[0]}, {"op": "explode", "id": ids[0]})
    with pytest.raises(EmulatorError, match="change 0: no change before is called 'b'"):
        emulator.changes({"op": "hide", "on": "b"})
    assert [each["number"] for each in emulator.timeline(id=ids[0])] == [1, 2, 3, 4]


def test_the_tree_at_a_moment(folder):
    emulator = folder.emulator
    (item, sub, _, _, _, gone, _) = emulator.changes(
        {"op": "add_item", "id": folder.id, "name": "a.txt", "text": "one\n", "at": "2020-01-01"},
        {"op": "add_folder", "id": folder.id, "name": "old", "at": "2020-01-02", "as": "sub"},
        {"op": "move", "path": f"{folder.path}/a.txt", "to": f"{folder.path}/old",
         "at": "2020-02-01"},
        {"op": "rename", "on": "sub", "name": "new", "at": "2020-03-01"},
        {"op": "new_version", "path": f"{folder.path}/new/a.txt", "text": "two\n",
         "at": "2020-04-01"},
        {"op": "add_item", "id": folder.id, "name": "gone.txt", "text": "x\n", "at": "2020-04-02",
         "as": "gone"},
        {"op": "hide", "on": "gone", "at": "2020-05-01"},
    )  # fmt: skip
    found = emulator.tree("2020-01-15", path=folder.path, sha256=True)
    paths = [(entry["path"], entry["id"]) for entry in found["entries"]]
    assert paths == [("new", sub), ("new/a.txt", item)], "today's place and today's name"
    assert found["entries"][1]["number"] == 1
    digest, size = emulator.sha256(found["entries"][1]["storage"])
    assert (found["entries"][1]["sha256"], found["entries"][1]["size"]) == (digest, size)
    assert (found["listed"], found["changed"]) == (2, 1)
    truly = emulator.tree("2020-01-15", node_id=folder.id, view="true")["entries"]
    assert [entry["path"] for entry in truly] == ["a.txt", "old"] or [
        entry["path"] for entry in truly
    ] == ["old", "a.txt"]
    late = emulator.tree("2020-04-15", path=folder.path)["entries"]
    assert [(entry["path"], entry["id"]) for entry in late][-1] == ("gone.txt", gone)
    assert len(emulator.tree(time.time(), path=folder.path)["entries"]) == 2
    for at, view in (("noon", "served"), ("2020-01-01", "dreamt"), ("nan", "true")):
        with pytest.raises(EmulatorError, match="is"):
            emulator.tree(at, path=folder.path, view=view)


def test_what_a_client_writes_is_in_the_record(place):
    before_s = time.time()
    item = place.writer.new_file(place.id, "a.txt", b"one\n")
    between_s = time.time()
    place.writer.delete(item)
    for view in ("served", "true"):
        assert place.emulator.tree(before_s, path=place.path, view=view)["entries"] == []
        (row,) = place.emulator.tree(between_s, path=place.path, view=view)["entries"]
        assert (row["id"], row["number"], row["path"]) == (item, 1, "a.txt")
        assert place.emulator.tree(time.time(), path=place.path, view=view)["entries"] == []
    (made,) = place.emulator.timeline(id=item)[:1]
    for view in ("served", "true"):
        # From the very moment that is served on.
        at_s = seconds(made["time"])
        assert len(place.emulator.tree(made["time"], path=place.path, view=view)["entries"]) == 1
        assert len(place.emulator.tree(repr(at_s), path=place.path, view=view)["entries"]) == 1
        at_s -= 1e-6
        assert place.emulator.tree(repr(at_s), path=place.path, view=view)["entries"] == []


def test_teams_serve_whole_seconds(team):
    moment_s = float(int(time.time()))  # What is made now is served as made at this second.
    item = team.writer.new_file(team.id, "a.txt", b"one\n")
    (made,) = team.emulator.timeline(id=item)
    assert made["time"].endswith("+00:00")
    served_s = seconds(made["time"])
    assert served_s >= moment_s
    served = team.emulator.tree(served_s, path=team.path)["entries"]
    assert [entry["number"] for entry in served] == [1]
    assert team.emulator.tree(served_s - 1, path=team.path)["entries"] == []


def test_a_version_made_current(folder):
    api = Api(folder.emulator)
    item = folder.emulator.change(
        "add_item", id=folder.id, name="a.txt", text="one\n", at="2020-01-01"
    )
    folder.change("new_version", "a.txt", text="two\n", at="2020-02-01")
    changed = folder.change("promote", "a.txt", number=1, at="2020-03-01")
    assert changed["versions"][2]["storage"] == item["versions"][0]["storage"]
    rows = api.get(f"/data/v1/projects/{folder.old['id']}/items/{item['id']}/versions").json["data"]
    labels = [
        (
            row["attributes"]["versionNumber"],
            row["attributes"]["extension"]["data"]["revisionDisplayLabel"],
        )
        for row in rows
    ]
    assert labels == [(3, "1"), (2, "2"), (1, "1")]
    with pytest.raises(EmulatorError, match="number is a version of a file that is there"):
        folder.change("promote", "a.txt", number=9)


def test_versions_without_bytes(folder):
    kind = "bim360:C4RModel"
    item = folder.emulator.change(
        "add_item", id=folder.id, name="m.rvt", type=kind, no_bytes=True, at="2020-01-01",
        data={"modelType": "multiuser"},
    )  # fmt: skip
    assert item["versions"][0]["storage"] is None
    assert item["type"] == f"items:autodesk.{kind}"
    changed = folder.change("new_version", "m.rvt", size=500, at="2020-02-01")
    assert changed["versions"][1]["size"] == changed["versions"][1]["storageSize"] == 500
    (row,) = folder.emulator.tree("2020-01-15", path=folder.path)["entries"]
    assert (row["number"], row["storage"], row["size"]) == (1, None, None)
