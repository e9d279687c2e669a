"""The world with years behind it, a search that lags behind, and who called what."""

from __future__ import annotations

import hashlib
import time
from urllib.parse import quote

import pytest

from dmfs.emulator.process import EmulatorError
from dmfs.emulator.world import facts as raw
from dmfs.emulator.world.catalog import make_world
from tests.support.fixtures import calmed, running_emulator

from .client import Api, Facts
from .openapi import FILES, Contract, facts, whole_files

ARCHIVE, TEAM = "Emulated Archive", "Emulated Archive Team"
LONG_PAST = f"{ARCHIVE}/Long Past/Project Files"


@pytest.fixture(scope="module")
def archive():
    with running_emulator(world="history") as started:
        yield started


@pytest.fixture
def old(archive):
    with calmed(archive):
        yield archive


@pytest.fixture(scope="module")
def known(archive):
    return Facts(archive)


@pytest.fixture
def project(known):
    return known.project("Long Past", ARCHIVE)


def test_it_is_the_same_each_time_and_beside_the_sample():
    alone, again = make_world("history"), make_world("history")
    assert raw.world(alone) == raw.world(again)
    both = make_world("sample+history")
    assert {hub.name for hub in alone.hubs} == {ARCHIVE, TEAM}
    assert [hub.name for hub in both.hubs][-2:] == [ARCHIVE, TEAM]


def test_its_versions(old, known, project):
    api = Api(old)

    def rows(*names: str, item: str):
        found = known.item(known.folder(project, "Project Files", *names), item)
        pages = api.pages(f"/data/v1/projects/{project['id']}/items/{found['id']}/versions")
        return [len(page["data"]) for page in pages], [r for page in pages for r in page["data"]]

    assert rows(item="201 versions.txt")[0] == [200, 1]
    assert rows(item="seven versions.dwg")[0] == [7]
    labels = [
        row["attributes"]["extension"]["data"]["revisionDisplayLabel"]
        for row in rows(item="promoted.dwg")[1]
    ]
    assert labels == ["2", "5", "1", "3", "2", "1"]
    kinds = [
        row["attributes"]["extension"]["type"]
        for row in rows("Deleted", item="deleted twice.txt")[1]
    ]
    assert ["Deleted" in kind for kind in kinds] == [True, False, True, False]
    sizes = [row["attributes"].get("storageSize") for row in rows("Models", item="Tower.rvt")[1]]
    assert sizes == [16, 10, None, None]


def test_its_tree_at_moments(old):
    def paths(at: str, where: str = f"{LONG_PAST}/Deleted"):
        entries = old.tree(at, path=where)["entries"]
        assert not [entry for entry in entries if entry["doubt"]]
        return [(entry["path"], entry.get("number")) for entry in entries]

    assert paths("2019-12-31") == []
    assert paths("2020-01-18T09:00Z") == [("stays.txt", 1), ("deleted.txt", 2)]
    assert paths("2024-01-01") == [
        ("stays.txt", 1), ("deleted and restored.txt", 4), ("replaced.dwg", 2),
    ]  # fmt: skip
    names = f"{LONG_PAST}/Names"
    assert ("draft.txt", 2) in paths("2020-02-07", names)
    assert ("for review.txt", 4) in paths("2020-02-10", names)
    team = f"{TEAM}/Gearbox through Time"
    assert ("Bracket", 2) in paths("2020-11-29", team)
    assert not [name for name, _ in paths("2020-12-09", team) if "gone" in name]


@pytest.mark.parametrize(("hub", "name"), [(ARCHIVE, "Long Past"), (TEAM, "Gearbox through Time")])
@pytest.mark.parametrize("source", ["facts", "files"] if FILES else ["facts"])
def test_its_answers_are_those_of_the_documents(old, known, hub, name, source):
    contract = Contract(facts() if source == "facts" else whole_files())
    api, node = Api(old), known.project(name, hub)
    base = f"/data/v1/projects/{quote(node['id'])}"
    paths = [f"{base}/folders/{node['root_folder']}/search"]
    waiting = [node["folders"][0]]
    while waiting:
        folder = waiting.pop()
        waiting += folder["folders"]
        paths.append(f"{base}/folders/{folder['id']}/contents?includeHidden=true")
        paths += [f"{base}/items/{item['id']}/versions?page[limit]=7" for item in folder["items"]]
    hub_id = quote(known.hub(hub)["id"])
    paths.append(f"/project/v1/hubs/{hub_id}/projects/{quote(node['id'])}/topFolders")
    for path in paths:
        reply = api.get(path)
        at = path.partition("?")[0]
        assert not contract.answer_complaints("GET", at, reply.status, reply.json), path


