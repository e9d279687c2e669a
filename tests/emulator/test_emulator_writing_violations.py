"""What clients must not do is counted, what they may do is not; and what there is to look at."""

from __future__ import annotations

import hashlib
import http.client
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dmfs.emulator.writing.looks import Looks

from .client import fetch
from .place import BOB
from .writer import MIB, md5

BROKEN = (ConnectionError, http.client.BadStatusLine)


@pytest.fixture
def item(writer, place):
    return writer.new_file(place.id, "a.txt", b"one")


@pytest.fixture
def counted(place):
    """Violations by kind."""
    return place.emulator.violations


def test_a_proper_save_is_none(writer, place, item, counted):
    assert writer.save(item, "a.txt", b"two").status == 201
    writer.listing(place.id)
    writer.copy(place.item(item)["included"][0]["id"], {"attributes": {"name": "b.txt"}})
    writer.delete(item)
    assert counted() == {}


class TestUsedStorage:
    def test_after_the_answer(self, writer, place, counted):
        storage = writer.uploaded("a.txt", place.id, b"x")
        writer.item(place.id, "a.txt", storage)
        writer.item(place.id, "b.txt", storage)
        assert counted() == {"used_storage_posted": 1}

    def test_not_where_the_answer_was_lost(self, writer, place, counted):
        storage = writer.uploaded("a.txt", place.id, b"x")
        place.emulator.fault("reset_before_headers", route="items_post")
        with pytest.raises(BROKEN):
            writer.item(place.id, "a.txt", storage)
        writer.listing(place.id)
        assert writer.item(place.id, "a.txt", storage).status == 400
        assert counted() == {}

    def test_not_where_the_first_one_has_its_effect_late(self, writer, place, counted):
        storage = writer.uploaded("a.txt", place.id, b"x")
        place.emulator.fault("late_effect", route="items_post", seconds=0.05)
        with pytest.raises(BROKEN):
            writer.item(place.id, "a.txt", storage)
        writer.listing(place.id)
        assert writer.item(place.id, "a.txt", storage).status == 201
        time.sleep(0.1)
        writer.listing(place.id)
        assert counted() == {}


class TestMovedTip:
    @pytest.mark.parametrize("look", ["item", "listing"])
    def test_seen_and_overwritten(self, writer, place, item, counted, look):
        storage = writer.uploaded("a.txt", item, b"ours")
        place.change("new_version", "a.txt", text="theirs")
        place.item(item) if look == "item" else writer.listing(place.id)
        writer.version(item, "a.txt", storage)
        assert counted() == {"moved_tip_overwritten": 1}

    def test_not_seen(self, writer, place, item, counted):
        storage = writer.uploaded("a.txt", item, b"ours")
        place.item(item)
        place.change("new_version", "a.txt", text="theirs")
        writer.version(item, "a.txt", storage)
        assert counted() == {}

    @pytest.mark.parametrize(("orders", "count"), [(["rename"], 0), (["new_version", "rename"], 1)])
    def test_another_name_hides_no_bytes(self, writer, place, item, counted, orders, count):
        storage = writer.uploaded("a.txt", item, b"ours")
        for op in orders:
            name = "a.txt" if op == "new_version" else "b.txt"
            place.emulator.change(op, path=f"{place.path}/a.txt", name=name)
        place.item(item)
        assert writer.version(item, "a.txt", storage).status == 201
        assert counted().get("moved_tip_overwritten", 0) == count

    def test_seen_before_the_upload_began(self, writer, bob, place, item, counted):
        assert bob.save(item, "a.txt", b"theirs").status == 201
        place.item(item)
        assert writer.save(item, "a.txt", b"ours").status == 201
        assert counted() == {}

    def test_what_a_listing_does_not_show_yet_is_not_seen_in_it(
        self, writer, place, bob, item, counted
    ):
        storage = writer.uploaded("a.txt", item, b"ours")
        place.emulator.settings(list_lag_s=60)
        bob.save(item, "a.txt", b"theirs")
        writer.listing(place.id)
        writer.version(item, "a.txt", storage)
        assert counted() == {}


