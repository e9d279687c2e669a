"""How a spool begins: who may own it, where it may be, what a damaged one says."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dmfs.errors import SetupError, SpoolError
from dmfs.write.records import Change, DraftId
from dmfs.write.spool import disk
from dmfs.write.spool.card import read_card, write_card
from dmfs.write.spool.journal import Journal
from tests.support.helpers import real
from tests.write.spool.spooling import (
    ONE,
    TWO,
    found,
    id_of,
    no_rows,
    open_spool,
    read_base,
    rows_of,
    whole,
)

THREE = DraftId("3" * 32)


async def filled(directory: Path) -> None:
    """A spool with two drafts and a row."""
    spool = open_spool(directory)
    for draft_id in (ONE, TWO):
        content = spool.create(draft_id)
        await content.write(0, draft_id.encode(), mtime_ns=1)
        await content.confirm(rows_of(draft_id))
    await spool.commit([Change("name", "n", {"a": 1})])
    await spool.close()


@real
async def test_one_process_owns_it_and_a_second_one_is_told_which(tmp_path):
    spool = open_spool(tmp_path / "spool", label="/mnt/my drive")
    with pytest.raises(SetupError) as caught:
        open_spool(tmp_path / "spool", label="/mnt/other")
    assert f"/mnt/my drive (process {os.getpid()})" in caught.value.message
    assert caught.value.hint
    await spool.close()
    await open_spool(tmp_path / "spool").close()


HOLD = """
import sys, time
from pathlib import Path
from tests.write.spool.spooling import open_spool
open_spool(Path(sys.argv[1]), label="/mnt/dead")
print("open", flush=True)
time.sleep(60)
"""


@pytest.mark.process
@real
async def test_after_a_crash_the_next_one_takes_over(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "spool")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(SetupError, match=rf"/mnt/dead \(process {process.pid}\)"):
            open_spool(tmp_path / "spool")
        process.kill()
    await open_spool(tmp_path / "spool").close()


@real
async def test_a_lock_file_that_is_deleted_is_made_again_or_lost(tmp_path):
    place = tmp_path / "spool"
    first = open_spool(place)
    (place / "lock").unlink()
    await first.commit([Change("name", "n", {})])
    with pytest.raises(SetupError, match="written to already"):
        open_spool(place)
    (place / "lock").unlink()
    second = open_spool(place, label="/mnt/second")
    with pytest.raises(SpoolError, match="was deleted, and another process has it: at /mnt/second"):
        await first.commit([Change("name", "n", {"first": 1})])
    await second.commit([Change("name", "n", {"second": 1})])
    await second.close()
    # nobody has it now, but what the first one knows is old
    with pytest.raises(SpoolError, match="another program has written"):
        await first.commit([Change("name", "n", {"first": 1})])
    await first.close()
    third = open_spool(place)
    assert third.rows["name"]["n"].record == {"second": 1}
    await third.close()


@real
async def test_another_users_directory_and_a_link_are_refused(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "spool").symlink_to(tmp_path / "real")
    with pytest.raises(SetupError, match="a link"):
        open_spool(tmp_path / "spool")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(SetupError, match="another user"):
        open_spool(tmp_path / "real")
    monkeypatch.undo()
    (tmp_path / "real").chmod(0o755)
    spool = open_spool(tmp_path / "real")
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o700
    (tmp_path / "target").mkdir()
    (tmp_path / "real" / ONE).mkdir()
    (tmp_path / "real" / ONE / "data").symlink_to(tmp_path / "elsewhere")
    content = spool.create(ONE)
    await content.write(0, b"secret", mtime_ns=1)
    with pytest.raises(SpoolError):
        await content.confirm(no_rows)
    assert not (tmp_path / "elsewhere").exists()
    await spool.close()


def test_a_disk_without_locks_is_refused(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(SetupError, match="No locks available"):
        open_spool(tmp_path / "spool")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("kind", "words"),
    [("tmpfs", "in memory"), ("nfs4", "not on a disk of this machine"), ("fuse.sshfs", "machine")],
)
def test_a_disk_that_keeps_nothing_is_refused(tmp_path, monkeypatch, kind, words):
    monkeypatch.setattr(disk, "filesystem_of", lambda _: kind)
    with pytest.raises(SetupError, match=words):
        open_spool(tmp_path / "spool", any_disk=False)
    monkeypatch.setattr(disk, "filesystem_of", lambda _: "ext4")
    spool = open_spool(tmp_path / "spool", any_disk=False)
    spool._journal.close()
    spool._owner.release()


def test_a_read_only_one_is_refused(tmp_path, monkeypatch):
    call = os.fstatvfs

    def read_only(descriptor):
        status = list(call(descriptor))
        status[8] |= os.ST_RDONLY
        return os.statvfs_result(status)

    monkeypatch.setattr(os, "fstatvfs", read_only)
    with pytest.raises(SetupError, match="read-only"):
        open_spool(tmp_path / "spool")


@real
async def test_a_journal_of_a_newer_dmfs_is_left_alone(tmp_path):
    await filled(tmp_path / "spool")
    path = tmp_path / "spool" / "journal.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(SetupError, match="newer dmfs"):
        open_spool(tmp_path / "spool")
    assert path.read_bytes() == before
    assert (tmp_path / "spool" / ONE / "data").exists()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 1")
    db.close()
    spool = open_spool(tmp_path / "spool")
    assert await whole(spool, ONE) == ONE.encode()
    await spool.close()


@pytest.mark.parametrize("how", ["garbage", "page", "empty", "table", "record"])
@real
async def test_a_damaged_journal_is_set_aside_and_no_bytes_go(tmp_path, how):
    place = tmp_path / "spool"
    await filled(place)
    path = place / "journal.db"
    data = bytearray(path.read_bytes())
    if how == "garbage":
        path.write_bytes(b"no database at all" * 1000)
    elif how == "page":
        data[4096 * 2 : 4096 * 3] = b"\xff" * 4096
        path.write_bytes(data)
    elif how == "empty":
        path.write_bytes(data[:5000])
    else:
        with sqlite3.connect(path) as db:
            db.execute("DROP TABLE pieces" if how == "table" else "UPDATE rows SET record = '{'")
        db.close()
    spool = open_spool(place)
    asides = [each.name for each in place.glob("journal.damaged-*")]
    (aside,) = [name for name in asides if not name.endswith(("-wal", "-shm"))]
    assert aside in spool.damaged
    assert "2 saved drafts" in spool.damaged
    assert str(place) in spool.damaged
    assert spool.content(ONE) is None
    assert (place / ONE / "data").read_bytes() == ONE.encode()
    fresh = spool.create(THREE)
    await fresh.write(0, b"new", mtime_ns=1)
    await fresh.confirm(no_rows)
    await spool.close()
    (place / TWO / "card.json").unlink()
    spool = open_spool(place)  # they stay for ever, and it says so each time
    assert "2 saved drafts" in spool.damaged
    assert (place / TWO / "data").read_bytes() == TWO.encode()
    assert await whole(spool, THREE) == b"new"
    await spool.close()


@real
async def test_bytes_that_are_missing_are_told_and_the_others_are_there(tmp_path):
    place = tmp_path / "spool"
    await filled(place)
    os.truncate(place / ONE / "data", 10)
    spool = open_spool(place)
    assert ONE in spool.damaged
    assert "10 of 32 bytes" in spool.damaged
    assert found(spool, ONE).damaged
    with pytest.raises(SpoolError, match="damaged"):
        await found(spool, ONE).read(0, 32, read_base)
    content = found(spool, ONE)
    await content.write(0, b"x", mtime_ns=2)
    with pytest.raises(SpoolError, match="10 of 32"):
        await content.confirm(no_rows)
    content.start_over(0)
    await content.write(0, b"saved anew", mtime_ns=2)
    await content.confirm(no_rows)
    assert await whole(spool, TWO) == TWO.encode()
    await spool.close()
    spool = open_spool(place)
    assert spool.damaged == ""
    assert await whole(spool, ONE) == b"saved anew"
    await spool.close()


@real
async def test_what_a_kill_left_behind_goes_unless_it_may_be_the_only_copy(tmp_path):
    place = tmp_path / "spool"
    await filled(place)
    (place / ("3" * 32)).mkdir()
    (place / ("3" * 32) / "data").write_bytes(b"never confirmed")
    (place / ("4" * 32)).mkdir()
    (place / ("4" * 32) / "data").write_bytes(b"confirmed once")
    write_card(place / ("4" * 32), {"generation": 1})
    (place / ONE / "data.7").write_bytes(b"of a confirmation that did not end")
    with (place / ONE / "data").open("ab") as file:
        file.write(b"a tail")
    (place / "my backup").mkdir()
    (place / "my backup" / "data").write_bytes(b"of a person")
    spool = open_spool(place)
    assert "4" * 32 in spool.damaged
    there = sorted(each.name for each in place.iterdir() if each.is_dir())
    assert there == [ONE, TWO, "4" * 32, "my backup"]
    assert (place / "my backup" / "data").exists()
    assert sorted(each.name for each in (place / ONE).iterdir()) == ["card.json", "data"]
    assert (place / ONE / "data").read_bytes() == ONE.encode()
    assert read_card(place / ("4" * 32)) == {"generation": 1}
    await spool.close()


@real
async def test_a_start_costs_rows_not_bytes(tmp_path, monkeypatch):
    """200 drafts: no byte of theirs is read."""
    place = tmp_path / "spool"
    spool = open_spool(place)
    for each in range(200):
        content = spool.create(id_of(each))
        await content.write(0, b"x" * 5000, mtime_ns=1)
        await content.confirm(no_rows)
    await spool.close()
    monkeypatch.setattr(os, "pread", None)
    monkeypatch.setattr(os, "preadv", None)
    spool = open_spool(place)
    monkeypatch.undo()
    assert spool.used_bytes == 200 * 5000
    assert await whole(spool, id_of(199)) == b"x" * 5000
    await spool.close()


@real
async def test_after_the_end_everything_is_refused_in_words(tmp_path):
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"abc", mtime_ns=1)
    await spool.close()
    for call in (
        lambda: content.write(0, b"abc", mtime_ns=1),
        lambda: content.confirm(no_rows),
        lambda: spool.commit([Change("name", "n", {})]),
    ):
        with pytest.raises(SpoolError, match="is closed"):
            await call()
    with pytest.raises(ValueError, match="no name"):
        spool.create(DraftId("../x"))


def test_the_journal_is_private_from_its_first_moment(tmp_path):
    old = os.umask(0)
    try:
        journal = Journal(tmp_path)
        journal.open()
    finally:
        os.umask(old)
    for path in tmp_path.glob("journal.db*"):
        assert path.stat().st_mode & 0o777 == 0o600, path
    journal.close()
