"""Calls that change something, and their answers, against Autodesk's OpenAPI files."""

from __future__ import annotations

import json

import pytest

from .test_emulator_openapi import contract
from .writer import link

__all__ = ["contract"]
pytestmark = pytest.mark.process  # places are asked for by name
PERMISSION = "commands:autodesk.core:CheckPermission"


@pytest.fixture(params=["place", "team"])
def either(request):
    """In a project of either kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def exchanges(contract, monkeypatch):
    """``exchanges(writer)``: what of its calls from now on, and of the answers, is not documented;
    ``count``: how many there were."""

    class Exchanges:
        def __init__(self, writer):
            self.wrong: list[tuple] = []
            self.count = 0
            true_call = writer.call

            def call(method, path, body=None, *, content_type="application/vnd.api+json"):
                reply = true_call(method, path, body, content_type=content_type)
                self.count += 1
                headers = {} if body is None else {"Content-Type": content_type}
                raw = None if body is None else json.dumps(body).encode()
                found = contract.request_complaints(method, writer.url + path, headers, raw)
                answer = reply.json if reply.body else None
                found += contract.answer_complaints(
                    method, path.partition("?")[0], reply.status, answer
                )
                self.wrong += [(method, path, each) for each in found]
                return reply

            monkeypatch.setattr(writer, "call", call)

    return Exchanges


def test_the_data_service(exchanges, either):
    writer = either.writer
    seen = exchanges(writer)
    item = writer.new_file(either.id, "a.txt", b"x")
    writer.save(item, "a.txt", b"y")
    assert writer.folder(either.id, "inner").status == 201
    assert writer.patch(either.id, name=f"{either.name} renamed").status == 200
    for path in (f"folders/{either.id}/contents", f"items/{item}", f"items/{item}/versions"):
        assert writer.data("GET", path).status == 200
    assert seen.count == 13
    assert seen.wrong == [], seen.wrong


def test_permissions(contract, exchanges, either):
    seen = exchanges(either.writer)
    reply = either.writer.data("POST", "commands", {
        "type": "commands",
        "attributes": {"extension": {
            "type": PERMISSION, "version": "1.0.0", "data": {"requiredActions": ["upload"]},
        }},
        "relationships": {"resources": {"data": [link("folders", either.id)["data"]]}},
    })  # fmt: skip
    assert reply.status == 200
    assert seen.wrong == [], seen.wrong
    data = reply.json["data"]
    assert not contract.schema_complaints("datamanagement", "CheckPermission", data)


def test_deletion_and_renaming(exchanges, place):
    writer = place.writer
    item = writer.new_file(place.id, "a.txt", b"x")
    source = place.item(item)["included"][0]["id"]
    seen = exchanges(writer)
    for reply in (
        writer.copy(source, {"attributes": {"name": "b.txt"}}),
        writer.delete(item),
        writer.copy(source),
    ):
        assert reply.status == 201
    assert seen.wrong == [], seen.wrong


def test_refusals_have_documented_statuses(exchanges, place):
    writer = place.writer
    storage = writer.uploaded("a.txt", place.id, b"x")
    seen = exchanges(writer)
    assert writer.item(place.id, "a.txt", storage).status == 201
    for reply in (
        writer.item(place.id, "a.txt", storage),
        writer.version("urn:adsk.wipprod:dm.lineage:none", "a.txt", storage),
        writer.folder("urn:adsk.wipprod:fs.folder:co.none", "inner"),
        writer.complete(storage, "no key", size=1),
        writer.details(f"{storage}x"),
    ):
        assert 400 <= reply.status < 500
    assert seen.wrong == [], seen.wrong


def test_the_object_storage(exchanges, place):
    writer = place.writer
    seen = exchanges(writer)
    storage = writer.storage("a.txt", place.id).json["data"]["id"]
    urls = writer.urls(storage, "?parts=2")
    writer.put(urls.json["urls"][0], b"x")
    assert writer.complete(storage, urls.json["uploadKey"], size=1).status == 200
    assert seen.wrong == [], seen.wrong


def test_what_is_sent_is_looked_at(contract, place, exchanges):
    """An emulator or a client that take other words than the documents would teach them."""
    writer = place.writer
    seen = exchanges(writer)
    body = {"jsonapi": {"version": "1.0"}, "data": {"type": "folder"}}
    path = f"/data/v1/projects/{place.project['id']}"
    assert writer.call("POST", f"{path}/folders", body).status == 400
    assert {each[1].rpartition("/")[2] for each in seen.wrong} == {"folders"}
    words = str(seen.wrong)
    assert "is not one of ['folders']" in words
    assert "'attributes' is a required property" in words
    for method, url, found in (
        ("GET", f"{path}/items/i?page=1", "no parameter page in the query"),
        ("GET", f"{path}/items/i/newest", "no such method and path"),
        ("DELETE", f"{path}/items/i", "no such method and path"),
        ("GET", "/oss/v2/buckets/b1c/objects/o/signeds3upload?parts=x",
         "parameter parts: 'x' is not of type 'integer'"),
        ("POST", "/oss/v2/buckets/b1c/objects/o/signeds3upload",
         "without the parameter Content-Type in the header"),
    ):  # fmt: skip
        assert found in contract.request_complaints(method, url, {}, None)


def test_a_place_without_its_version_is_refused(place, monkeypatch):
    """As the service does: ``jsonapi`` is no ornament."""
    writer = place.writer
    body = {"data": {"type": "objects", "attributes": {"name": "a.txt"},
                     "relationships": {"target": link("folders", place.id)}}}  # fmt: skip
    path = f"/data/v1/projects/{place.project['id']}/storage"
    assert writer.call("POST", path, body).status == 400
    assert writer.call("POST", path, {"jsonapi": {"version": "1.0"}, **body}).status == 201