@pytest.mark.parametrize(
    ("name", "count"),
    [
        (".~lock.a.odt#", 1), ("lu1234.tmp", 1), ("~$a.docx", 1), ("a.dwl2", 1), ("sedAb12Cd", 1),
        (".a.txt.Ab12Cd", 1), ("ziAb12Cd", 1), ("#a.txt#", 1), ("4913", 1), ("a.blend1", 1),
        ("a.tmp", 0), ("a.bak", 0), ("a.dwg", 0), ("sediment", 0), ("a.blend", 0),
    ],
)  # fmt: skip
def test_local_names(writer, place, counted, name, count):
    for refused in '<>:"/\\|?*':
        assert refused not in name
    writer.new_file(place.id, name, b"x")
    assert counted().get("local_name_created", 0) == count


def test_local_names_of_one_s_own(writer, place, item, counted):
    place.emulator.settings(local_names=["*.draft"])
    writer.new_file(place.id, "4913", b"x")
    writer.folder(place.id, "x.draft")
    writer.save(item, "y.draft.txt", b"two")
    assert counted() == {"local_name_created": 1}


class TestParts:
    @pytest.fixture
    def session(self, writer, place):
        storage = writer.storage("a.bin", place.id).json["data"]["id"]
        return storage, writer.urls(storage, "?parts=2").json

    def test_sent_again_although_accepted(self, writer, session, counted):
        for _ in range(2):
            writer.put(session[1]["urls"][0], b"x")
        assert counted() == {"part_sent_again": 1}

    @pytest.mark.parametrize("kind", ["slow_down", "corrupt_upload", "reset_before_headers"])
    def test_again_with_reason(self, writer, place, session, counted, kind):
        place.emulator.fault(kind, route="cdn_put")
        try:
            writer.put(session[1]["urls"][0], b"x")
        except BROKEN:
            pass
        assert writer.put(session[1]["urls"][0], b"x").status == 200
        assert counted() == {}

    @pytest.mark.parametrize("given", [{}, {"size": 1}, {"eTags": [md5(b"x")]}])
    def test_completed_unchecked(self, writer, session, counted, given):
        writer.put(session[1]["urls"][0], b"x")
        assert writer.complete(session[0], session[1]["uploadKey"], **given).status == 200
        assert counted() == {"completion_unchecked": 1}

    def test_a_token_at_the_storage(self, writer, session, counted):
        headers = {"Authorization": "Bearer x"}
        writer.put(session[1]["urls"][0], b"x", headers)
        fetch(session[1]["urls"][0], headers=headers)
        assert counted() == {"authorization_at_storage": 2}


class TestRepeated:
    @pytest.fixture
    def lost(self, writer, place):
        """A POST of a new item whose answer did not arrive."""
        storage = writer.uploaded("a.txt", place.id, b"x")
        place.emulator.fault("reset_before_headers", route="items_post")
        with pytest.raises(BROKEN):
            writer.item(place.id, "a.txt", storage)
        return lambda: writer.item(place.id, "a.txt", storage)

    def test_without_a_look(self, lost, counted):
        lost()
        assert counted() == {"repeated_without_look": 1}

    def test_after_a_look_at_it(self, writer, place, lost, counted):
        writer.listing(place.id)
        lost()
        assert counted() == {}

    def test_a_look_elsewhere_does_not_count(self, writer, place, lost, counted):
        writer.listing(place.parent)
        lost()
        assert counted() == {"repeated_without_look": 1}

    def test_a_look_that_was_refused_is_none(self, writer, place, lost, counted):
        place.emulator.settings(rate_limits=0.001)
        assert [writer.data("GET", f"folders/{place.parent}/contents").status] == [200]
        assert writer.data("GET", f"folders/{place.id}/contents").status == 429
        place.emulator.settings(rate_limits="off")
        lost()
        assert counted() == {"repeated_without_look": 1}

    def test_a_look_while_the_answer_hangs(self, writer, place, counted):
        """Its client may be faster than the one who spoils the answer."""
        storage = writer.uploaded("a.txt", place.id, b"x")
        place.emulator.fault("stall_before_headers", route="items_post", seconds=0.2)
        with ThreadPoolExecutor(1) as others:
            lost = others.submit(writer.item, place.id, "a.txt", storage)
            while not writer.listing(place.id) and not lost.done():
                pass
            writer.listing(place.id)
            lost.result()
        writer.item(place.id, "a.txt", storage)
        assert counted() == {}

    def test_what_was_true_before_it_was_lost_is_no_look(self):
        looks, who = Looks(), ("app", "user")
        looks.lose(who, "items_post a", ["folder"])
        looks.look(who, ["folder"], at_s=1.0)
        lost = looks.found(who, "items_post a")
        assert lost is not None
        assert not lost.looked

    def test_a_look_counts_from_when_its_answer_may_be_there(self):
        """Its client may repeat the call before the task that sends the answer goes on."""
        looks, who = Looks(), ("app", "user")
        looks.lose(who, "complete a", ["a"])
        with looks.handing_over(who, ["a"], time.time()):
            lost = looks.found(who, "complete a")
        assert lost is not None
        assert lost.looked

    def test_a_look_whose_answer_is_cut_is_none(self):
        looks, who = Looks(), ("app", "user")
        looks.lose(who, "complete a", ["a"])
        with pytest.raises(ConnectionError), looks.handing_over(who, ["a"], time.time()):
            raise ConnectionError
        lost = looks.found(who, "complete a")
        assert lost is not None
        assert not lost.looked

    def test_long_after(self, place, lost, counted):
        place.emulator.settings(lost_look_s=0)
        lost()
        assert counted() == {}

    def test_an_answer_of_5xx_says_nothing_either(self, writer, place, item, counted):
        place.emulator.fault("status", route="versions_post", status=502)
        storage = writer.uploaded("a.txt", item, b"two")
        writer.version(item, "a.txt", storage)
        assert writer.version(item, "a.txt", storage).status == 201
        assert counted() == {"repeated_without_look": 1}

    def test_one_of_429_does(self, writer, place, item, counted):
        place.emulator.fault("status", route="versions_post", status=429)
        storage = writer.uploaded("a.txt", item, b"two")
        writer.version(item, "a.txt", storage)
        assert writer.version(item, "a.txt", storage).status == 201
        assert counted() == {}


