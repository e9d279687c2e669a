"""The sample world: every quirk is there under its name, and looks on the wire as it should."""

from __future__ import annotations

import os
import re
from collections import Counter
from urllib.parse import quote

import pytest

from dmfs.emulator.command_line import command_line
from dmfs.emulator.world.catalog import PARTS, make_world
from dmfs.emulator.world.content import read
from dmfs.emulator.world.facts import world as world_facts
from dmfs.emulator.world.sample import hubs, names

ID_SHAPES = {
    "hub": r"b\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|a\.[A-Za-z0-9]+={0,2}",
    "folder": r"urn:adsk\.wip(prod|emea):fs\.folder:co\.[\w-]{22}",
    "item": r"urn:adsk\.wip(prod|emea):dm\.lineage:[\w-]{22}",
    "version": r"urn:adsk\.wip(prod|emea):fs\.file:vf\.[\w-]{22}\?version=\d+",
    "storage": r"urn:adsk\.objects:os\.object:wip\.dm\.(prod|emea\.2)/(?s:.+)",
}


def folders_of(project):
    waiting = list(project["folders"])
    while waiting:
        folder = waiting.pop()
        yield folder
        waiting += folder["folders"]


def test_ids_have_real_shapes_and_are_unique(facts):
    seen: Counter[str] = Counter()
    for hub in facts.world["hubs"]:
        assert re.fullmatch(ID_SHAPES["hub"], hub["id"])
        realm = "wipemea" if hub["region"] == "EMEA" else "wipprod"
        for project in hub["projects"]:
            assert re.fullmatch(ID_SHAPES["hub"], project["id"])
            seen[project["id"]] += 1
            for folder in folders_of(project):
                assert re.fullmatch(ID_SHAPES["folder"], folder["id"])
                assert f":adsk.{realm}:" in folder["id"]
                seen[folder["id"]] += 1
                for item in folder["items"]:
                    assert re.fullmatch(ID_SHAPES["item"], item["id"])
                    seen[item["id"]] += 1
                    for version in item["versions"]:
                        assert re.fullmatch(ID_SHAPES["version"], version["id"])
                        seen[version["id"]] += 1
                        if version["storage"]:
                            assert re.fullmatch(ID_SHAPES["storage"], version["storage"])
    assert max(seen.values()) == 1


def test_the_world_is_the_same_on_each_start(facts):
    assert world_facts(make_world("sample")) == facts.world


@pytest.fixture
def quirks(api, facts):
    project = facts.project("Quirks")

    def contents(*names, query=""):
        folder = facts.folder(project, "Project Files", *names)
        return api.contents(project["id"], folder["id"], query)

    return contents


class TestFolders:
    def test_empty_and_only_subfolders_have_no_included(self, quirks):
        (empty,) = quirks("Folders", "empty")
        assert empty["data"] == []
        assert "included" not in empty
        (nested,) = quirks("Folders", "only subfolders")
        assert len(nested["data"]) == 2
        assert "included" not in nested

    @pytest.mark.parametrize(
        ("name", "sizes"),
        [
            ("exactly 200", [200]), ("201 entries", [200, 1]), ("450 entries", [200, 200, 50]),
            ("empty page in the middle", [200, 0, 100]),
        ],
    )  # fmt: skip
    def test_pages(self, quirks, name, sizes):
        pages = quirks("Folders", name)
        assert [len(page["data"]) for page in pages] == sizes
        assert ["included" in page for page in pages] == [size > 0 for size in sizes]

    def test_hidden_entries_on_request(self, quirks):
        pages = quirks("Folders", "empty page in the middle", query="?includeHidden=true")
        assert [len(page["data"]) for page in pages] == [200, 200, 100]
        assert all(row["attributes"]["hidden"] for row in pages[1]["data"])

    def test_tips(self, quirks):
        for name, count in (("half of the tips missing", 3), ("tips included twice", 8)):
            (page,) = quirks("Folders", name)
            assert len(page["data"]) == 6
            assert len(page["included"]) == count
        (page,) = quirks("Folders", "included missing")
        assert len(page["data"]) == 6
        assert "included" not in page

    def test_hidden_and_deleted(self, quirks):
        (page,) = quirks("Folders", "hidden and deleted")
        tips = {tip["id"]: tip["attributes"] for tip in page["included"]}
        shown = {
            row["attributes"]["displayName"]: (row["attributes"]["hidden"], row["type"])
            for row in page["data"]
        }
        assert shown == {
            "visible.txt": (False, "items"),
            "hidden item that is listed all the same.txt": (True, "items"),
            "tombstone not marked hidden.txt": (False, "items"),
            "hidden folder that is listed all the same": (True, "folders"),
        }
        (dead,) = [tip for tip in tips.values() if tip["extension"]["type"].endswith(":Deleted")]
        assert re.fullmatch(r"[0-9a-f-]{36}", dead["name"])
        assert dead["extension"]["data"]["originalName"] == "tombstone not marked hidden.txt"

    def test_object_count_and_rollup(self, quirks):
        (page,) = quirks("Folders")
        by_name = {row["attributes"]["name"]: row["attributes"] for row in page["data"]}
        assert by_name["450 entries"]["objectCount"] == 450
        assert by_name["empty"]["objectCount"] == 0
        deep = by_name["25 levels deep"]
        assert deep["lastModifiedTimeRollup"] > deep["lastModifiedTime"]


