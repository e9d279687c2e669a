"""What others do just before or after a call."""

from __future__ import annotations

import pytest

from .place import BOB


@pytest.fixture
def item(writer, place):
    return writer.new_file(place.id, "a.txt", b"one")


def order(place, op, name="a.txt", **fields):
    return {"op": op, "path": place.path + (f"/{name}" if name else ""), **fields}


def test_a_second_writer_between_the_look_and_the_post(writer, place, item):
    place.emulator.race("versions_post", order(place, "new_version", text="theirs"))
    reply = writer.save(item, "a.txt", b"ours")
    assert reply.status == 201
    assert reply.json["data"]["attributes"]["versionNumber"] == 3
    rows = place.emulator.timeline(id=item)
    assert [(row["number"], row["user"]) for row in rows] == [
        (1, "ADAEMU000001"), (2, BOB), (3, "ADAEMU000001")
    ]  # fmt: skip


def test_or_just_after_it(writer, place, item):
    place.emulator.race("versions_post", order(place, "new_version", text="theirs"), when="after")
    assert writer.save(item, "a.txt", b"ours").json["data"]["attributes"]["versionNumber"] == 2
    assert place.versions(item)[0][0] == 3


@pytest.mark.parametrize(
    ("change", "status"),
    [({"op": "reserve"}, 403), ({"op": "hide"}, 400), ({"op": "revoke"}, 403)],
    ids=str,
)
def test_something_comes_between(writer, place, item, change, status):
    place.emulator.race("versions_post", order(place, **change))
    assert writer.save(item, "a.txt", b"ours").status == status
    assert place.emulator.races()[0]["trouble"] is None


def test_a_folder_goes_and_a_right_is_lost(writer, place, item):
    place.emulator.race("versions_post", order(place, "level", "", user="*", level="view"))
    assert writer.save(item, "a.txt", b"ours").status == 403
    place.change("level", user="*", level=None)
    place.emulator.race("versions_post", order(place, "delete_folder", ""))
    assert writer.save(item, "a.txt", b"ours").status == 404


def test_the_third_of_these_calls_and_several_changes(writer, place, item):
    place.emulator.race(
        "versions_post", order(place, "new_version"), order(place, "new_version"), skip=2
    )
    numbers = [
        writer.save(item, "a.txt", bytes([n])).json["data"]["attributes"]["versionNumber"]
        for n in range(4)
    ]
    assert numbers == [2, 3, 6, 7]


def test_only_calls_about_one_thing(writer, place, item):
    other = writer.new_file(place.id, "b.txt", b"one")
    place.emulator.race("versions_post", order(place, "new_version"), body=item)
    assert writer.save(other, "b.txt", b"x").json["data"]["attributes"]["versionNumber"] == 2
    assert place.emulator.races()[0]["hits"] == 0
    assert writer.save(item, "a.txt", b"x").json["data"]["attributes"]["versionNumber"] == 3


def test_tokens_urls_settings_and_faults(writer, place, item):
    place.emulator.race("upload_urls", {"op": "expire_urls"}, when="after")
    storage = writer.storage("a.txt", item).json["data"]["id"]
    assert writer.put(writer.urls(storage).json["urls"][0], b"x").status == 403
    place.emulator.race("storage", {"op": "settings", "lock_status": 423})
    place.emulator.race("storage", {"op": "fault", "kind": "status", "match": {"route": "item"}})
    assert writer.storage("a.txt", item).status == 201
    assert place.emulator.settings()["lock_status"] == 423
    assert writer.data("GET", f"items/{item}").status == 500
    place.emulator.race("storage", {"op": "expire_uploads"}, when="after")
    session = writer.urls(storage, "?parts=2").json
    writer.storage("a.txt", item)
    assert writer.urls(storage, f"?uploadKey={session['uploadKey']}").status == 400
    place.emulator.race("storage", {"op": "expire_tokens"})
    assert writer.storage("a.txt", item).status == 401


def test_what_cannot_be_done_is_said(writer, place, item):
    place.emulator.race("storage", order(place, "hide", "no such thing"))
    assert writer.storage("a.txt", item).status == 201
    assert "no such thing" in place.emulator.races()[0]["trouble"]
