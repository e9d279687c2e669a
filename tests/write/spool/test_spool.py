"""What a spool is to its users: drafts, rows, and what goes."""

from __future__ import annotations

import json
import os
import random
import stat
import threading
from functools import partial

import pytest
import trio
import trio.testing

from dmfs.errors import SpoolError
from dmfs.spans import GIB, KIB, MIB
from dmfs.write.records import Change
from dmfs.write.spool.card import read_card
from dmfs.write.spool.journal import Journal
from tests.support.helpers import real
from tests.write.spool.spooling import (
    ONE,
    TWO,
    draft_row,
    found,
    no_rows,
    open_spool,
    read_base,
    whole,
)


@real
async def test_a_small_change_in_a_large_base_stores_the_change_alone(tmp_path):
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    content.start_over(2 * GIB)
    await content.write(GIB, b"x" * 4096, mtime_ns=5)
    confirmed = await content.confirm(no_rows)
    assert confirmed == (1, 2 * GIB, 5)
    assert spool.used_bytes == 4096
    assert (tmp_path / "spool" / ONE / "data").stat().st_size == 4096
    snapshot = content.snapshot()
    assert snapshot.needs_base
    kinds = [(each.kind, each.start, each.length) for each in snapshot.pieces(0, 2 * GIB)]
    assert kinds == [
        ("base", 0, GIB), ("data", GIB, 4096), ("base", GIB + 4096, GIB - 4096)
    ]  # fmt: skip
    await spool.close()


@real
async def test_five_tebibytes_by_ftruncate_and_zeros_at_the_end_take_no_room(tmp_path):
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    for number in range(64):  # as glibc's posix_fallocate does
        await content.write(number * 4 * KIB + 4095, b"\0", mtime_ns=1)
    await content.write(256 * KIB, bytes(2 * MIB), mtime_ns=1)
    assert content.size_bytes == 256 * KIB + 2 * MIB
    assert spool.used_bytes == 0
    await content.truncate(5 * 2**40, mtime_ns=2)
    await content.write(5 * 2**40 - 1, b"e", mtime_ns=3)
    await content.write(10, bytes(20), mtime_ns=3)  # within the size: bytes
    await content.confirm(no_rows)
    assert spool.used_bytes == 21
    await spool.close()
    spool = open_spool(tmp_path / "spool")
    again = spool.content(ONE)
    assert again is not None
    assert await again.read(5 * 2**40 - 3, 100, read_base) == b"\0\0e"
    assert not again.snapshot().needs_base
    await spool.close()


@real
async def test_no_news_no_call(tmp_path, monkeypatch):
    """LibreOffice flushes twelve times a file that it does not write to."""
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"abc", mtime_ns=1)
    first = await content.confirm(no_rows)
    monkeypatch.setattr(spool._disk, "run", None)
    monkeypatch.setattr(spool._commits, "run", None)
    for _ in range(12):
        assert await content.confirm(lambda _: pytest.fail("a row without news")) == first
    monkeypatch.undo()
    await content.truncate(content.size_bytes, mtime_ns=9)
    assert content.dirty
    assert await content.confirm(no_rows) == (2, 3, 9)
    await spool.close()


@real
async def test_confirmations_at_once_join(tmp_path, monkeypatch):
    spool = open_spool(tmp_path / "spool")
    content, found = spool.create(ONE), []
    await content.write(0, b"abc", mtime_ns=1)

    async def confirm():
        found.append(await content.confirm(no_rows))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(confirm)
    assert found == [(1, 3, 1)] * 5
    await spool.close()


@real
async def test_a_cancelled_close_confirms_all_the_same(tmp_path):
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"abc", mtime_ns=1)
    with trio.CancelScope() as scope:
        scope.cancel()
        assert (await content.confirm(no_rows)).generation == 1
        await spool.commit([Change("name", "n", {"a": 1})])
    assert not content.dirty
    await spool.close()
    spool = open_spool(tmp_path / "spool")
    assert spool.rows["name"]["n"].record == {"a": 1}
    assert await whole(spool, ONE) == b"abc"
    await spool.close()


@real
async def test_rows_come_back_and_keep_the_order_of_their_commits(tmp_path):
    spool = open_spool(tmp_path / "spool")
    async with trio.open_nursery() as nursery:
        for number in range(30):
            change = Change("name", "same", {"number": number}, bytes([number]))
            nursery.start_soon(partial(spool.commit, [change], durable=number % 2 == 0))
            await trio.testing.wait_all_tasks_blocked(0)
    await spool.commit([Change("upload", "u", {"ü": "\udc80"})], durable=True)
    await spool.commit([Change("upload", "v", {"x": None}), Change("upload", "u", None)])
    await spool.close()
    spool = open_spool(tmp_path / "spool")
    assert spool.rows["name"]["same"] == ({"number": 29}, b"\x1d")
    assert spool.rows["upload"] == {"v": ({"x": None}, b"")}
    await spool.close()