class TestNames:
    def test_all_names_arrive(self, quirks):
        (page,) = quirks("Names")
        listed = Counter(
            tip["attributes"]["name"] for tip in page["included"]
        )  # Versions of all items.
        for name in names.NAMES:
            assert listed[name] == 1, name
        everything = "".join(listed)
        for piece in ("/", "\0", "\n", "\t", '"', "*", "\ud800", "\x1b", "🏗", "\x7f", "\\"):
            assert piece in everything
        assert {".", "..", "", ".leading dot", "trailing space ", "trailing dot."} <= set(listed)
        for pair in names.PAIRS:
            assert pair[0] != pair[1]
            assert all(listed[name] == 1 for name in pair)
        assert listed["equal twice.txt"] == 2
        assert listed["equal three times.txt"] == 3
        folders = Counter(
            row["attributes"]["name"] for row in page["data"] if row["type"] == "folders"
        )
        assert folders["equal folders"] == 2
        assert folders["file and folder"] == listed["file and folder"] == 1

    def test_the_long_ones(self):
        assert len(names.LONG_ASCII.encode()) == 255
        assert len(names.LONG_MULTIBYTE.encode()) > 255 > len(names.LONG_MULTIBYTE)

    def test_equal_and_equally_old(self, quirks):
        (page,) = quirks("Names")
        rows = [
            row["attributes"]["createTime"] for row in page["data"]
            if row["attributes"]["displayName"] == "equal and equally old.txt"
        ]  # fmt: skip
        assert len(rows) == 2
        assert rows[0] == rows[1]

    def test_hubs_and_projects(self, facts):
        projects = Counter(project["name"] for project in facts.world["hubs"][0]["projects"])
        assert projects["Twin Project"] == 2
        assert projects["Phase 1/2"] == 1


