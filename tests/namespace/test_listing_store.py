"""Listings at rest: what comes back, what is a miss, and that no pickle is ever opened."""

from __future__ import annotations

import os
import pickle
import sqlite3
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import dmfs.namespace.listing_store
import dmfs.system.clock
from dmfs.model import Folder, FolderId, HubId, Project, ProjectId, Root, Shortcut
from dmfs.namespace.listing_codec import FORMAT_VERSION, BadRecordError, Record, decode, encode
from dmfs.namespace.listing_store import ListingStore
from dmfs.system.clock import Moment
from tests.support.helpers import a_file, real

PLACE = Folder(FolderId("folder"), ProjectId("b.project"), HubId("b.hub"), "Plans", rollup_ns=7)
LINK = Shortcut(
    item_id="item", version_id=None, folder_id="folder", project_id="b.project", hub_id="b.hub",  # type: ignore[arg-type]
    name="x.url", body=b"\xff\x00",
)  # fmt: skip
SUB = Folder(FolderId("sub"), ProjectId("b.project"), HubId("b.hub"), "Sub", object_count=3)


def a_record(**fields: Any) -> Record:
    entries = {"a\udcff.dwg": a_file("a"), "Sub": SUB, "x.url": LINK, "none": a_file("n", None)}
    values: dict[str, Any] = {
        "moment": Moment.now(), "directory": PLACE, "parent": "project b.hub b.project",
        "rollup_ns": 7, "warnings": ("careful",), "entries": entries,
    }  # fmt: skip
    return Record(**values | fields)


def test_a_listing_comes_back_as_it_was() -> None:
    for directory in (PLACE, Root(), Project(ProjectId("p"), HubId("h"), "P")):
        record = a_record(directory=directory)
        again = decode(encode(record))
        assert again == record
        assert list(again.entries) == list(record.entries)


@given(st.data())
def test_a_damaged_record_is_a_bad_record(data) -> None:
    raw = encode(a_record(moment=Moment((1.0, "boot", 2.0))))
    at = data.draw(st.integers(0, len(raw) - 1))
    damaged = data.draw(
        st.sampled_from([raw[:at], raw[:at] + raw[at + 1 :], raw[:at] + b"null" + raw[at:]])
    )
    try:
        found = decode(damaged)
    except BadRecordError:
        return
    for name, child in found.entries.items():  # damage inside a text cannot be told
        assert isinstance(name, str)
        assert isinstance(child.name, str)


@real
async def test_what_is_foreign_or_damaged_is_a_miss(tmp_path) -> None:
    kept = ListingStore(tmp_path, "me")
    await kept.save(a_record())
    assert (await kept.load(PLACE.identity)) is not None
    assert await ListingStore(tmp_path, "somebody else").load(PLACE.identity) is None
    kept.close()
    db = sqlite3.connect(tmp_path / f"listings/v{FORMAT_VERSION}" / "cache.db")
    db.execute("UPDATE Cache SET value = ?, mode = 1", (b"junk",))
    db.commit()
    assert await ListingStore(tmp_path, "me").load(PLACE.identity) is None

    class Bomb:
        def __reduce__(self) -> Any:
            return pytest.fail, ("a pickle was opened",)

    db.execute("UPDATE Cache SET value = ?, mode = 4", (pickle.dumps(Bomb()),))
    db.commit()
    db.close()
    assert await ListingStore(tmp_path, "me").load(PLACE.identity) is None


@real
async def test_what_another_version_wrote_is_discarded(tmp_path) -> None:
    old = tmp_path / "listings" / "v0"
    old.mkdir(parents=True)
    (old / "cache.db").write_bytes(b"whatever")
    kept = ListingStore(tmp_path, "me")
    await kept.save(a_record())
    kept.close()
    assert not old.exists()


@real
async def test_a_damaged_database_is_begun_anew(tmp_path) -> None:
    place = tmp_path / f"listings/v{FORMAT_VERSION}"
    place.mkdir(parents=True)
    (place / "cache.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    kept = ListingStore(tmp_path, "me")
    await kept.save(a_record())
    assert await kept.load(PLACE.identity) is not None
    kept.close()


def test_a_filesystem_is_known_by_its_name() -> None:
    fd = os.open("/proc", os.O_RDONLY)
    try:
        assert dmfs.namespace.listing_store._filesystem(fd) == "proc"
    finally:
        os.close(fd)


@real
@pytest.mark.parametrize("near", [True, False], ids=["near", "far"])
async def test_a_lock_holds_off_others(tmp_path, monkeypatch, near) -> None:
    if not near:
        monkeypatch.setattr(dmfs.namespace.listing_store, "LOCAL", frozenset())
    one, two = ListingStore(tmp_path, "me"), ListingStore(tmp_path, "me")
    async with one.lock("a"):
        async with two.lock("b"):
            pass
        with trio.move_on_after(0.2) as scope:
            async with two.lock("a"):
                pytest.fail("two have it")
        assert scope.cancelled_caught
    async with two.lock("a"):
        pass
    one.close()
    two.close()


def test_the_boot_clock_dates_a_moment(monkeypatch) -> None:
    """The boot clock decides; without it a moment in the future is one that cannot be dated."""
    kept = Moment.now()
    monkeypatch.setattr(dmfs.system.clock, "wall_time_s", lambda: kept[0] - 3600)
    age_s = kept.age_s()
    assert age_s is not None
    assert 0 <= age_s < 60
    monkeypatch.setattr(dmfs.system.clock, "boot_id", lambda: "another boot")
    assert kept.age_s() is None
