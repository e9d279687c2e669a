"""A disk that is full, broken, read-only, hung or gone: a clear error, what was confirmed stays,
and it goes on when the disk does."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading

import pytest
import trio

from dmfs.errors import DriveError, NoRoomError, SetupError, SpoolError
from dmfs.write.records import Change
from dmfs.write.spool.journal import Journal
from tests.support.helpers import real
from tests.write.spool.spooling import (
    ONE,
    TWO,
    found,
    id_of,
    impatient,
    no_rows,
    open_spool,
    read_base,
    small_units,
    whole,
)

CALLS = ["pwritev", "fdatasync", "fsync"]
ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT]


class Failing:
    """Makes calls to the disk fail."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.number = 0
        self.calls = 0

    def watch(self, name: str, times: int = 10**9) -> None:
        call = getattr(os, name)

        def run(*args):
            if self.number and self.calls < times:
                self.calls += 1
                raise OSError(self.number, os.strerror(self.number))
            return call(*args)

        self._patch.setattr(os, name, run)


@pytest.fixture
def failing(monkeypatch):
    return Failing(monkeypatch)


@pytest.mark.parametrize("number", ERRORS)
@pytest.mark.parametrize("call", CALLS)
@real
async def test_what_fails_changes_nothing_and_works_later(tmp_path, failing, call, number):
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"first", mtime_ns=1)
    await content.confirm(no_rows)
    failing.watch(call)
    failing.number = number
    if call == "fsync":  # of directories: a new file
        content.start_over(0)
    await content.write(0, b"second, longer", mtime_ns=2)
    expected = {errno.ENOSPC: "ENOSPC", errno.EDQUOT: "EDQUOT"}.get(number, "EIO")
    for _ in range(2):
        with pytest.raises(DriveError) as caught:
            await content.confirm(no_rows)
        assert errno.errorcode[caught.value.errno] == expected
        assert str(tmp_path) in caught.value.message
    assert content.dirty
    assert await content.read(0, 100, read_base) == b"second, longer"
    snapshot = content.snapshot()
    assert await snapshot.read(0, 100, read_base) == b"first"
    failing.number = 0
    assert (await content.confirm(no_rows)).size_bytes == 14
    spool._owner.release()
    again = open_spool(tmp_path / "spool")
    assert await whole(again, ONE) == b"second, longer"
    await again.close()
    await spool.close()


@real
async def test_a_write_that_finds_no_room_is_told_and_undone(tmp_path, failing, monkeypatch):
    small_units(monkeypatch)
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    failing.watch("pwritev")
    failing.number = errno.ENOSPC
    await content.write(0, b"a" * 60, mtime_ns=1)  # still in memory
    for _ in range(3):
        with pytest.raises(NoRoomError, match="is full"):
            await content.write(60, b"b" * 10, mtime_ns=2)
    assert (content.size_bytes, content.mtime_ns, spool.used_bytes) == (60, 1, 60)
    failing.number = 0
    await content.write(60, b"b" * 10, mtime_ns=2)
    await content.confirm(no_rows)
    assert await whole(spool, ONE) == b"a" * 60 + b"b" * 10
    await spool.close()


@pytest.mark.parametrize("lost", [False, True])
@real
async def test_a_failed_fdatasync_is_not_followed_by_a_success_that_means_nothing(
    tmp_path, failing, monkeypatch, lost
):
    """Linux calls pages clean that it could not write: the next fdatasync finds nothing to do."""
    small_units(monkeypatch)
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"confirmed before", mtime_ns=1)
    await content.confirm(no_rows)
    failing.watch("fdatasync", times=1)
    failing.number = errno.EIO
    await content.write(8, b"and now something else" * 5, mtime_ns=2)
    with pytest.raises(SpoolError, match="fails"):
        await content.confirm(no_rows)
    if lost:  # the kernel dropped a page, and reads what the disk has
        path = tmp_path / "spool" / ONE / "data"
        with path.open("r+b") as file:
            file.seek(40)
            file.write(bytes(20))
        for _ in range(2):
            with pytest.raises(SpoolError, match="lost"):
                await content.confirm(no_rows)
        snapshot = content.snapshot()
        assert await snapshot.read(0, 100, read_base) == b"confirmed before"
        content.start_over(0)  # saved anew: into another file
        await content.write(0, b"again", mtime_ns=3)
        await content.confirm(no_rows)
        assert await whole(spool, ONE) == b"again"
    else:
        written: list[int] = []
        call = os.pwritev

        def noted(fd, parts, at):
            written.append(at)
            return call(fd, parts, at)

        monkeypatch.setattr(os, "pwritev", noted)
        await content.confirm(no_rows)
        assert 0 in written, "what may be lost is written again, from the unit's start"
        assert await whole(spool, ONE) == b"confirme" + b"and now something else" * 5
    await spool.close()


