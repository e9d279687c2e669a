"""What a spool is to its users: drafts, rows, room, and what goes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import stat
from functools import partial

import pytest
import trio
import trio.testing

from dmfs.errors import NoRoomError, SpoolError, SpoolLimitError
from dmfs.spans import GIB, KIB, MIB
from dmfs.system.clock import wall_time_s
from dmfs.write.records import Change
from dmfs.write.spool import content as content_file
from dmfs.write.spool import recovery
from dmfs.write.spool.card import read_card, whole_file
from tests.support.helpers import real
from tests.write.spool.spooling import (
    BASE,
    ONE,
    TWO,
    draft_row,
    found,
    id_of,
    no_rows,
    open_spool,
    read_base,
    rows_of,
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
    content.set_mtime(9)
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
async def test_a_person_finds_the_bytes_by_the_card(tmp_path):
    spool = open_spool(tmp_path / "spool")
    place = tmp_path / "spool" / ONE
    content = spool.create(ONE)
    await content.write(0, b"whole file", mtime_ns=1)
    await content.confirm(lambda _: [draft_row(ONE, base={"item_id": "i", "number": 3})])
    card = read_card(place)
    assert card["name"] == "plan.dwg"
    assert (card["item"], card["base_number"], card["size_bytes"]) == ("i", 3, 10)
    file = whole_file(place)
    assert file is not None
    assert file.read_bytes()[:10] == b"whole file"
    await content.write(2, b"XX", mtime_ns=1)
    await content.confirm(no_rows)
    assert whole_file(place) is None
    assert read_card(place)["generation"] == 2
    content.start_over(0)
    await content.write(0, b"again", mtime_ns=1)
    await content.confirm(no_rows)
    file = whole_file(place)
    assert file is not None
    assert file.read_bytes() == b"again"
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
    await spool.tend()
    assert kept.exists()
    week = wall_time_s() + recovery.DISCARDED_S + 1
    monkeypatch.setattr("dmfs.write.spool.recovery.wall_time_s", lambda: week)
    await spool.tend()
    assert not kept.exists()
    await spool.close()


@real
async def test_room_is_told_before_anything_changes(tmp_path):
    spool = open_spool(tmp_path / "spool", limit_bytes=1000)
    content = spool.create(ONE)
    await content.write(0, b"x" * 900, mtime_ns=1)
    with pytest.raises(SpoolLimitError, match="the spool is full"):
        await content.write(900, b"y" * 101, mtime_ns=2)
    assert (content.size_bytes, content.mtime_ns) == (900, 1)
    assert spool.room() == (1000, 100)
    await content.write(900, b"y" * 100, mtime_ns=2)
    assert spool.room() == (1000, 0)
    await content.write(1000, bytes(500), mtime_ns=3)  # a hole needs none
    await content.confirm(no_rows)
    await spool.remove(ONE)
    assert spool.room() == (1000, 1000)
    await spool.close()


@real
async def test_a_share_of_the_disk_stays_free(tmp_path, monkeypatch):
    class Found:
        f_blocks, f_frsize, f_bavail = 1000, 4096, 60

    monkeypatch.setattr("os.statvfs", lambda _: Found)
    spool = open_spool(tmp_path / "spool", free_percent=5.0)
    assert spool.room().free_bytes == 10 * 4096
    content = spool.create(ONE)
    await content.write(0, b"x" * 40000, mtime_ns=1)
    assert spool.room().free_bytes == 960
    with pytest.raises(NoRoomError, match="5 %"):
        await content.write(40000, b"x" * 1000, mtime_ns=1)
    Found.f_bavail = 600  # somebody made room
    await content.write(40000, b"x" * 1000, mtime_ns=1)
    await spool.close()


@real
async def test_what_is_overwritten_again_and_again_does_not_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(content_file, "GARBAGE_BYTES", 10_000)
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    content.start_over(len(BASE))
    await content.write(100, b"a" * 100, mtime_ns=1)
    await content.confirm(no_rows)
    snapshot, most = content.snapshot(), 0
    for number in range(200):
        await content.write(500, bytes([number + 1]) * 500, mtime_ns=1)
        await content.confirm(no_rows)
        await spool.tend()
        most = max(most, spool.used_bytes)
    assert most <= 2 * (2 * 2000 + 10_000 + 500)  # of the snapshot, and of the newest
    expected = BASE[:100] + b"a" * 100 + BASE[200:]
    assert await snapshot.read(0, 2000, read_base) == expected
    content.release(snapshot)
    await spool.tend()
    assert await whole(spool, ONE) == expected[:500] + b"\xc8" * 500 + expected[1000:]
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
async def test_many_drafts_have_few_files_open(tmp_path):
    spool = open_spool(tmp_path / "spool")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for each in range(150):
        content = spool.create(id_of(each))
        await content.write(0, b"abc", mtime_ns=1)
        await content.confirm(no_rows)
    assert len(os.listdir("/proc/self/fd")) - before <= 70  # noqa: PTH208
    for each in range(150):
        assert await whole(spool, id_of(each)) == b"abc"
    await spool.close()
    assert len(os.listdir("/proc/self/fd")) - before <= 2  # noqa: PTH208


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
async def test_many_drafts_wait_in_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("dmfs.write.spool.room.PENDING_BYTES", 1000)
    spool = open_spool(tmp_path / "spool")
    for each in range(40):
        await spool.create(id_of(each)).write(0, b"x" * 100, mtime_ns=1)
        assert spool._room.pending_bytes <= 1100
    disk = spool._disk
    with monkeypatch.context() as broken:
        broken.setattr(disk, "run", refuse)
        for each in range(40, 60):
            with contextlib.suppress(SpoolError):
                await spool.create(id_of(each)).write(0, b"x" * 100, mtime_ns=1)
            assert spool._room.pending_bytes <= 2100
        with pytest.raises(SpoolError, match="does not take"):
            await found(spool, id_of(0)).write(0, b"y", mtime_ns=1)
    for each in range(41):
        content = found(spool, id_of(each))
        await content.confirm(no_rows)
        assert await whole(spool, id_of(each)) == b"x" * 100
    await spool.close()


async def refuse(*_, **__):
    raise SpoolError("the disk is bad")
