"""Changes while it runs, as a client sees them."""

from __future__ import annotations

import pytest

from dmfs.emulator.process import EmulatorError

from .client import Api, Facts, fetch

HUB = "Emulated Builders ~1 Headquarters"
FILES = f"{HUB}/Sample Project/Project Files"


@pytest.fixture(scope="module")
def world():
    """One emulator for this module: each test changes another place."""
    from dmfs.emulator.process import EmulatorProcess

    with EmulatorProcess() as emulator:
        yield emulator
        assert "Traceback" not in emulator.stderr()


@pytest.fixture
def api(world):
    return Api(world)


@pytest.fixture
def facts(world):
    return Facts(world)


@pytest.fixture
def place(world, facts):
    """A folder of one's own with a file, its ids, and its ancestors' times."""
    world.change("add_folder", path=FILES, name="Place")
    folder = Facts(world).folder(Facts(world).project("Sample Project"), "Project Files", "Place")
    item = world.change("add_item", id=folder["id"], name="a.txt", text="one\n")
    yield facts.project("Sample Project")["id"], folder["id"], item
    world.change("rename", id=folder["id"], name=f"Used {folder['id']}")
    world.change("delete_folder", id=folder["id"])


def listing(api, place):
    project, folder, _ = place
    (page,) = api.contents(project, folder)
    tips = {tip["id"]: tip for tip in page.get("included", [])}

    def tip_of(row):
        return tips[row["relationships"]["tip"]["data"]["id"]] if row["type"] == "items" else None

    return {row["id"]: (row, tip_of(row)) for row in page["data"]}


def times(world, *names):
    """lastModifiedTime and rollup of Project Files and what is below it by name."""
    facts = Facts(world)
    folder = facts.folder(facts.project("Sample Project"), "Project Files", *names)
    return folder["lastModifiedTime"], folder["lastModifiedTimeRollup"]


def test_new_version(world, api, place):
    _, _, item = place
    before, above = times(world, "Place"), times(world)
    changed = world.change("new_version", id=item["id"], size=5000, name="b.txt")
    assert [each["number"] for each in changed["versions"]] == [1, 2]
    row, tip = listing(api, place)[item["id"]]
    assert row["attributes"]["displayName"] == tip["attributes"]["name"] == "b.txt"
    assert tip["attributes"]["storageSize"] == 5000
    assert tip["id"].endswith("?version=2")
    assert changed["versions"][0]["storage"] != changed["versions"][1]["storage"]
    after, now_above = times(world, "Place"), times(world)
    assert after > before
    assert now_above[0] == above[0]
    assert now_above[1] > above[1]
    body = fetch(api.sign(changed["versions"][1]["storage"]).json["url"]).body
    assert body == world.bytes(changed["versions"][1]["storage"])
    # What was there before is there still.
    assert fetch(api.sign(item["versions"][0]["storage"]).json["url"]).body == b"one\n"


def test_replace_bytes(world, api, place):
    _, _, item = place
    (version,) = item["versions"]
    url = api.sign(version["storage"]).json["url"]
    before, listed = fetch(url), listing(api, place)
    world.change("replace_bytes", id=item["id"])
    after = fetch(url)
    assert len(after.body) == len(before.body)
    assert after.body != before.body
    assert after.body == world.bytes(version["storage"])
    assert after.headers["etag"] != before.headers["etag"]
    assert listing(api, place) == listed


def test_quiet(world, api, place):
    _, _, item = place
    before, above = times(world, "Place"), times(world)
    world.change("new_version", id=item["id"], text="two\n", quiet=True)
    world.change("add_item", id=place[1], name="quiet.txt", quiet=True)
    assert times(world, "Place") == before
    assert times(world) == above
    assert len(listing(api, place)) == 2


def test_rename_an_item_makes_a_version_with_the_same_bytes(world, api, place):
    _, _, item = place
    changed = world.change("rename", id=item["id"], name="renamed.txt")
    assert changed["versions"][1]["storage"] == item["versions"][0]["storage"]
    assert changed["displayName"] == "renamed.txt"


def test_rename_folder_project_and_hub(world, api, facts):
    folder = world.change("add_folder", path=FILES, name="before")
    assert world.change("rename", id=folder["id"], name="after")["name"] == "after"
    twin = facts.hub("Twin Hub")
    assert world.change("rename", id=twin["id"], name="Other Hub")["id"] == twin["id"]
    names = [hub["attributes"]["name"] for hub in api.get("/project/v1/hubs").json["data"]]
    assert names.count("Twin Hub") == 1
    world.change("rename", id=twin["id"], name="Twin Hub")