class TestVersions:
    @pytest.fixture
    def tip(self, quirks):
        def find(folder, name):
            for page in quirks(folder):
                for row in page["data"]:
                    if row["attributes"].get("displayName") == name:
                        wanted = row["relationships"]["tip"]["data"]["id"]
                        for each in page["included"]:
                            if each["id"] == wanted:
                                return row, each
            raise LookupError(name)

        return find

    def test_names(self, tip):
        _, version = tip("Versions", "displayName without extension")
        assert version["attributes"]["name"] == "Round Table.dwg"
        _, version = tip("Versions", "version without name.dwg")
        assert "name" not in version["attributes"]

    def test_sizes(self, tip):
        sizes = {
            name: tip("Versions", f"storageSize {name}.bin")[1]["attributes"].get("storageSize")
            for name in ("missing", "too big", "too small", "zero")
        }
        assert sizes == {"missing": None, "too big": 12_000, "too small": 8_000, "zero": 0}
        _, version = tip("Versions", "zero bytes.txt")
        assert version["attributes"]["storageSize"] == 0
        assert "storage" in version["relationships"]

    def test_history_with_tombstones(self, api, facts):
        project = facts.project("Quirks")
        item = facts.item(facts.folder(project, "Project Files", "Versions"), "seven versions.txt")
        page = api.get(f"/data/v1/projects/{project['id']}/items/{item['id']}/versions").json
        kinds = [each["attributes"]["extension"]["type"].split(":")[-1] for each in page["data"]]
        assert kinds == ["File", "File", "Deleted", "File", "Deleted", "File", "File"]
        assert page["data"][0]["attributes"]["versionNumber"] == 7

    def test_odds_and_ends(self, tip):
        row, version = tip("Versions", "vf suffix is not the lineage suffix.dwg")
        assert row["id"].rpartition(":")[2] not in version["id"]
        row, _ = tip("Versions", "reserved by somebody.dwg")
        assert row["attributes"]["reserved"]
        assert row["attributes"]["reservedUserName"] == "Noor Haddad"
        row, version = tip("Versions", "webView missing.dwg")
        assert "webView" not in row["links"]
        assert "webView" not in version["links"]

    def test_times(self, tip):
        expected = {
            "no fraction.txt": "2024-05-01T08:00:00Z",
            "three digits.txt": "2024-05-01T08:00:00.123Z",
            "before 1970.txt": "1969-07-20T20:17:40.0000000Z",
            "garbage.txt": "last Tuesday",
        }
        for name, moment in expected.items():
            assert tip("Times", name)[1]["attributes"]["createTime"] == moment
        _, version = tip("Times", "no lastModifiedTime.txt")
        assert "lastModifiedTime" not in version["attributes"]

    def test_kinds(self, tip, quirks):
        for name in ("Titles", "Review", "Exchange", "Virtual sheet.pdf", "Unknown without bytes",
                     "Unpublished model.rvt", "still being processed.dwg"):  # fmt: skip
            _, version = tip("Kinds", name)
            assert "storage" not in version["relationships"], name
            assert "storageSize" not in version["attributes"], name
        for name in ("Unknown with bytes.holo", "Published model.rvt", "Composite model.rvt"):
            assert "storage" in tip("Kinds", name)[1]["relationships"], name
        (page,) = quirks("Kinds")
        assert any("displayName" not in row["attributes"] for row in page["data"])

    def test_composite_is_a_zip(self, emulator, tip):
        storage = tip("Kinds", "Composite model.rvt")[1]["relationships"]["storage"]["data"]["id"]
        assert emulator.bytes(storage, 0, 4) == b"PK\3\4"


def test_other_kinds_of_hubs(api, facts):
    fusion = facts.project("Gearbox", "Emulated Fusion Team")
    (page,) = api.contents(quote(fusion["id"]), fusion["root_folder"])
    names = [tip["attributes"]["name"] for tip in page["included"]]
    assert names.count("Housing") == 2
    pdf = next(tip for tip in page["included"] if tip["attributes"]["name"] == "Datasheet.pdf")
    assert pdf["attributes"]["mimeType"] == "application/pdf"
    assert pdf["attributes"]["createTime"].endswith("+00:00")
    assert "." not in pdf["attributes"]["createTime"]
    plans = facts.folder(facts.project("Riverside BIM 360"), "Plans")
    names = [item["versions"][-1]["name"] for item in plans["items"]]
    assert names.count("A-101 Ground floor.pdf") == 2