@real
async def test_a_journal_without_room(tmp_path, monkeypatch):
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"abc", mtime_ns=1)
    await content.confirm(no_rows)
    db = spool._journal._db
    assert db is not None
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    usable, limit = Journal._usable, [pages]

    def limited(self):
        db = usable(self)
        db.execute(f"PRAGMA max_page_count = {limit[0]}")
        return db

    monkeypatch.setattr(Journal, "_usable", limited)
    big = Change("name", "big", {}, bytes(100_000))
    await content.write(0, b"xyz", mtime_ns=2)
    for _ in range(2):
        with pytest.raises(NoRoomError, match=r"journal.db: its disk is full"):
            await spool.commit([Change("name", "small", {}), big])
        with pytest.raises(NoRoomError):
            await content.confirm(lambda _: [big])
    assert content.dirty
    await spool.commit([Change("name", "small", {})])
    limit[0] = 10_000
    await content.confirm(lambda _: [big])
    await spool.close()
    spool = open_spool(tmp_path / "spool")
    assert set(spool.rows["name"]) == {"big", "small"}
    assert await whole(spool, ONE) == b"xyz"
    await spool.close()


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "COMMIT"])
@pytest.mark.parametrize("done", [False, True])
@real
async def test_a_commit_that_fails_may_have_happened_and_is_made_good(
    tmp_path, monkeypatch, statement, done
):
    small_units(monkeypatch)
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"x" * 300, mtime_ns=1)
    await content.confirm(no_rows)
    run = Journal._run

    def fail(self, db, text):
        if text != statement:
            return run(self, db, text)
        if done:
            run(self, db, text)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
        raise error

    monkeypatch.setattr(Journal, "_run", fail)
    await content.write(100, b"y" * 200, mtime_ns=2)
    await content.write(700, b"z", mtime_ns=2)
    with pytest.raises(SpoolError, match="I/O error"):
        await content.confirm(lambda _: [Change("name", "n", {"failed": 1})])
    assert (content.generation, content.dirty) == (1, True)
    monkeypatch.setattr(Journal, "_run", run)
    await content.truncate(290, mtime_ns=3)
    confirmed = await content.confirm(lambda _: [Change("name", "n", {"failed": 0})])
    assert confirmed.generation > 2 - (not done)
    await spool.close()
    spool = open_spool(tmp_path / "spool")
    assert spool.rows["name"]["n"].record == {"failed": 0}
    assert await whole(spool, ONE) == b"x" * 100 + b"y" * 190
    await found(spool, ONE).truncate(800, mtime_ns=4)
    grown = await whole(spool, ONE)
    assert grown is not None
    assert grown[290:] == bytes(510), "what the failed commit may have left does not come back"
    await spool.close()


@pytest.mark.parametrize("call", ["pwritev", "fdatasync", "pread"])
@real
async def test_a_disk_that_hangs_fails_soon_and_goes_on_when_it_is_back(
    tmp_path, monkeypatch, call
):
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"first", mtime_ns=1)
    await content.confirm(no_rows)
    back, calm = threading.Event(), getattr(os, call)

    def hang(*args):
        # as the kernel does with what it is to write
        views = [memoryview(each) for each in args[1]] if call == "pwritev" else []
        back.wait(20)
        del views
        return calm(*args)

    monkeypatch.setattr(os, call, hang)
    impatient(spool)
    await content.write(0, b"other", mtime_ns=2)

    async def strict_read(_):
        await content.snapshot().read(0, 5, read_base)

    try:
        with trio.fail_after(10):
            for _ in range(3):
                with pytest.raises(SpoolError, match="hangs"):
                    await (strict_read if call == "pread" else content.confirm)(no_rows)
            assert spool.room().total_bytes > 0
            await content.write(5, b"!", mtime_ns=3)
    finally:
        back.set()
    monkeypatch.setattr(os, call, calm)
    impatient(spool, 30)
    with trio.fail_after(10):
        while spool._disk.hangs:
            await trio.sleep(0.01)
    await content.confirm(no_rows)
    assert await whole(spool, ONE) == b"other!"
    await spool.close()


