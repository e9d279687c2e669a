"""Drafts that go: removed, or discarded for a week."""

from __future__ import annotations

import sqlite3

import pytest
import trio
import trio.testing

from dmfs.errors import SpoolError
from dmfs.spans import MIB
from dmfs.system.clock import wall_time_s
from dmfs.write.records import Change
from dmfs.write.spool import recovery
from dmfs.write.spool.card import read_card, write_card
from tests.support.helpers import real
from tests.write.spool.spooling import (
    ONE,
    TWO,
    found,
    no_rows,
    open_spool,
    rows_of,
)


@real
async def test_a_write_under_way_when_its_draft_is_removed_leaves_no_trace(tmp_path, monkeypatch):
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"x" * 4 * MIB, mtime_ns=1)
    begun, gate, run, refused = trio.Event(), trio.Event(), spool._disk.run, []

    async def gated(work, action, **kwargs):
        if action == "save":
            begun.set()
            await gate.wait()
        return await run(work, action, **kwargs)

    async def write(offset):
        try:
            await content.write(offset, b"y" * 5000, mtime_ns=1)
        except SpoolError as error:
            refused.append((offset, error.message))

    monkeypatch.setattr(spool._disk, "run", gated)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, 0)  # spills
        await begun.wait()
        nursery.start_soon(spool.remove, ONE)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(write, 1)  # waits behind both
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
    assert refused == [(1, "the draft was removed")]
    assert (spool.used_bytes, spool._room.pending_bytes) == (0, 0)
    assert not (tmp_path / "spool" / ONE).exists()
    await spool.close()


@real
async def test_a_draft_that_the_journal_does_not_know_is_discarded_too(tmp_path):
    place = tmp_path / "spool"
    (place / ONE).mkdir(parents=True)
    (place / ONE / "data").write_bytes(b"abc")
    write_card(place / ONE, {"generation": 1})
    spool = open_spool(place)
    assert ONE in spool.damaged
    await spool.discard(ONE)
    assert (place / "discarded" / ONE / "data").read_bytes() == b"abc"
    with pytest.raises(ValueError, match="own"):
        await spool.commit([Change("content", ONE, {})])
    await spool.close()


@real
async def test_what_is_removed_is_gone_and_what_is_discarded_waits_a_week(tmp_path, monkeypatch):
    place = tmp_path / "spool"
    spool = open_spool(place)
    for draft_id in (ONE, TWO):
        content = spool.create(draft_id)
        await content.write(0, draft_id.encode(), mtime_ns=1)
        await content.write(3, b"--", mtime_ns=1)
        await content.confirm(rows_of(draft_id))
    old = found(spool, ONE)
    await spool.remove(ONE, [Change("draft", ONE, None)])
    await spool.discard(TWO, [Change("draft", TWO, None)])
    assert spool.content(ONE) is spool.content(TWO) is None
    assert spool.used_bytes == 0
    assert not (place / ONE).exists()
    assert not (place / TWO).exists()
    kept = place / "discarded" / TWO
    card, data = read_card(kept), (kept / "data").read_bytes()
    pieced = bytearray(card["size_bytes"])
    for start, length, position in card["extents"]:
        pieced[start : start + length] = data[position : position + length]
    assert pieced == b"222--" + b"2" * 27
    with pytest.raises(SpoolError, match="removed"):
        await old.write(0, b"x", mtime_ns=1)
    with pytest.raises(SpoolError, match="removed"):
        old.snapshot()
    await spool.close()
    spool = open_spool(place)
    assert (spool.damaged, dict(spool.rows)) == ("", {})
    db = spool._journal._db
    assert db is not None
    for table in ("rows", "pieces", "leaving"):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    await spool.tend()
    assert kept.exists()
    week = wall_time_s() + recovery.DISCARDED_S + 1
    monkeypatch.setattr("dmfs.write.spool.recovery.wall_time_s", lambda: week)
    await spool.tend()
    assert not kept.exists()
    await spool.close()


@pytest.mark.parametrize("how", ["remove", "discard"])
@real
async def test_what_went_is_durable_before_the_journal_forgets_it(tmp_path, monkeypatch, how):
    """Else a power loss between both brings a directory back that nobody knows."""
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"abc", mtime_ns=1)
    await content.confirm(no_rows)
    seen = []

    def sync(directory):
        db = sqlite3.connect(directory / "journal.db")
        seen.append(db.execute("SELECT draft, how FROM leaving").fetchall())
        db.close()
        assert not (directory / ONE).exists()

    monkeypatch.setattr("dmfs.write.spool.spool.sync_directory", sync)
    await getattr(spool, how)(ONE)
    assert seen == [[(ONE, how)]]
    await spool.close()