@pytest.mark.parametrize("during", ["fdatasync", "commit"])
@real
async def test_what_is_written_while_others_confirm_waits_for_the_next_time(
    tmp_path, monkeypatch, during
):
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"first", mtime_ns=1)
    begun, gate = trio.Event(), trio.Event()
    commit, sync = spool._commits.run, spool._disk._syncs.run

    async def gated(*args, **kwargs):
        begun.set()
        await gate.wait()
        return await (commit if during == "commit" else sync)(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(spool._commits if during == "commit" else spool._disk._syncs, "run", gated)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(content.confirm, no_rows)
            await begun.wait()
            await content.write(3, b"other", mtime_ns=2)
            gate.set()
    assert content.confirmed == (1, 5, 1)
    assert content.dirty
    assert await content.confirm(no_rows) == (2, 8, 2)
    await spool.close()
    spool = open_spool(tmp_path / "spool")
    assert await whole(spool, ONE) == b"firother"
    await spool.close()


@pytest.mark.parametrize("changes", [[], [Change("name", "none", None)]])
@real
async def test_a_durable_commit_of_nothing_takes_along_what_came_before(tmp_path, changes):
    """fsync(2) of a directory. SQLite syncs its log only where it writes into it."""
    spool = open_spool(tmp_path / "spool")
    await spool.commit([Change("name", "n", {"a": 1})])
    log = tmp_path / "spool" / "journal.db-wal"
    before = log.stat().st_size
    await spool.commit(changes)
    assert log.stat().st_size == before
    await spool.commit(changes, durable=True)
    assert log.stat().st_size > before
    await spool.close()


@real
async def test_a_row_and_its_bytes_are_confirmed_together(tmp_path):
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"abc", mtime_ns=1)

    def refuse(_):
        raise SpoolError("no")

    with pytest.raises(SpoolError):
        await content.confirm(refuse)
    assert (content.generation, content.dirty) == (0, True)
    with pytest.raises(SpoolError, match="nothing"):
        content.snapshot()
    confirmed = await content.confirm(lambda new: [draft_row(ONE, generation=new.generation)])
    assert confirmed.generation > 0
    await spool.close()
    spool = open_spool(tmp_path / "spool")
    assert spool.rows["draft"][ONE].record["generation"] == confirmed.generation
    assert found(spool, ONE).generation == confirmed.generation
    await spool.close()


@real
async def test_other_users_see_nothing(tmp_path):
    old = os.umask(0)
    try:
        spool = open_spool(tmp_path / "state" / "spool")
        content = spool.create(ONE)
        await content.write(0, b"abc", mtime_ns=1)
        await content.confirm(no_rows)
        await spool.discard(ONE)
        content = spool.create(TWO)
        await content.write(0, b"abc", mtime_ns=1)
        await content.confirm(no_rows)
    finally:
        os.umask(old)
    found = 0
    for path in (tmp_path / "state").rglob("*"):
        found += 1
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert found > 8
    await spool.close()
    text = json.dumps(read_card(tmp_path / "state" / "spool" / TWO))
    assert "secret" not in text


@real
async def test_a_draft_of_real_size(tmp_path):
    """No unit is made small: tails, threads and chunks as they are."""
    chance, model = random.Random(5), bytearray()
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    for step in range(400):
        length = chance.choice([100, 4096, 131072, 131072, MIB, 3 * MIB if step % 50 == 0 else 10])
        offset = len(model) if chance.random() < 0.5 else chance.randrange(len(model) + 1)
        data = chance.randbytes(length)
        model[offset : offset + length] = data
        await content.write(offset, data, mtime_ns=step)
        start = chance.randrange(len(model))
        stop = start + chance.choice([10, 131072])
        assert await content.read(start, stop - start, read_base) == model[start:stop]
        if step % 40 == 39:
            await content.confirm(no_rows)
            await spool.tend()
    assert len(model) > 20 * MIB
    snapshot = content.snapshot()
    for start in range(0, len(model), 16 * MIB):
        stop = min(start + 16 * MIB, len(model))
        assert await snapshot.read(start, stop, read_base) == model[start:stop]
    descriptor = await snapshot.descriptor()
    piece = snapshot.pieces(0, 10_000)[0]
    assert os.pread(descriptor, piece.length, piece.position) == model[: piece.length]
    os.close(descriptor)
    await spool.close()
    spool = open_spool(tmp_path / "spool")
    assert await whole(spool, ONE) == bytes(model)
    await spool.close()


@real
async def test_a_commit_in_the_queue_is_made_whoever_is_cancelled(tmp_path, monkeypatch):
    spool = open_spool(tmp_path / "spool")
    gate, begun, run = threading.Event(), trio.Event(), Journal._run
    token = trio.lowlevel.current_trio_token()

    def slow(self, db, statement):
        token.run_sync_soon(begun.set)
        assert gate.wait(20)
        run(self, db, statement)

    monkeypatch.setattr(Journal, "_run", slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.commit, [Change("name", "first", {})])
        await begun.wait()
        nursery.start_soon(spool.commit, [Change("name", "second", {})])
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        gate.set()
    await spool.close()
    spool = open_spool(tmp_path / "spool")
    assert set(spool.rows["name"]) == {"first", "second"}
    await spool.close()