def test_a_version_like_the_one_before(writer, place, item, counted):
    writer.save(item, "a.txt", b"one")
    assert counted() == {"same_bytes_version": 1}
    writer.save(item, "a.txt", b"two")
    assert counted() == {"same_bytes_version": 1}
    row = place.emulator.control("GET", "violations")["violations"][0]
    assert (row["item"], row["number"], row["user"]) == (item, 2, "ADAEMU000001")


class TestViews:
    def test_a_timeline(self, writer, bob, place, item):
        bob.save(item, "a.txt", b"second")
        rows = place.emulator.timeline(path=f"{place.path}/a.txt")
        assert [(r["number"], r["user"], r["size"], r["sha256"]) for r in rows] == [
            (1, "ADAEMU000001", 3, hashlib.sha256(b"one").hexdigest()),
            (2, BOB, 6, hashlib.sha256(b"second").hexdigest()),
        ]
        writer.delete(item)
        last = place.emulator.timeline(id=item)[-1]
        assert (last["deleted"], last["size"], last["sha256"]) == (True, None, None)

    def test_sessions_and_orphans(self, writer, place):
        storage = writer.storage("big.bin", place.id).json["data"]["id"]
        session = writer.urls(storage, "?parts=3").json
        writer.put(session["urls"][1], bytes(MIB))
        done = writer.uploaded("done.bin", place.id, b"four")
        writes = place.emulator.writes()
        ours = next(each for each in writes["sessions"] if each["storage"] == storage)
        assert (ours["bytes"], ours["parts"], ours["multipart"]) == (MIB, {"2": MIB}, True)
        assert done not in [each["storage"] for each in writes["sessions"]]
        orphans = {each["storage"]: each for each in writes["orphans"]}
        assert not orphans[storage]["complete"]
        assert (orphans[done]["complete"], orphans[done]["size"]) == (True, 4)
        writer.item(place.id, "done.bin", done)
        assert done not in [each["storage"] for each in place.emulator.writes()["orphans"]]

    def test_events_in_their_order(self, writer, place, item):
        place.change("new_version", "a.txt")
        writer.folder(place.id, "inner")
        writer.delete(item)
        events = [e for e in place.emulator.writes()["events"] if e["folder"] == place.id]
        assert [e["what"] for e in events] == ["new_item", "new_version", "new_folder", "delete"]
        assert [e["client"] for e in events][:2] == ["emulator-desktop", None]
