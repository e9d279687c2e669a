"""Faults of writing calls: nothing done, done and not told, done later; and spoilt parts."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time

import pytest

from dmfs.emulator.process import EmulatorError

from .writer import MIB, md5

BROKEN = (ConnectionError, http.client.BadStatusLine, http.client.IncompleteRead)


def until(holds):
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline


def sending(writer, place, name="a.txt", body=b"x"):
    """A POST of a new item, its upload already done."""
    storage = writer.uploaded(name, place.id, body)
    return lambda: writer.item(place.id, name, storage)


class TestLostAnswers:
    def test_before_the_effect(self, writer, place):
        post = sending(writer, place)
        place.emulator.fault("reset_before_effect", route="items_post")
        with pytest.raises(BROKEN):
            post()
        assert writer.listing(place.id) == {}
        assert post().status == 201

    def test_after_the_effect(self, writer, place):
        post = sending(writer, place)
        place.emulator.fault("reset_before_headers", route="items_post")
        with pytest.raises(BROKEN):
            post()
        assert list(writer.listing(place.id)) == ["a.txt"]
        assert post().status == 400

    def test_the_effect_comes_late(self, writer, place):
        post = sending(writer, place)
        place.emulator.fault("late_effect", route="items_post", seconds=3600)
        with pytest.raises(BROKEN):
            post()
        assert writer.listing(place.id) == {}
        place.emulator.fault("late_effect", route="items_post", seconds=0.02)
        with pytest.raises(BROKEN):
            post()
        until(lambda: list(writer.listing(place.id)) == ["a.txt"])

    @pytest.mark.parametrize(
        ("after", "shown"), [(False, []), (True, ["a.txt"])], ids=["before", "after"]
    )
    @pytest.mark.parametrize("kind", ["status", "malformed_json"])
    def test_another_answer_before_or_after_the_effect(self, writer, place, kind, after, shown):
        post = sending(writer, place)
        place.emulator.fault(kind, route="items_post", status=503, after_effect=after)
        assert post().status == (503 if kind == "status" else 200)
        assert list(writer.listing(place.id)) == shown

    def test_a_stall_before_the_effect(self, writer, place):
        post = sending(writer, place)
        place.emulator.fault("stall_before_effect", route="items_post", seconds=0.02)
        assert post().status == 201
        place.emulator.fault("stall_before_effect", route="folders_post", seconds=None)

        def wait_for_nothing():
            with contextlib.suppress(OSError):
                writer.folder(place.id, "inner")

        threading.Thread(target=wait_for_nothing, daemon=True).start()
        until(lambda: place.emulator.faults()[1]["hits"] == 1)
        assert list(writer.listing(place.id)) == ["a.txt"]

    def test_an_answer_in_words_of_one_s_own(self, writer, place):
        place.emulator.fault(
            "status", route="items_post", status=409, code="C", title="T", detail="D"
        )
        error = sending(writer, place)().json["errors"][0]
        assert (error["code"], error["title"], error["detail"]) == ("C", "T", "D")

    def test_only_where_the_body_has_a_text(self, writer, place):
        place.emulator.fault("status", route="items_post", body='"b.txt"', status=500)
        assert sending(writer, place, "a.txt")().status == 201
        assert sending(writer, place, "b.txt")().status == 500


class TestParts:
    @pytest.fixture
    def storage(self, writer, place):
        return writer.storage("a.bin", place.id).json["data"]["id"]

    @pytest.mark.parametrize(
        ("kind", "status", "code"),
        [("request_timeout", 400, b"RequestTimeout"), ("slow_down", 503, b"SlowDown")],
    )
    def test_refusals_of_the_storage(self, writer, place, storage, kind, status, code):
        place.emulator.fault(kind, route="cdn_put")
        url = writer.urls(storage).json["urls"][0]
        reply = writer.put(url, b"x")
        assert reply.status == status
        assert code in reply.body
        assert writer.put(url, b"x").status == 200

    def test_a_byte_goes_wrong_on_the_way(self, writer, place, storage):
        place.emulator.fault("corrupt_upload", route="cdn_put")
        session = writer.urls(storage).json
        tag = writer.put(session["urls"][0], b"bytes").headers["etag"].strip('"')
        assert tag != md5(b"bytes")
        assert writer.complete(storage, session["uploadKey"], eTags=[md5(b"bytes")]).status == 400
        assert writer.complete(storage, session["uploadKey"], size=5).status == 200
        assert place.emulator.bytes(storage) == b"by\x8bes"

    def test_no_etag(self, writer, place, storage):
        place.emulator.fault("no_etag", route="cdn_put")
        assert "etag" not in writer.put(writer.urls(storage).json["urls"][0], b"x").headers

    def test_the_connection_breaks_in_the_middle(self, writer, place, storage):
        place.emulator.fault("reset_mid_upload", route="cdn_put", after_bytes=MIB)
        session = writer.urls(storage).json
        with pytest.raises(BROKEN):
            writer.put(session["urls"][0], bytes(16 * MIB))
        last = place.emulator.calls()["log"][-1]
        assert (last["route"], last["status"]) == ("cdn_put", 0)
        assert last["fault"] == "reset_mid_upload"
        assert writer.complete(storage, session["uploadKey"]).status == 400
        assert writer.put(session["urls"][0], b"x").status == 200

    def test_it_stalls_in_the_middle(self, writer, place, storage):
        place.emulator.fault("stall_mid_upload", route="cdn_put", seconds=0.1)
        assert writer.put(writer.urls(storage).json["urls"][0], bytes(MIB)).status == 200
        assert place.emulator.faults()[0]["hits"] == 1

    def test_a_link_has_its_speed(self, writer, place, storage):
        place.emulator.settings(cdn_put_bytes_per_s=1e6)
        url = writer.urls(storage).json["urls"][0]
        began = time.monotonic()
        assert writer.put(url, bytes(100_000)).status == 200
        assert time.monotonic() - began >= 0.1

    def test_a_size_that_is_wrong(self, writer, place, storage):
        place.emulator.fault("wrong_size", route="complete", by=2)
        session = writer.urls(storage).json
        writer.put(session["urls"][0], b"x")
        assert writer.complete(storage, session["uploadKey"], size=1).json["size"] == 3


class TestWhatIsShown:
    def test_an_entry_that_flickers(self, writer, place):
        writer.new_file(place.id, "a.txt", b"x")
        writer.new_file(place.id, "b.txt", b"x")
        writer.folder(place.id, "inner")
        place.emulator.fault("missing_row", route="contents", name="a.txt")
        assert set(writer.listing(place.id)) == {"b.txt", "inner"}
        assert set(writer.listing(place.id)) == {"a.txt", "b.txt", "inner"}

    def test_listings_lag_behind(self, writer, place):
        item = writer.new_file(place.id, "a.txt", b"one")
        place.emulator.settings(list_lag_s=3600)
        assert writer.save(item, "b.txt", b"two").status == 201
        new = writer.new_file(place.id, "new.txt", b"x")
        writer.folder(place.id, "inner")
        names = writer.listing(place.id)
        assert {name: row["versionNumber"] for name, row in names.items()} == {"a.txt": 1}
        assert place.item(item)["included"][0]["attributes"]["versionNumber"] == 2
        assert place.item(new)["data"]["attributes"]["displayName"] == "new.txt"
        place.emulator.settings(list_lag_s=0.02)
        writer.save(item, "c.txt", b"three")
        until(lambda: set(writer.listing(place.id)) == {"c.txt"})

    def test_a_deletion_lags_too(self, writer, place):
        item = writer.new_file(place.id, "a.txt", b"one")
        other = writer.new_file(place.id, "b.txt", b"one")
        place.emulator.settings(list_lag_s=3600)
        assert writer.delete(item).status == 201
        assert set(writer.listing(place.id)) == {"a.txt", "b.txt"}
        place.emulator.settings(list_lag_s=0.02)
        assert writer.delete(other).status == 201
        until(lambda: set(writer.listing(place.id)) == {"a.txt"})

    def test_the_sha1_comes_later(self, writer, place):
        place.emulator.settings(sha1_lag_s=3600)
        storage = writer.uploaded("a.txt", place.id, b"x")
        assert "sha1" not in writer.details(storage).json
        place.emulator.settings(sha1_lag_s=0.02)
        storage = writer.uploaded("a.txt", place.id, b"x")
        until(lambda: "sha1" in writer.details(storage).json)

    def test_the_object_moves_when_it_is_used(self, writer, place):
        place.emulator.settings(storage_moves=True)
        storage = writer.uploaded("a.txt", place.id, b"bytes")
        assert ":wip.dm.prod.temp/" in storage
        assert writer.item(place.id, "a.txt", storage).status == 201
        moved = writer.listing(place.id)["a.txt"]["storage"]
        assert ":wip.dm.prod/" in moved
        assert place.emulator.bytes(moved) == b"bytes"
        assert writer.item(place.id, "b.txt", storage).status == 400


def test_orders_that_make_no_sense(place):
    for order in ({"when": "during"}, {"match": {"rout": "x"}}, {"changes": 5}, {"odd": 1}):
        with pytest.raises(EmulatorError):
            place.emulator.control("POST", "races", {"change": {"op": "hide"}} | order)
    with pytest.raises(EmulatorError):
        place.emulator.control("POST", "races", {})
