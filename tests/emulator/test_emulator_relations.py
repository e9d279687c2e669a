"""References between files, the commands that list them, and whether models are published."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from dmfs.emulator.http.rate_limits import PUBLISHED_PER_MIN
from dmfs.emulator.process import EmulatorError
from dmfs.emulator.server.routes import find
from dmfs.emulator.world.catalog import make_world
from dmfs.emulator.world.model import DELETED_VERSION

from .client import Api, Facts
from .test_emulator_openapi import contract
from .test_emulator_writing_openapi import exchanges
from .writer import Writer

__all__ = ["contract", "exchanges"]
REFS = "commands:autodesk.core:ListRefs"
PUBLISHED = "commands:autodesk.bim360:C4RModelGetPublishJob"


def order(writer, kind, *resources):
    return writer.data("POST", "commands", {
        "type": "commands",
        "attributes": {"extension": {"type": kind, "version": "1.0.0"}},
        "relationships": {"resources": {
            "data": [{"type": type_, "id": id_} for type_, id_ in resources],
        }},
    })  # fmt: skip


def list_refs(writer, *versions):
    reply = order(writer, REFS, *(("versions", each) for each in versions))
    assert reply.status == 200, reply.body
    return reply.json


class Relations:
    """The drawings of ``add_relations``: versions, oldest first, by the names of their files."""

    def __init__(self, emulator, project):
        self.writer = Writer(emulator, project["id"])
        self.path = "Emulated Builders ~1 Headquarters/Sample Project/Project Files"
        made = emulator.change("add_folder", path=self.path, name="relations")
        self.path += "/relations"
        self.items, self.versions = {}, {}
        waiting = [emulator.change("add_relations", id=made["id"])]
        while waiting:
            folder = waiting.pop()
            waiting += folder["folders"]
            for item in folder["items"]:
                name = item["versions"][0]["name"]
                self.items[name] = item["id"]
                self.versions[name] = [row["id"] for row in item["versions"]]
        self.plan = self.versions["Site plan.dwg"][-1]

    def name(self, id_):
        return next(name for name, ids in self.versions.items() if id_ in ids)

    def get(self, kind, id_, tail):
        return self.writer.data("GET", f"{kind}/{quote(id_, safe='')}/{tail}")


@pytest.fixture(scope="module")
def relations(written):
    return Relations(written, Facts(written).project("Sample Project"))


USED = {
    "Grid.dwg", "Title block.dwg", "Contours.dwg", "Hidden.dwg", "Deleted.dwg", "Facade.png",
}  # fmt: skip
USERS = {"Overview.dwg", "Secret overview.dwg", "Grid.dwg", "Site plan.pdf"}


def test_relationships_of_a_version(relations):
    reply = relations.get("versions", relations.plan, "relationships/refs")
    rows = reply.json["data"]
    found = {
        way: [row for row in rows if row["meta"]["direction"] == way] for way in ("from", "to")
    }
    for way, names in (("from", USED), ("to", USERS)):
        assert {relations.name(row["id"]) for row in found[way]} == names
        for row in found[way]:
            meta, here = row["meta"], relations.plan
            ends = (row["id"], here) if way == "from" else (here, row["id"])
            assert (meta["fromId"], meta["toId"]) == ends
            assert row["type"] == meta["fromType"] == meta["toType"] == "versions"
    assert {row["meta"]["refType"] for row in found["from"]} == {"xrefs"}
    assert {row["meta"]["extension"]["data"]["nestedType"] for row in found["from"]} == {
        "attachment"
    }
    old_grid = relations.versions["Grid.dwg"][0]
    assert old_grid in [row["id"] for row in found["from"]]
    seen = {relations.name(node["id"]) for node in reply.json["included"]}
    assert seen == (USED | USERS) - {"Hidden.dwg", "Secret overview.dwg"}


def test_refs_are_the_resources_themselves(relations):
    of_version = relations.get("versions", relations.plan, "refs").json["data"]
    assert {node["attributes"]["name"] for node in of_version} == (
        (USED | USERS) - {"Hidden.dwg", "Secret overview.dwg"}
    )
    # two versions of one file are two resources
    assert sum(node["attributes"]["name"] == "Grid.dwg" for node in of_version) == 2
    of_item = relations.get("items", relations.items["Site plan.dwg"], "refs").json["data"]
    assert [node["id"] for node in of_item] == [node["id"] for node in of_version]
    first = relations.versions["Site plan.dwg"][0]
    assert relations.get("versions", first, "refs").json["data"] == []
    reply = relations.get("versions", first, "relationships/refs").json
    assert (reply["data"], "included" in reply) == ([], False)
    assert relations.get("versions", first, "relationships/links").json["data"] == []


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("filter[refType]=xrefs&filter[direction]=from", USED),
        ("filter[meta.refType]=derived", {"Site plan.pdf"}),
        ("filter[direction]=to", USERS),
        ("filter[extension.type]=derived:autodesk.bim360:FileToDocument", {"Site plan.pdf"}),
        ("filter[type]=items,folders", set()),
        ("filter[refType]=includes,derived", {"Site plan.pdf"}),
    ],
)
def test_filters(relations, query, names):
    reply = relations.get("versions", relations.plan, f"relationships/refs?{query}")
    assert {relations.name(row["id"]) for row in reply.json["data"]} == names


def test_list_refs_of_many_versions(written, relations):
    title, grid = relations.versions["Title block.dwg"][0], relations.versions["Grid.dwg"][-1]
    body = list_refs(relations.writer, title, grid, relations.plan)
    assert body["data"]["attributes"]["status"] == "complete"
    rows = body["data"]["relationships"]["resources"]["data"]
    # each is the other end, with data flowing as seen from there
    ends = [(row["id"], row["meta"]["direction"]) for row in rows]
    assert ends[:2] == [(relations.plan, "from"), (relations.plan, "to")]
    assert len(ends) == 2 + len(USED) + len(USERS)
    for row in rows:
        way = "toId" if row["meta"]["direction"] == "from" else "fromId"
        assert row["meta"][way] == row["id"]
    kinds = {node["type"] for node in body["included"]}
    assert kinds == {"items", "versions"}
    deleted = next(
        node for node in body["included"] if node["id"] == relations.items["Deleted.dwg"]
    )
    assert deleted["attributes"]["hidden"] is True
    tip = deleted["relationships"]["tip"]["data"]["id"]
    assert tip == relations.versions["Deleted.dwg"][-1] != relations.versions["Deleted.dwg"][0]
    assert relations.items["Hidden.dwg"] not in {node["id"] for node in body["included"]}
    written.settings(list_refs_rows="checked")
    checked = list_refs(relations.writer, title, grid)["data"]["relationships"]["resources"]["data"]
    assert [(row["id"], row["meta"]["direction"]) for row in checked] == [
        (title, "to"), (grid, "from"),
    ]  # fmt: skip
    written.settings(list_refs_rows="other")


def test_list_refs_refuses(relations):
    writer, item = relations.writer, relations.items["Grid.dwg"]
    version = ("versions", relations.plan)
    unknown = ("versions", "urn:adsk.wipprod:fs.file:vf.x?version=1")
    assert order(writer, REFS, *[version] * 50).status == 200
    for reply, status in (
        (order(writer, REFS, *[version] * 51), 400),
        (order(writer, REFS, ("items", item)), 400),
        (order(writer, REFS, version, unknown), 404),
        (order(writer, REFS, ("versions", relations.versions["Hidden.dwg"][0])), 403),
    ):
        assert reply.status == status
    empty = list_refs(writer)
    assert empty["data"]["relationships"]["resources"]["data"] == []
    assert "included" not in empty


def test_references_by_order(written, place):
    made = {
        name: written.change("add_item", path=place.path, name=name)["id"]
        for name in ("host.dwg", "used.dwg")
    }
    where = f"{place.path}/host.dwg"
    first = written.change("add_ref", path=where, uses=f"{place.path}/used.dwg")
    written.change("add_ref", id=made["host.dwg"], uses=made["used.dwg"], follows=True)
    written.change("add_ref", id=made["host.dwg"], uses=place.id, ref_type="auxiliary")
    written.change("new_version", id=made["used.dwg"], size=10)
    tip = written.change("new_version", id=made["host.dwg"], size=10)["versions"][-1]["id"]

    def used_by(version):
        rows = list_refs(place.writer, version)["data"]["relationships"]["resources"]["data"]
        return [row["id"] for row in rows]

    newer = first["from"].replace("version=1", "version=2")
    assert used_by(tip) == [newer]
    assert used_by(first["to"]) == [first["from"], place.id]
    of_folder = place.writer.data("GET", f"folders/{place.id}/refs").json["data"]
    assert [node["id"] for node in of_folder] == [first["to"]]
    for wrong in ({"ref_type": "friends"}, {"uses": None}):
        with pytest.raises(EmulatorError, match=next(iter(wrong))):
            written.change("add_ref", **{"id": made["host.dwg"], "uses": made["used.dwg"]} | wrong)
    assert written.change("remove_refs", id=made["host.dwg"]) == {"removed": 3}
    assert used_by(first["to"]) == []


def test_references_between_projects(written, relations):
    grid = relations.versions["Grid.dwg"][-1]
    used = "Emulated Builders ~1 Headquarters/Riverside BIM 360/Project Files/Specification.txt"
    made = written.change("add_ref", id=grid, uses=used)
    reply = relations.get("versions", grid, "relationships/refs").json
    assert made["from"] in {row["id"] for row in reply["data"]}
    assert made["from"] not in {node["id"] for node in reply["included"]}
    assert written.change("remove_refs", path=used) == {"removed": 1}


def test_what_was_deleted_by_order_is_gone_from_the_past(relations, written):
    below = written.tree("2100-01-01T00:00Z", path=f"{relations.path}/Shared", view="true")
    names = {entry["path"].rpartition("/")[2] for entry in below["entries"]}
    assert names == {"Title block.dwg", "Facade.png", "Site plan.pdf"}


def test_the_sample_has_references(emulator, facts):
    project = facts.project("Gearbox", "Emulated Fusion Team")
    design, drawing = project["folders"][0]["items"][:2]
    rows = list_refs(Writer(emulator, project["id"]), drawing["versions"][0]["id"])
    [row] = rows["data"]["relationships"]["resources"]["data"]
    assert row["id"] == row["meta"]["fromId"] == design["versions"][0]["id"]
    project = facts.project("Sample Project")
    folder = facts.folder(project, "Project Files", "Drawings")
    room = facts.item(folder, "Room 1.dxf")["versions"][0]["id"]
    found = Writer(emulator, project["id"]).data("GET", f"versions/{quote(room, safe='')}/refs")
    names = [node["attributes"]["name"] for node in found.json["data"]]
    assert names == ["Ground floor.pdf", "Facade.png"]


@pytest.fixture
def models(facts):
    project = facts.project("Quirks")
    folder = facts.folder(project, "Project Files", "Kinds")
    return project, {item["displayName"]: item["id"] for item in folder["items"]}


def test_publish_states(written, models):
    project, known = models
    writer = Writer(written, project["id"])

    def status(name):
        reply = order(writer, PUBLISHED, ("items", known[name]))
        assert reply.status == 200, reply.body
        data = reply.json["data"]
        return data and data["attributes"]["status"]

    names = "Published model.rvt", "Unpublished model.rvt"
    states = ("published", "waiting", "publishing", "failed")
    assert [status(name) for name in names] == ["complete", None]
    for meaning, answers in (
        ("published", [None, "complete", "committed", "failed"]),
        ("waiting", ["complete", None, "processing", "failed"]),
    ):
        written.settings(publish_null=meaning)
        found = []
        for state in states:
            written.change("publish_state", id=known[names[0]], state=state)
            found.append(status(names[0]))
        assert found == answers
    with pytest.raises(EmulatorError, match="state"):
        written.change("publish_state", id=known[names[0]], state="secret")


def test_publish_states_are_a_user_s(emulator, models):
    project, known = models
    writer = Writer(emulator, project["id"])
    model = ("items", known["Published model.rvt"])
    assert order(writer, PUBLISHED, ("items", known["still being processed.dwg"])).status == 400
    assert order(writer, PUBLISHED, model, model).status == 400
    writer.token = Api(emulator).token
    assert order(writer, PUBLISHED, model).status == 403
    assert order(writer, REFS).status == 200


def test_relations_are_documented(contract, exchanges, relations):
    writer = relations.writer
    seen = exchanges(writer)
    body = list_refs(writer, relations.plan, relations.versions["Grid.dwg"][0])
    assert not contract.schema_complaints("datamanagement", "ListRefs", body["data"])
    ends = [("versions", relations.plan), ("items", relations.items["Site plan.dwg"])]
    for kind, id_ in ends:
        for tail in ("refs", "relationships/refs", "relationships/links"):
            assert relations.get(kind, id_, tail).status == 200
    for query in ("filter[refType]=xrefs", "filter[direction]=to", "filter[type]=versions"):
        relations.get("versions", relations.plan, f"relationships/refs?{query}")
    assert order(writer, REFS, ("versions", "none")).status == 404
    assert seen.count == 11
    assert seen.wrong == [], seen.wrong


def test_publish_states_are_documented(contract, exchanges, emulator, models):
    project, known = models
    writer = Writer(emulator, project["id"])
    seen = exchanges(writer)
    for name in ("Published model.rvt", "Unpublished model.rvt"):
        data = order(writer, PUBLISHED, ("items", known[name])).json["data"]
        assert data is None or not contract.schema_complaints(
            "datamanagement", "PublishModelJob", data
        )
    assert seen.wrong == [], seen.wrong


def test_each_extension_type_of_the_sample_has_a_schema(emulator, api, facts):
    kinds = {"xrefs:autodesk.core:Xref-1.1.0", "derived:autodesk.fusion360:DrawingToDesign-1.0"}

    def look(node):
        if isinstance(node, dict):
            type_ = node.get("type")
            if isinstance(type_, str) and ":autodesk." in type_:
                kinds.add(f"{type_}-1.0")
            for each in node.values():
                look(each)
        elif isinstance(node, list):
            for each in node:
                look(each)

    look(facts.world)
    assert f"{DELETED_VERSION}-1.0" in kinds
    missing = {kind for kind in kinds if api.get(f"/schema/v1/versions/{kind}").status != 200}
    assert missing == {f"{kind}:autodesk.bim360:HoloDeck-1.0" for kind in ("items", "versions")}


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("versions/v/downloadFormats", 50), ("versions/v/downloads", 50), ("jobs/j", 300),
        ("downloads/d", 300), ("items/i/refs", 300), ("versions/v/refs", 50),
        ("items/i/relationships/refs", 50), ("POST downloads", 50), ("POST commands", 300),
    ],
)  # fmt: skip
def test_published_limits(path, limit):
    method, _, rest = path.rpartition(" ")
    route, _ = find("api", method or "GET", ["data", "v1", "projects", "p", *rest.split("/")])
    assert route is not None
    assert PUBLISHED_PER_MIN[route.limit] == limit


def test_a_world_of_relations():
    one, two = make_world("relations"), make_world("relations")
    assert [(ref.source.id, ref.target.id) for ref in one.refs] == [
        (ref.source.id, ref.target.id) for ref in two.refs
    ]
    assert len(one.refs) == len(USED) + len(USERS)