@real
async def test_a_journal_that_hangs_lets_the_process_end(tmp_path, monkeypatch):
    spool = open_spool(tmp_path / "spool")
    impatient(spool)
    content = spool.create(ONE)
    await content.write(0, b"first", mtime_ns=1)
    back, run = threading.Event(), Journal._run
    monkeypatch.setattr(Journal, "_run", lambda *args: back.wait(20) and run(*args))
    try:
        with trio.fail_after(10):
            for _ in range(3):
                with pytest.raises(SpoolError, match="hangs"):
                    await spool.commit([Change("name", "n", {})])
            with pytest.raises(SpoolError, match="hangs"):
                await content.confirm(no_rows)
            await spool.close()
            with pytest.raises(SetupError, match="written to already"):
                open_spool(tmp_path / "spool")  # what hangs could write into it later
    finally:
        back.set()
    with trio.fail_after(10):
        while spool._commits.hangs:
            await trio.sleep(0.01)
    spool._journal.close()
    spool._owner.release()


@real
async def test_a_spool_that_is_removed_under_us_takes_nothing_more(tmp_path):
    place = tmp_path / "spool"
    spool = open_spool(place)
    content = spool.create(ONE)
    await content.write(0, b"first", mtime_ns=1)
    await content.confirm(no_rows)
    away = tmp_path / "away"
    place.rename(away)
    for each in range(2):
        await content.write(0, b"other", mtime_ns=2)
        with pytest.raises(SpoolError, match="is gone"):
            await content.confirm(no_rows)
        with pytest.raises(SpoolError, match="is gone"):
            await spool.commit([Change("name", "n", {"number": each})], durable=True)
        fresh = spool.create(id_of(each))
        await fresh.write(0, b"x", mtime_ns=1)
        with pytest.raises(SpoolError, match="is gone"):
            await fresh.confirm(no_rows)
    assert not place.exists()
    away.rename(place)
    await content.confirm(no_rows)
    assert await whole(spool, ONE) == b"other"
    shutil.rmtree(place)
    await content.write(0, b"third", mtime_ns=2)
    with pytest.raises(SpoolError, match="is gone"):
        await content.confirm(no_rows)
    await spool.close()


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal"])
@real
async def test_a_journal_that_is_removed_under_us_is_noticed(tmp_path, name):
    """SQLite would go on in a file without a name, and all would be gone with the process."""
    place = tmp_path / "spool"
    spool = open_spool(place)
    content = spool.create(ONE)
    await content.write(0, b"first", mtime_ns=1)
    await content.confirm(no_rows)
    (place / name).unlink()
    await content.write(0, b"other", mtime_ns=1)
    with pytest.raises(SpoolError, match="is gone"):
        await content.confirm(no_rows)
    assert content.dirty
    await spool.close()


@real
async def test_data_that_is_removed_or_changed_under_us_is_noticed(tmp_path, monkeypatch):
    small_units(monkeypatch)
    spool = open_spool(tmp_path / "spool")
    for draft_id in (ONE, TWO):
        content = spool.create(draft_id)
        await content.write(0, b"f" * 100, mtime_ns=1)
        await content.confirm(no_rows)
    (tmp_path / "spool" / ONE / "data").unlink()
    content = found(spool, ONE)
    await content.write(0, b"other", mtime_ns=1)
    with pytest.raises(SpoolError, match="is gone"):
        await content.confirm(no_rows)
    with (tmp_path / "spool" / TWO / "data").open("r+b") as file:
        file.seek(70)
        file.write(b"F")
    content = found(spool, TWO)
    snapshot = content.snapshot()
    assert await snapshot.read(0, 64, read_base) == b"f" * 64
    for start, stop in ((0, 100), (64, 65), (70, 96)):
        with pytest.raises(SpoolError, match="damaged"):
            await snapshot.read(start, stop, read_base)
    with pytest.raises(SpoolError, match="damaged"):
        await content.read(0, 100, read_base)
    await spool.close()


@real
async def test_a_journal_that_is_removed_in_the_middle_of_a_commit_is_noticed(
    tmp_path, monkeypatch
):
    spool = open_spool(tmp_path / "spool")
    run = Journal._run

    def remove(self, db, statement):
        run(self, db, statement)
        if statement == "COMMIT":
            self.path.unlink()

    monkeypatch.setattr(Journal, "_run", remove)
    with pytest.raises(SpoolError, match="is gone"):
        await spool.commit([Change("name", "n", {})], durable=True)
    await spool.close()