def test_hide_and_restore(world, api, place):
    _, _, item = place
    dead = world.change("hide", id=item["id"])
    assert dead["hidden"]
    assert dead["versions"][-1]["type"] == "versions:autodesk.core:Deleted"
    assert listing(api, place) == {}
    alive = world.change("restore", id=item["id"])
    assert [each["number"] for each in alive["versions"]] == [1, 2, 3]
    _, tip = listing(api, place)[item["id"]]
    assert tip["attributes"]["name"] == "a.txt"
    assert alive["versions"][2]["storage"] == item["versions"][0]["storage"]


def test_move(world, api, place):
    _, _, item = place
    target = world.change("add_folder", path=FILES, name="Target")
    before = times(world, "Place")
    world.change("move", id=item["id"], to=target["id"])
    assert listing(api, place) == {}
    assert times(world, "Place") > before
    assert list(listing(api, (place[0], target["id"], None))) == [item["id"]]
    with pytest.raises(EmulatorError, match="into itself"):
        world.change("move", path=FILES, to=f"{FILES}/Target")


def test_folders_come_and_go(world, api, place):
    child = world.change("add_folder", id=place[1], name="child")
    assert child["id"] in listing(api, place)
    world.change("delete_folder", id=child["id"])
    assert child["id"] not in listing(api, place)
    world.change("restore", id=child["id"])
    assert child["id"] in listing(api, place)


def test_equal_names_may_be_added(world, api, place):
    ids = {world.change("add_item", id=place[1], name="twin.txt")["id"] for _ in range(3)}
    assert len(ids) == 3
    assert len(listing(api, place)) == 4


def test_add_project(world, api, facts):
    hub = facts.hub("Twin Hub")["id"]
    project = world.change("add_project", id=hub, name="New Project")
    listed = api.get(f"/project/v1/hubs/{hub}/projects").json["data"]
    assert project["id"] in [each["id"] for each in listed]
    top = api.get(f"/project/v1/hubs/{hub}/projects/{project['id']}/topFolders").json["data"]
    assert [each["attributes"]["name"] for each in top] == ["Project Files"]


def test_revoke_and_grant(world, api, place, facts):
    project, folder, item = place
    path = f"/data/v1/projects/{project}"
    storage = item["versions"][0]["storage"]
    world.change("revoke", id=folder)
    assert api.sign(storage).status == 403
    for where in (f"{path}/folders/{folder}/contents", f"{path}/items/{item['id']}"):
        assert api.get(where).status == 403
    above = facts.folder(facts.project("Sample Project"), "Project Files")["id"]
    assert folder not in [row["id"] for row in api.contents(project, above)[0]["data"]]
    world.change("grant", id=folder)
    assert api.sign(storage).status == 200
    assert api.get(f"{path}/folders/{folder}/contents").status == 200
    other = facts.project("Phase 1/2")
    hub = facts.world["hubs"][0]["id"]
    world.change("revoke", path=f"{HUB}/Phase 1~12")
    listed = api.get(f"/project/v1/hubs/{hub}/projects").json["data"]
    assert other["id"] not in [each["id"] for each in listed]
    assert api.get(f"/project/v1/hubs/{hub}/projects/{other['id']}/topFolders").status == 403
    world.change("grant", id=other["id"])


def test_archive(world, api, facts):
    project, hub = facts.project("Phase 1/2")["id"], facts.world["hubs"][0]["id"]
    path = f"/project/v1/hubs/{hub}/projects"
    world.change("archive", id=project)
    assert api.get(f"{path}/{project}/topFolders").json["errors"][0]["code"] == "BIM360DM_ERROR"
    assert project not in [each["id"] for each in api.get(path).json["data"]]
    world.change("archive", id=project, lingers=True)
    assert project in [each["id"] for each in api.get(path).json["data"]]
    assert world.change("activate", id=project)["active"]
    assert api.get(f"{path}/{project}/topFolders").status == 200


def test_errors_are_clear(world):
    for fields, message in (
        ({"op": "explode", "path": FILES}, "unknown op"),
        ({"op": "hide", "path": f"{FILES}/nothing"}, "no 'nothing'"),
        ({"op": "hide", "id": "urn:x"}, "nothing has the id"),
        ({"op": "hide"}, "id or path"),
        ({"op": "hide", "path": HUB}, "needs a folder or item"),
        ({"op": "rename", "path": FILES}, "name"),
        ({"op": "add_item", "path": FILES, "name": "x", "size": -1}, "not negative"),
    ):
        with pytest.raises(EmulatorError, match=message):
            world.change(**fields)


def test_lone_surrogates_and_odd_names(world, api, place):
    item = world.change("add_item", id=place[1], name="odd \ud800 /.txt", text="x")
    row, _ = listing(api, place)[item["id"]]
    assert row["attributes"]["displayName"] == "odd \ud800 /.txt"
