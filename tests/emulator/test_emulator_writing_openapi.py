"""Answers to writing calls against Autodesk's own OpenAPI files, where they lie here."""

from __future__ import annotations

import pytest

from .test_emulator_openapi import SPECS, WRONG, documents, unexplained
from .writer import link

pytestmark = pytest.mark.skipif(SPECS is None, reason="the OpenAPI files are not here")
__all__ = ["documents"]


@pytest.fixture(params=["place", "team"])
def either(request):
    """In a project of either kind."""
    return request.getfixturevalue(request.param)


def test_the_data_service(documents, either):
    writer, spec = either.writer, documents["datamanagement"]
    storage = writer.storage("a.txt", either.id)
    item = writer.item(either.id, "a.txt", writer.uploaded("a.txt", either.id, b"x"))
    item_id = item.json["data"]["id"]
    answers = [
        ("Storage", storage),
        ("CreatedItem", item),
        ("CreatedVersion", writer.save(item_id, "a.txt", b"y")),
        ("Folder", writer.folder(either.id, "inner")),
        ("Folder", writer.patch(either.id, name=f"{either.name} renamed")),
        ("FolderContents", writer.data("GET", f"folders/{either.id}/contents")),
        ("Item", writer.data("GET", f"items/{item_id}")),
        ("Versions", writer.data("GET", f"items/{item_id}/versions")),
    ]  # fmt: skip
    bad = {}
    for schema, reply in answers:
        assert reply.status in (200, 201), (schema, reply.body)
        if found := unexplained(spec, schema, reply.json, WRONG):
            bad[schema] = found
    assert not bad


def test_permissions(documents, either):
    reply = either.writer.data("POST", "commands", {
        "type": "commands",
        "attributes": {"extension": {
            "type": "commands:autodesk.core:CheckPermission", "version": "1.0.0",
            "data": {"requiredActions": ["upload"]},
        }},
        "relationships": {"resources": {"data": [link("folders", either.id)["data"]]}},
    })  # fmt: skip
    assert not unexplained(documents["datamanagement"], "CheckPermission", reply.json["data"])


def test_deletion_and_renaming(documents, place):
    writer, spec = place.writer, documents["datamanagement"]
    item = writer.new_file(place.id, "a.txt", b"x")
    source = place.item(item)["included"][0]["id"]
    for reply in (
        writer.copy(source, {"attributes": {"name": "b.txt"}}),
        writer.delete(item),
        writer.copy(source),
    ):
        assert reply.status == 201
        assert not unexplained(spec, "CreatedVersion", reply.json, WRONG)


def test_the_object_storage(documents, place):
    writer, spec = place.writer, documents["oss"]
    storage = writer.storage("a.txt", place.id).json["data"]["id"]
    urls = writer.urls(storage, "?parts=2")
    assert not unexplained(spec, "signeds3upload_response", urls.json)
    writer.put(urls.json["urls"][0], b"x")
    done = writer.complete(storage, urls.json["uploadKey"], size=1)
    assert done.status == 200
    assert not unexplained(spec, "objectDetails", done.json)


@pytest.mark.parametrize("without", [None, "jsonapi"])
def test_what_the_tests_send_is_what_is_documented(documents, place, monkeypatch, without):
    """The writer's own bodies: an emulator that takes other ones would teach a wrong thing."""
    sent = []
    writer = place.writer
    true_call = writer.call

    def call(method, path, body=None, **options):
        sent.append((path.rpartition("/")[2], body))
        if without and body:
            body = {key: value for key, value in body.items() if key != without}
        return true_call(method, path, body, **options)

    monkeypatch.setattr(writer, "call", call)
    storage = writer.storage("a.txt", place.id)
    if without:
        assert storage.status == 400
        return
    item = writer.new_file(place.id, "a.txt", b"x")
    writer.save(item, "a.txt", b"y")
    writer.folder(place.id, "inner")
    schemas = {
        "storage": "StoragePayload", "items": "ItemPayload", "versions": "VersionPayload",
        "folders": "FolderPayload",
    }  # fmt: skip
    found = {
        path: unexplained(documents["datamanagement"], schemas[path], body)
        for path, body in sent if path in schemas
    }  # fmt: skip
    assert found == {path: [] for path in schemas}
