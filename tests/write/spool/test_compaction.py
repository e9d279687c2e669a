"""A file that is written anew while others use it."""

from __future__ import annotations

import pytest
import trio

from dmfs.errors import SpoolError
from dmfs.write.spool.journal import Journal
from tests.support.helpers import real
from tests.write.spool.spooling import (
    ONE,
    found,
    no_rows,
    open_spool,
    read_base,
    small_units,
    whole,
)

LAST = b"\xc8" * 100


@pytest.fixture
def wasteful(tmp_path, monkeypatch):
    """A spool whose one draft is to be compacted."""
    small_units(monkeypatch)

    async def make():
        monkeypatch.setattr("dmfs.write.spool.content.GARBAGE_BYTES", 10**9)
        spool = open_spool(tmp_path / "spool")
        content = spool.create(ONE)
        for each in range(10):
            await content.write(0, bytes([191 + each]) * 100, mtime_ns=1)
            await content.confirm(no_rows)
        monkeypatch.setattr("dmfs.write.spool.content.GARBAGE_BYTES", 128)
        return spool, content

    return make


def files(tmp_path):
    return {each.name: each.stat().st_size for each in (tmp_path / "spool" / ONE).glob("data*")}


async def write_during(content, gate, begun, done):
    """Write once ``gate`` says that the other is in the middle of it."""
    await begun.wait()
    await content.write(50, b"new" * 10, mtime_ns=2)
    await content.truncate(90, mtime_ns=3)
    gate.set()
    done.append(True)


@pytest.mark.parametrize("stage", ["copy", "commit"])
@real
async def test_who_writes_meanwhile_wins(tmp_path, monkeypatch, wasteful, stage):
    spool, content = await wasteful()
    assert files(tmp_path) == {"data": 1000}
    before = content.generation
    begun, gate = trio.Event(), trio.Event()
    done: list[bool] = []
    runner = spool._commits if stage == "commit" else spool._disk
    run = runner.run

    async def gated(*args, **kwargs):
        if not begun.is_set():
            begun.set()
            await gate.wait()
        return await run(*args, **kwargs)

    monkeypatch.setattr(runner, "run", gated)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_during, content, gate, begun, done)
        nursery.start_soon(spool.tend)
    assert done
    expected = (LAST[:50] + b"new" * 10 + LAST[80:])[:90]
    assert await content.read(0, 200, read_base) == expected
    assert content.generation == before
    snapshot = content.snapshot()
    assert await snapshot.read(0, 100, read_base) == LAST
    await content.confirm(no_rows)
    assert await whole(spool, ONE) == expected
    await spool.close()
    spool = open_spool(tmp_path / "spool")
    assert await whole(spool, ONE) == expected
    await spool.close()


@real
async def test_a_quiet_one_becomes_small_and_stays_the_same_generation(tmp_path, wasteful):
    spool, content = await wasteful()
    before, snapshot = content.confirmed, content.snapshot()
    await spool.tend()
    assert files(tmp_path) == {"data": 1000, "data.2": 100}  # one is in use
    assert content.confirmed == before
    assert not content.dirty
    assert await snapshot.read(0, 100, read_base) == LAST
    content.release(snapshot)
    await spool.tend()
    assert files(tmp_path) == {"data.2": 100}
    assert spool.used_bytes == 100
    await content.write(100, b"more", mtime_ns=2)
    await content.confirm(no_rows)
    await spool.close()
    spool = open_spool(tmp_path / "spool")
    assert await whole(spool, ONE) == LAST + b"more"
    await spool.close()


@pytest.mark.parametrize("stage", ["copy", "commit"])
@real
async def test_one_that_fails_is_as_before(tmp_path, monkeypatch, wasteful, stage):
    spool, content = await wasteful()

    async def refuse(*_, **__):
        raise SpoolError("the disk is bad")

    with monkeypatch.context() as broken:
        if stage == "commit":
            broken.setattr(spool._commits, "run", refuse)
        else:
            broken.setattr(type(content._file), "read", refuse)
        await spool.tend()
    assert await whole(spool, ONE) == LAST
    await content.write(0, b"go on", mtime_ns=2)
    await content.confirm(no_rows)
    await spool.close()
    spool = open_spool(tmp_path / "spool")
    assert await whole(spool, ONE) == b"go on" + LAST[5:]
    assert len(files(tmp_path)) == 1
    await spool.close()


@real
async def test_damaged_bytes_are_not_copied(tmp_path, wasteful):
    spool, content = await wasteful()
    with (tmp_path / "spool" / ONE / "data").open("r+b") as file:
        file.seek(950)
        file.write(b"?")
    await spool.tend()
    assert files(tmp_path) == {"data": 1000}
    with pytest.raises(SpoolError, match="damaged"):
        await found(spool, ONE).snapshot().read(0, 100, read_base)
    assert content.generation
    await spool.close()


@real
async def test_a_file_that_the_journal_may_name_stays(tmp_path, monkeypatch):
    """The commit happened, its answer did not come; then the program truncates, then a kill."""
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"first", mtime_ns=1)
    commit = Journal.commit

    def lost(*args, **kwargs):
        commit(*args, **kwargs)
        raise OSError(5, "I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(Journal, "commit", lost)
        with pytest.raises(SpoolError):
            await content.confirm(no_rows)
    content.start_over(0)
    await spool.tend()
    spool._owner.release()
    again = open_spool(tmp_path / "spool")
    assert (again.damaged, await whole(again, ONE)) == ("", b"first")
    again._owner.release()
    await content.write(0, b"x", mtime_ns=2)
    again._journal.close()
    spool._owner.take()
    await content.confirm(no_rows)
    assert set(files(tmp_path)) == {"data.2"}
    await spool.close()


@real
async def test_a_read_under_way_has_its_file(tmp_path, monkeypatch):
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"first", mtime_ns=1)
    await content.confirm(no_rows)
    content._file.handle.close()  # as one that was not used for long
    begun, gate, run, read = trio.Event(), trio.Event(), spool._disk.run, []

    async def gated(work, action, **kwargs):
        if "read" in action:
            begun.set()
            await gate.wait()
        return await run(work, action, **kwargs)

    async def reader():
        read.append(await content.read(0, 10, read_base))

    monkeypatch.setattr(spool._disk, "run", gated)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        await begun.wait()
        content.start_over(0)
        await content.write(0, b"second", mtime_ns=2)
        await content.confirm(no_rows)
        gate.set()
    assert read == [b"first"]
    await spool.tend()
    assert set(files(tmp_path)) == {"data.2"}
    await spool.close()