def found(api: Api, project, folder, query: str = ""):
    """Names of hits, with the parents and the displayNames of their items."""
    path = f"/data/v1/projects/{project['id']}/folders/{folder}/search{query}"
    (page,) = api.pages(path)
    items = {item["id"]: item for item in page.get("included", [])}
    hits = []
    for row in page["data"]:
        item = items[row["relationships"]["item"]["data"]["id"]]
        assert item["relationships"]["tip"]["data"]["id"] == row["id"]
        assert not item["attributes"]["hidden"]
        name = row["attributes"]["name"]
        assert item["attributes"]["displayName"] == name
        hits.append((name, item["relationships"]["parent"]["data"]["id"]))
    return sorted(hits)


def test_a_search_of_what_is_there(old, project):
    api = Api(old)
    add = {"op": "add_folder", "path": LONG_PAST}
    (folder, other) = old.changes(add | {"name": "near"}, add | {"name": "far"})
    words = ("stays", "moved", "gone", "old")
    old.changes(
        *({"op": "add_item", "id": folder, "name": f"{word}.txt", "as": word} for word in words),
        {"op": "move", "on": "moved", "to": other},
        {"op": "hide", "on": "gone"},
        {"op": "rename", "on": "old", "name": "new.txt"},
    )
    assert found(api, project, folder) == [("new.txt", folder), ("stays.txt", folder)]
    assert found(api, project, other) == [("moved.txt", other)]
    old.settings(search_lag_s=3600)
    assert found(api, project, folder) == []


def test_a_search_that_lags_behind(old, project):
    """It misses what was made since, and finds what was deleted, moved and renamed as it was."""
    api, yesterday_s, words = Api(old), time.time() - 86400, ("gone", "moved", "old", "stays")
    add = {"op": "add_folder", "path": LONG_PAST, "at": yesterday_s}
    (folder, other) = old.changes(add | {"name": "here"}, add | {"name": "there"})
    add = {"op": "add_item", "id": folder, "at": yesterday_s}
    (gone, *_) = old.changes(
        *(add | {"name": f"{word}.txt", "as": word} for word in words),
        {"op": "move", "on": "moved", "to": other},
        {"op": "hide", "on": "gone"},
        {"op": "rename", "on": "old", "name": "new.txt"},
        {"op": "add_item", "id": folder, "name": "fresh.txt"},
    )
    old.settings(search_lag_s=3600)
    assert found(api, project, folder) == [(f"{word}.txt", folder) for word in words]
    assert found(api, project, other) == []
    assert found(api, project, folder, "?filter[name]=old.txt,new.txt") == [("old.txt", folder)]
    row = api.get(f"/data/v1/projects/{project['id']}/items/{gone}").json["data"]
    assert row["attributes"]["hidden"]
    # A folder that had been deleted by then is not in the index, nor what it had.
    old.changes(
        {"op": "add_folder", "id": folder, "name": "below", "at": yesterday_s, "as": "below"},
        {"op": "add_item", "path": f"{LONG_PAST}/here/below", "name": "b.txt", "at": yesterday_s},
        {"op": "delete_folder", "on": "below", "at": yesterday_s + 3600},
    )
    assert "b.txt" not in [name for name, _ in found(api, project, folder)]
    # What may be seen is as it is today.
    old.change("revoke", id=folder)
    assert found(api, project, project["root_folder"], "?filter[name]=old.txt") == []


def test_no_page_beyond_the_fiftieth(old, project):
    path = f"/data/v1/projects/{project['id']}/folders/{project['root_folder']}/search"
    for lag_s in (0, 60):
        old.settings(search_lag_s=lag_s)
        assert Api(old).get(f"{path}?page[number]=49").status == 200
        assert Api(old).get(f"{path}?page[number]=50").status == 400


def test_calls_are_counted_by_caller(old):
    one, two = Api(old), Api(old)
    one.get("/project/v1/hubs")
    one.get("/project/v1/hubs", {"User-Agent": "other/1"})
    two.get("/project/v1/hubs", {"x-user-id": "BOBEMU000002"})
    two.get("/project/v1/hubs/b.nothing")
    mark = hashlib.sha256(one.token.encode()).hexdigest()[:12]
    assert sorted(row["agent"] for row in old.callers(token=mark)) == ["", "other/1"]
    assert [row["counts"] for row in old.callers(token=mark)] == [{"hubs": 1}] * 2
    (bob,) = old.callers(user="BOBEMU000002")
    assert (bob["client"], bob["counts"]) == ("emulator-app", {"hubs": 1})
    assert bob["token"] != mark
    assert sum(row["counts"].get("versions", 0) for row in old.callers()) == 0
    assert sum(row["counts"].get("hubs", 0) for row in old.callers()) == old.counts()["hubs"] == 3
    assert old.callers(client="nobody") == []
    assert old.calls()["log"][-1]["token"] == bob["token"]
    with pytest.raises(EmulatorError, match="not colour"):
        old.callers(colour="red")
    old.reset()
    assert old.callers() == []
