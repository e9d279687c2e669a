"""What a spool takes: of the disk, of memory, of descriptors."""

from __future__ import annotations

import contextlib
import os

import pytest

from dmfs.errors import NoRoomError, SpoolError, SpoolLimitError
from dmfs.write.spool import content as content_file
from tests.support.helpers import real
from tests.write.spool.spooling import (
    BASE,
    ONE,
    found,
    id_of,
    no_rows,
    open_spool,
    read_base,
    whole,
)


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
