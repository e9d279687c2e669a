"""What was deleted: in listings that ask for it, and among the versions of a file."""

from __future__ import annotations

import pytest

from .client import Api, Facts

HUB = "Emulated Builders ~1 Headquarters"


@pytest.fixture
def listed(place):
    """Lists the folder of a test, with a query: the rows by id, and the tips by id."""

    def rows(query: str = ""):
        pages = Api(place.emulator).contents(place.project["id"], place.id, query)
        tips = {tip["id"]: tip for page in pages for tip in page.get("included", [])}
        return {row["id"]: row for page in pages for row in page["data"]}, tips

    return rows


@pytest.fixture
def buried(place):
    """A live file, a deleted one, a live and a deleted folder, by name."""
    add = place.emulator.change
    made = {
        name: add("add_item" if "." in name else "add_folder", id=place.id, name=name)
        for name in ("a.txt", "gone.txt", "sub", "gone")
    }
    add("hide", id=made["gone.txt"]["id"])
    assert place.writer.patch(made["gone"]["id"], hidden=True).status == 200
    return {name: node["id"] for name, node in made.items()}


def test_deleted_entries_are_listed_for_who_asks(place, listed, buried):
    assert set(listed()[0]) == {buried["a.txt"], buried["sub"]}
    rows, tips = listed("?includeHidden=true")
    assert set(rows) == set(buried.values())
    row = rows[buried["gone.txt"]]
    tip = tips[row["relationships"]["tip"]["data"]["id"]]
    assert row["attributes"]["hidden"]
    extension = tip["attributes"]["extension"]
    assert extension["type"] == "versions:autodesk.core:Deleted"
    assert extension["data"]["originalName"] == "gone.txt"
    assert tip["attributes"]["versionNumber"] == 2
    assert "storage" not in tip["relationships"]
    assert tip["relationships"]["item"]["data"]["id"] == buried["gone.txt"]
    folder = rows[buried["gone"]]["attributes"]
    assert folder["hidden"]
    assert len(folder["name"]) == 36, "a GUID while it is deleted"
    # What lies in a deleted folder can still be listed.
    api = Api(place.emulator)
    assert api.contents(place.project["id"], buried["gone"])[0]["data"] == []


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?filter[hidden]=true", {"gone.txt", "gone"}),
        ("?filter[hidden]=true&includeHidden=true", {"gone.txt", "gone"}),
        ("?filter[hidden]=false&includeHidden=true", {"a.txt", "sub"}),
        ("?filter[hidden]=true&filter[type]=folders", {"gone"}),
        ("?includeHidden=false", {"a.txt", "sub"}),
    ],
)
def test_filters_tell_deleted_from_live(listed, buried, query, names):
    assert set(listed(query)[0]) == {buried[name] for name in names}


def test_pages_are_cut_before_what_is_hidden_is_left_out(place, buried):
    place.emulator.settings(page_limit=2)
    api = Api(place.emulator)
    sizes = [len(p["data"]) for p in api.contents(place.project["id"], place.id)]
    assert sizes == [1, 1]
    query = "?filter[hidden]=true"
    sizes = [len(p["data"]) for p in api.contents(place.project["id"], place.id, query)]
    assert sizes == [1, 1]
    query = "?includeHidden=true"
    sizes = [len(p["data"]) for p in api.contents(place.project["id"], place.id, query)]
    assert sizes == [2, 2]


def test_teams_keep_nothing_that_was_deleted(team):
    item = team.emulator.change("add_item", id=team.id, name="a.txt", text="x")
    team.emulator.change("hide", id=item["id"])
    api = Api(team.emulator)
    for query in ("?includeHidden=true", "?filter[hidden]=true"):
        assert api.contents(team.project["id"], team.id, query)[0]["data"] == []
    hub = Facts(team.emulator).hub("Emulated Fusion Team")["id"]
    top = f"/project/v1/hubs/{hub}/projects/{team.project['id']}/topFolders"
    assert team.id in [row["id"] for row in api.get(top).json["data"]]
    team.emulator.change("delete_folder", id=team.id)
    assert team.id not in [row["id"] for row in api.get(top).json["data"]]


def test_deleted_top_folders_are_listed_unless_excluded(written):
    hub = Facts(written).hub("Twin Hub")
    project = written.change("add_project", id=hub["id"], name="Tops")
    gone = written.change("add_folder", id=project["id"], name="Gone")
    written.change("delete_folder", id=gone["id"])
    path = f"/project/v1/hubs/{hub['id']}/projects/{project['id']}/topFolders"

    def names(query: str):
        rows = Api(written).get(path + query).json["data"]
        return [(row["attributes"]["name"], row["attributes"]["hidden"]) for row in rows]

    assert names("?excludeDeleted=true") == [("Project Files", False)]
    assert names("") == names("?excludeDeleted=false")
    assert names("") == [("Project Files", False), ("Gone", True)]


def test_versions_by_number(place):
    item = place.writer.new_file(place.id, "a.txt", b"one\n")
    place.writer.delete(item)
    api = Api(place.emulator)
    path = f"/data/v1/projects/{place.project['id']}/items/{item}/versions"

    def numbers(query: str):
        pages = api.pages(path + query)
        return [[row["attributes"]["versionNumber"] for row in page["data"]] for page in pages]

    assert numbers("") == [[2, 1]]
    assert numbers("?filter[versionNumber]=1") == [[1]]
    assert numbers("?filter[versionNumber]=1,2") == [[2, 1]]
    assert numbers("?filter[versionNumber]=3") == [[]]
    assert numbers("?filter[versionNumber]=1&page[limit]=1") == [[], [1]]
    rows = api.get(path).json["data"]
    assert [row["attributes"].get("storageSize") for row in rows] == [None, 4]
    assert [row["relationships"]["item"]["data"]["id"] for row in rows] == [item, item]
    data = [row["attributes"]["extension"]["data"] for row in rows]
    assert data[0] == {"originalName": "a.txt"}
    assert data[1]["revisionDisplayLabel"] == "1"
