"""Uploads: from a storage location to an object whose bytes come back."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime

import pytest

from .client import Api, fetch
from .writer import MIB, Writer, md5


@pytest.fixture
def folder(facts):
    """Project and folder of the shared world; these tests leave orphaned storages only."""
    project = facts.project("Sample Project")
    return project["id"], facts.folder(project, "Project Files", "Documents")["id"]


@pytest.fixture
def writer(emulator, folder):
    return Writer(emulator, folder[0])


@pytest.fixture
def storage(writer, folder):
    return writer.storage("plan.dwg", folder[1]).json["data"]["id"]


def seconds_until(text):
    return datetime.fromisoformat(text).astimezone(UTC).timestamp() - time.time()


class TestStorage:
    def test_it_is_a_fresh_object_of_the_bucket_with_the_name_s_extension(self, writer, folder):
        replies = [writer.storage("plan.dwg", folder[1]) for _ in range(2)]
        assert [reply.status for reply in replies] == [201, 201]
        ids = [reply.json["data"]["id"] for reply in replies]
        assert ids[0] != ids[1]
        for id_ in ids:
            assert id_.startswith("urn:adsk.objects:os.object:wip.dm.prod/")
            assert id_.endswith(".dwg")

    def test_the_target_may_be_an_item(self, writer, sample):
        assert writer.storage("Minutes.txt", sample[2]["id"]).status == 201

    @pytest.mark.parametrize("name", ["", "x" * 256, "a/b.txt", "tab\there", "what?.txt"])
    def test_names_that_are_refused(self, writer, folder, name):
        assert writer.storage(name, folder[1]).status == 400

    def test_unknown_target(self, writer, folder):
        assert writer.storage("a.txt", folder[1] + "x").status == 404

    def test_a_document_is_wanted_in_its_own_content_type(self, writer):
        path = f"/data/v1/projects/{writer.project}/storage"
        body = {"jsonapi": {"version": "1.0"}, "data": {}}
        assert writer.call("POST", path, body, content_type="text/plain").status == 415
        assert writer.call("POST", path, body).status == 400
        assert writer.call("POST", path, [1]).status == 400

    def test_reading_s_scope_is_not_enough(self, emulator, folder):
        reader = Writer(emulator, folder[0], scope="data:read")
        assert reader.storage("a.txt", folder[1]).status == 401
        either = Writer(emulator, folder[0], scope="data:write")
        storage = either.storage("a.txt", folder[1])
        assert storage.status == 201
        assert either.urls(storage.json["data"]["id"]).status == 401, "signing needs both"


class TestUrls:
    def test_a_session_has_a_long_key_and_two_times(self, writer, storage):
        answer = writer.urls(storage, "?minutesExpiration=10").json
        assert len(answer["uploadKey"]) == 600
        assert len(answer["urls"]) == 1
        assert 590 < seconds_until(answer["urlExpiration"]) < 602
        assert 25.9 * 3600 < seconds_until(answer["uploadExpiration"]) < 26.1 * 3600

    @pytest.mark.parametrize(
        "query",
        ["?parts=26", "?parts=0", "?parts=x", "?firstPart=0", "?firstPart=9990&parts=12",
         "?minutesExpiration=61", "?minutesExpiration=0", "?useAcceleration=1"],
    )  # fmt: skip
    def test_parameters_out_of_range(self, writer, storage, query):
        assert writer.urls(storage, query).status == 400

    def test_a_key_of_several_parts_is_good_again_and_that_of_one_is_not(self, writer, storage):
        one = writer.urls(storage).json["uploadKey"]
        assert writer.urls(storage, f"?uploadKey={one}").status == 400
        many = writer.urls(storage, "?parts=2").json["uploadKey"]
        more = writer.urls(storage, f"?uploadKey={many}&parts=25&firstPart=3")
        assert more.status == 200
        assert more.json["uploadKey"] == many
        assert len(more.json["urls"]) == 25
        assert writer.urls(storage, f"?uploadKey={many}x").status == 400

    def test_only_whoever_made_the_place_may_fill_it(self, emulator, writer, storage):
        other = Writer(emulator, writer.project, user="BOBEMU000002")
        assert other.urls(storage).status == 403
        assert writer.urls(storage.replace(".dwg", "x.dwg")).status == 404

    def test_the_accelerated_host_may_be_another(self, emulator, writer, storage):
        emulator.settings(accelerate_base="http://127.0.0.1:9")
        assert writer.urls(storage).json["urls"][0].startswith("http://127.0.0.1:9/")
        plain = writer.urls(storage, "?useAcceleration=false").json["urls"][0]
        assert plain.startswith(emulator.cdn_url)

    def test_an_upload_has_its_end(self, emulator, writer, storage):
        emulator.settings(upload_ttl_s=0)
        session = writer.urls(storage, "?parts=2").json
        assert writer.put(session["urls"][0], b"x").status == 404
        assert writer.urls(storage, f"?uploadKey={session['uploadKey']}").status == 400
        assert writer.complete(storage, session["uploadKey"]).status == 400


class TestParts:
    def test_the_etag_is_the_md5(self, writer, storage):
        put = writer.put(writer.urls(storage).json["urls"][0], b"bytes")
        assert put.status == 200
        assert put.headers["etag"] == f'"{md5(b"bytes")}"'

    def test_or_something_opaque(self, emulator, writer, storage):
        emulator.settings(etag_form="opaque")
        put = writer.put(writer.urls(storage).json["urls"][0], b"bytes")
        assert put.headers["etag"] != f'"{md5(b"bytes")}"'

    def test_an_expired_url(self, emulator, writer, storage):
        url = writer.urls(storage).json["urls"][0]
        emulator.expire_urls()
        reply = writer.put(url, b"x")
        assert reply.status == 403
        assert b"Request has expired" in reply.body

    def test_a_url_that_was_tampered_with(self, writer, storage):
        url = writer.urls(storage, "?parts=2").json["urls"][0]
        reply = writer.put(url.replace("partNumber=1", "partNumber=2"), b"x")
        assert reply.status == 403
        assert b"SignatureDoesNotMatch" in reply.body

    def test_a_second_authorization_is_refused(self, writer, storage):
        url = writer.urls(storage).json["urls"][0]
        assert writer.put(url, b"x", {"Authorization": "Bearer x"}).status == 400

    def test_a_length_is_needed(self, writer, storage):
        url = writer.urls(storage).json["urls"][0]
        assert (
            writer.put(url, b"1\r\nx\r\n0\r\n\r\n", {"Transfer-Encoding": "chunked"}).status == 411
        )


class TestCompletion:
    def test_parts_become_an_object_in_their_order(self, emulator, writer, storage):
        bodies = [bytes([n]) * (5 * MIB) for n in range(2)] + [b"rest"]
        session = writer.urls(storage, "?parts=3").json
        tags = {
            n: writer.put(session["urls"][n], bodies[n]).headers["etag"].strip('"')
            for n in (2, 0, 1)
        }
        whole = b"".join(bodies)
        done = writer.complete(
            storage, session["uploadKey"], size=len(whole), eTags=[tags[n] for n in range(3)]
        )
        assert done.status == 200
        assert done.json["size"] == len(whole)
        assert done.json["objectId"] == storage
        details = writer.details(storage).json
        assert details["size"] == len(whole)
        assert details["sha1"] == hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        assert emulator.bytes(storage) == whole
        signed = writer.call("GET", f"{writer.object(storage)}/signeds3download").json
        assert signed["size"] == len(whole)
        start, stop = 5 * MIB - 2, 10 * MIB + 2
        part = fetch(signed["url"], headers={"Range": f"bytes={start}-{stop - 1}"})
        assert part.status == 206
        assert part.body == whole[start:stop]

    def test_an_empty_object(self, emulator, writer, folder):
        assert emulator.bytes(writer.uploaded("empty.txt", folder[1], b"")) == b""

    def test_a_part_that_is_sent_again_replaces_the_first(self, emulator, writer, storage):
        session = writer.urls(storage).json
        writer.put(session["urls"][0], b"first")
        writer.put(session["urls"][0], b"second")
        assert writer.complete(storage, session["uploadKey"]).status == 200
        assert emulator.bytes(storage) == b"second"
        sha1 = hashlib.sha1(b"second", usedforsecurity=False).hexdigest()
        assert writer.details(storage).json["sha1"] == sha1

    @pytest.mark.parametrize("status", [400, 200])
    def test_what_is_wrong_is_told_part_by_part(self, emulator, writer, storage, status):
        emulator.settings(failed_completion_status=status)
        session = writer.urls(storage, "?parts=4").json
        tag = md5(b"small")
        for url in session["urls"][:3]:
            writer.put(url, b"small")
        reply = writer.complete(
            storage, session["uploadKey"], size=99, eTags=[tag, "0" * 32, tag, tag]
        )
        assert reply.status == status
        body = reply.json
        assert (body["status"], body["reason"]) == ("error", "MissingOrInvalidParts")
        assert body["size"] == {"expected": 99, "detected": 15}
        states = [part["status"] for part in body["parts"]]
        assert states == ["TooSmall", "Unexpected+TooSmall", "Ok", "Pending"]
        assert writer.details(storage).status == 404

    def test_a_wrong_size_alone_leaves_the_parts_ok(self, writer, storage):
        session = writer.urls(storage).json
        writer.put(session["urls"][0], b"five!")
        reply = writer.complete(storage, session["uploadKey"], size=4)
        assert reply.status == 400
        assert [part["status"] for part in reply.json["parts"]] == ["Ok"]
        assert writer.complete(storage, session["uploadKey"], size=5).status == 200

    def test_nothing_was_sent(self, writer, storage):
        key = writer.urls(storage).json["uploadKey"]
        assert writer.complete(storage, key, size=0).json["parts"][0]["status"] == "Pending"

    def test_a_finished_object_is_not_finished_again(self, writer, folder):
        storage = writer.uploaded("a.txt", folder[1], b"x")
        session = writer.urls(storage).json
        writer.put(session["urls"][0], b"y")
        assert writer.complete(storage, session["uploadKey"], size=1).status == 400

    def test_the_content_type_is_exactly_json(self, writer, storage):
        path = f"{writer.object(storage)}/signeds3upload"
        for kind in ("application/vnd.api+json", "application/json; charset=utf-8"):
            assert writer.call("POST", path, {"uploadKey": "x"}, content_type=kind).status == 400


def test_a_copy_within_the_bucket_needs_no_bytes(emulator, writer, storage, sample):
    source = sample[2]["versions"][-1]["storage"]
    key = storage.rpartition("/")[2]
    reply = writer.call("PUT", f"{writer.object(source)}/copyto/{key}")
    assert reply.status == 200
    assert emulator.sha256(storage) == emulator.sha256(source)
    assert writer.call("PUT", f"{writer.object(source)}/copyto/unknown.txt").status == 404


def test_published_limits_of_the_calls(emulator, writer, folder):
    emulator.settings(rate_limits=0.01)
    assert writer.storage("a.txt", folder[1]).status == 201
    assert [writer.storage("a.txt", folder[1]).status for _ in range(3)] == [201, 201, 429]
    path = f"/data/v1/projects/{writer.project}/items"
    assert [writer.call("POST", path, {}).status for _ in range(2)] == [400, 429]


def test_an_app_of_its_own_may_write_too(emulator, folder):
    api = Api(emulator, scope="data:read data:create data:write")
    body = {
        "jsonapi": {"version": "1.0"},
        "data": {
            "type": "objects", "attributes": {"name": "a.txt"},
            "relationships": {"target": {"data": {"type": "folders", "id": folder[1]}}},
        },
    }  # fmt: skip
    assert api.post(f"/data/v1/projects/{folder[0]}/storage", body).status == 201