def test_times_of_accounts_have_seven_digits_and_uploads_are_touched_later(facts):
    folder = facts.folder(facts.project("Sample Project"), "Project Files")
    version = facts.item(folder, "README.txt")["versions"][0]
    for moment in (version["createTime"], version["lastModifiedTime"], folder["createTime"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", moment)
    assert version["lastModifiedTime"] > version["createTime"]


def test_service_folders_and_the_like(facts):
    project = facts.project("Service Folders")
    services = [folder for folder in project["folders"][0]["folders"] if folder["service"]]
    assert len(services) == len(hubs.SERVICE_FOLDERS)
    users = facts.folder(project, "Project Files")["folders"]
    assert {"Photos", "Recycle Bin"} <= {folder["name"] for folder in users}
    assert not any(folder["service"] for folder in users)
    guest = facts.project("Guest Project")
    assert len(guest["top_folders"]) == 3


def test_users_may_be_nameless(facts, api):
    project = facts.project("Sample Project")
    folder = api.get(f"/data/v1/projects/{project['id']}/folders/{project['root_folder']}").json
    assert folder["data"]["attributes"]["createUserName"] == ""
    assert folder["data"]["attributes"]["name"].endswith("-root-folder")


class TestBenches:
    def test_tree(self):
        world = make_world("tree:folders=40,files=100,depth=4")
        project = world_facts(world)["hubs"][0]["projects"][0]
        assert project["name"] == "Bench Project"
        tree = project["folders"][0]["folders"][0]["folders"][0]

        def depth(folder):
            return 1 + max((depth(child) for child in folder["folders"]), default=0)

        assert depth(tree) == 4
        folders = list(folders_of({"folders": [tree]}))
        assert len(folders) == 40
        assert sum(len(folder["items"]) for folder in folders) == 100

    def test_combined(self):
        world = make_world("small:files=5,min=10,max=20+big:size=1000,count=2+wide:items=3")
        files = world_facts(world)["hubs"][0]["projects"][0]["folders"][0]["folders"][0]
        counts = {folder["name"]: len(folder["items"]) for folder in files["folders"]}
        assert counts == {"small": 5, "big": 2, "wide": 3}
        sizes = [item["versions"][0]["size"] for item in files["folders"][0]["items"]]
        assert all(10 <= size <= 20 for size in sizes)

    def test_levels(self):
        world = make_world("levels:folders=3,files=60,min=1000,max=2000")
        files = world_facts(world)["hubs"][0]["projects"][0]["folders"][0]["folders"][0]
        (levels,) = files["folders"]
        assert [len(folder["items"]) for folder in levels["folders"]] == [20, 20, 20]
        names = [item["displayName"] for item in levels["folders"][1]["items"]]
        assert names[:3] == ["model 00001.rvt", "model 00004.dwg", "model 00007.jpg"]
        sizes = {item["versions"][0]["size"] for item in levels["folders"][2]["items"]}
        assert min(sizes) >= 1000
        assert max(sizes) <= 2000
        with pytest.raises(ValueError, match="max is not less"):
            make_world("levels:min=2,max=1")

    def test_empty_and_sample_with_bench(self):
        assert make_world("empty").hubs == []
        assert [hub.name for hub in make_world("sample+wide:items=1").hubs][-1] == "Bench"

    @pytest.mark.parametrize("spec", ["", "nonsense", "wide:files=1", "wide:items=x", "wide:items"])
    def test_bad_specifications(self, spec):
        with pytest.raises(ValueError, match=r"."):
            make_world(spec)

    def test_a_directory_of_this_machine(self, tmp_path):
        """The path may hold a plus; a link is left out; bytes are read when they are asked for."""
        top = tmp_path / "a+b=c"
        (top / "below").mkdir(parents=True)
        (top / "below" / "data.bin").write_bytes(bytes(range(256)) * 5000)
        (top / "empty").touch()
        (top / "link").symlink_to(top / "empty")
        world = make_world(f"small:files=1+directory:{top}")
        bench, local = world.hubs
        (project,) = local.projects
        assert (local.name, project.name, bench.name) == ("Local", "Local Project", "Bench")
        items = {item.display_name: item.tip for item in world.items.values()}
        assert set(items) == {"small-00000.txt", "empty", "data.bin"}
        data, storage = items["data.bin"], items["data.bin"].storage
        assert storage is not None
        assert read(storage.content, 1000, 1_200_000) == (bytes(range(256)) * 5000)[1000:1_200_000]
        assert data.listed_size == storage.content.size == 1_280_000
        assert "below" in {folder.name for folder in world.folders.values()}
        assert make_world(f"directory:{top}").hubs[0].projects[0].id == project.id

    def test_a_directory_that_is_none(self, tmp_path):
        for path in ("", str(tmp_path / "absent")):
            with pytest.raises(ValueError, match="is no directory"):
                make_world(f"directory:{path}")
        (tmp_path / os.fsdecode(b"\xff")).touch()
        with pytest.raises(ValueError, match="not UTF-8"):
            make_world(f"directory:{tmp_path}")


def test_the_help_names_every_world():
    option = command_line()._option_string_actions["--world"]
    for name in ("sample", "empty", "history", *PARTS, "directory"):
        assert re.search(rf"\b{name}\b", str(option.help).partition(";")[0]), name
