"""Promises of ``dmfs/help/semantics.md`` about bytes and freshness, by their names there."""

from __future__ import annotations

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.hands import Hands
from tests.support.mounts import wait_until
from tests.support.oracle import Oracle
from tests.support.sample import (
    CHUNKED,
    QUICK,
    QUIRKS,
    RAW_SAMPLE,
    SAMPLE,
    SHOWS_S,
)

# Reading


def test_every_read_returns_the_right_bytes(drive, oracle):
    entry = oracle.at(CHUNKED)
    path, size = drive.path(CHUNKED), entry.real_size
    whole = oracle.bytes(entry)
    assert drive.call("read", path) == whole
    spans = [(0, 1), (131071, 2), (size - 5, 50), (size, 10), (size + 100, 10), (1_199_990, 30)]
    pieces = drive.call("preads", path, spans)
    assert pieces == [whole[offset : offset + length] for offset, length in spans]
    assert drive.call("mmap_slices", path, [(1_000_000, 1_300_000)]) == [whole[1_000_000:1_300_000]]
    assert drive.call("direct", path, 1_196_032, 65536) == whole[1_196_032 : 1_196_032 + 65536]


def test_an_open_file_keeps_its_version(own_emulator, make_drive):
    drive = make_drive(of=own_emulator, config=QUICK)
    oracle = Oracle(own_emulator)
    entry = oracle.at(f"{SAMPLE}/Large Files/Tower.rvt")
    handle = drive.call("open", drive.path(entry.path))
    first = drive.call("pread", handle, 0, 1000)
    own_emulator.change("new_version", path=f"{RAW_SAMPLE}/Large Files/Tower.rvt", size=5000)
    own_emulator.change("hide", path=f"{RAW_SAMPLE}/Large Files/Tower.rvt")
    wait_until(
        lambda: "Tower.rvt" not in drive.call("listdir", drive.path(SAMPLE, "Large Files")), SHOWS_S
    )
    # a part that nobody had read yet
    at = entry.real_size - 70_000
    assert drive.call("pread", handle, at, 100_000) == oracle.bytes(entry, at, 100_000)
    assert first == oracle.bytes(entry, 0, 1000)
    assert drive.call("fstat", handle).st_size == entry.real_size


def test_a_new_version_shows_within_the_ttl(own_emulator, make_drive):
    drive = make_drive(of=own_emulator, config=QUICK)
    path = drive.path(SAMPLE, "README.txt")
    old = drive.call("read", path)
    own_emulator.change("new_version", path=f"{RAW_SAMPLE}/README.txt", text="another text\n")
    new = wait_until(lambda: (text := drive.call("read", path)) != old and text, SHOWS_S)
    assert new == b"another text\n"
    assert drive.call("stat", path).st_size == len(new)


def test_a_file_that_may_not_be_read_fails_at_open(calm, make_drive):
    drive = make_drive()  # where no file of the folder could be read lately
    path = drive.path(QUIRKS, "Storage", "view only.bin")
    assert drive.call("errno_of", "open", path) == errno.EACCES
    assert drive.call("stat", path).st_size == 3_000_000
    assert "view only.bin" in drive.call("listdir", drive.path(QUIRKS, "Storage"))
    drive.call("close", drive.call("open", drive.path(QUIRKS, "Storage", "no sha1.bin")))
    assert drive.call("errno_of", "open", path) == errno.EACCES  # it was refused before


def test_expired_urls_are_renewed_unseen(calm, make_drive):
    drive = make_drive()
    oracle = Oracle(calm)
    entry = oracle.at(f"{SAMPLE}/Large Files/pointcloud.rcs")
    handle = drive.call("open", drive.path(entry.path))
    assert drive.call("pread", handle, 0, 100) == oracle.bytes(entry, 0, 100)
    calm.reset()
    for number in range(1, 7):  # far apart: nothing of it was fetched ahead
        calm.expire_urls()
        at = number * 700_000_000 + number
        assert drive.call("pread", handle, at, 5000) == oracle.bytes(entry, at, 5000)
        # once each, and once more if what was fetched ahead was on its way just then
        assert number <= drive.counts()["sign"] <= number + 2
    refused = [row for row in calm.calls()["log"] if row["status"] == 403]
    assert len(refused) >= 6


def test_bytes_are_fetched_once(calm, make_drive):
    drive = make_drive()
    path = drive.path(CHUNKED)
    many = [Hands() for _ in range(6)]
    try:
        with ThreadPoolExecutor(6) as pool:
            digests = set(pool.map(lambda hands: hands.call("sha256", path), many))
    finally:
        for hands in many:
            hands.close()
    assert len(digests) == 1
    assert calm.calls()["cdn_bytes"] == 3_000_000
    assert drive.counts()["sign"] == 1
    assert drive.stop() == 0
    again = make_drive(name="again", home=drive.home)
    assert again.call("sha256", again.path(CHUNKED)) in digests
    assert calm.calls()["cdn_bytes"] == 3_000_000


@pytest.mark.parametrize("damage", ["flipped", "truncated", "zeroed"])
def test_a_damaged_cache_is_a_miss(calm, make_drive, damage):
    drive = make_drive()
    digest = drive.call("sha256", drive.path(CHUNKED))
    assert drive.stop() == 0
    data = max(drive.home.cache.rglob("*"), key=lambda p: p.stat().st_size if p.is_file() else 0)
    assert data.stat().st_size >= 2_900_000, "where are the blocks?"
    with data.open("r+b") as file:
        if damage == "flipped":
            file.seek(1_500_000)
            byte = file.read(1)
            file.seek(1_500_000)
            file.write(bytes([byte[0] ^ 1]))
        elif damage == "truncated":
            file.truncate(1_500_000)
        else:
            file.seek(1_400_000)
            file.write(bytes(500_000))
    calm.reset()
    again = make_drive(name="again", home=drive.home)
    assert again.call("sha256", again.path(CHUNKED)) == digest
    fetched = calm.calls()["cdn_bytes"]
    assert 0 < fetched <= 3_000_000


def test_a_broken_cache_disk_does_not_stop_reads(calm, make_drive, tmp_path):
    """One that is too small; ``tests/hostile/test_cache_disk.py`` has what else a disk can do."""
    disk = tmp_path / "own" / "cache"
    disk.mkdir(parents=True)
    done = _mount("-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk))
    if done:
        pytest.skip("only root can make a small disk")
    try:
        drive = make_drive(config={"cache_free_percent": 0})
        oracle = Oracle(calm)
        entry = oracle.at(f"{SAMPLE}/Large Files/Tower.rvt")
        handle = drive.call("open", drive.path(entry.path))
        length = 20_000_000  # three times the disk
        assert drive.call("pread", handle, 0, length) == oracle.bytes(entry, 0, length)
        at = 100_000_000
        assert drive.call("pread", handle, at, length) == oracle.bytes(entry, at, length)
        assert drive.call("read", drive.path(SAMPLE, "README.txt"))
        assert drive.stop() == 0
        assert "Traceback" not in drive.log()
    finally:
        drive.close()
        _umount(disk)


def _mount(*words: str) -> int:
    return os.spawnlp(os.P_WAIT, "mount", "mount", *words)


def _umount(path: Path) -> None:
    os.spawnlp(os.P_WAIT, "umount", "umount", "-l", str(path))


# Freshness


def test_a_listing_answers_everything_for_its_ttl(calm, make_drive):
    drive = make_drive()  # with the default ttl of 60 s
    folder = drive.path(SAMPLE, "Drawings")
    began = time.monotonic()
    names = drive.call("listdir", folder)
    calm.reset()
    calm.change("add_item", path=f"{RAW_SAMPLE}/Drawings", name="added.txt", text="x")
    try:
        assert drive.call("listdir", folder) == names
        drive.call("lstats", folder)
        assert set(drive.call("probe", [f"{folder}/absent {n}" for n in range(50)])) == {
            errno.ENOENT
        }
        assert drive.call("errno_of", "stat", f"{folder}/added.txt") == errno.ENOENT
        if time.monotonic() - began < 55:
            assert drive.counts() == {}
    finally:
        calm.change("hide", path=f"{RAW_SAMPLE}/Drawings/added.txt")


def test_a_stale_listing_is_served_after_patience(own_emulator, make_drive):
    drive = make_drive(of=own_emulator, config=QUICK | {"patience": "200ms"})
    folder = drive.path(SAMPLE, "Drawings")
    names = drive.call("listdir", folder)
    time.sleep(1.5)  # stale, for us and for the kernel
    own_emulator.change("add_item", path=f"{RAW_SAMPLE}/Drawings", name="added.txt", text="x")
    own_emulator.settings(route_latency_ms={"contents": 4000})
    own_emulator.reset()
    assert drive.call("listdir", folder) == names
    assert own_emulator.counts()["contents"] >= 1  # asked, and not waited for
    own_emulator.settings(route_latency_ms={})
    wait_until(lambda: drive.call("listdir", folder) == sorted([*names, "added.txt"]), 20)


def test_an_unchanged_rollup_keeps_listings_fresh(own_emulator, make_drive):
    folder = f"{SAMPLE}/Drawings"
    slow = QUICK | {"ttl": "1500ms"}

    def asked(drive) -> int:
        identifier = drive.call("getxattr", drive.path(folder), "user.dmfs.folder_id").decode()
        short = identifier.rpartition(".")[2]
        return sum(short in row["path"] for row in own_emulator.calls()["log"]
                   if row["route"] == "contents")  # fmt: skip

    def look(drive) -> list[str]:
        """The parent is listed anew (its ttl is over) and then tells of the folder."""
        time.sleep(1.6)
        drive.call("listdir", drive.path(SAMPLE))
        return drive.call("listdir", drive.path(folder))

    drive = make_drive(of=own_emulator, config=slow | {"rollup_trust": "15m"})
    names = look(drive)
    assert [look(drive) for _ in range(3)] == [names] * 3
    assert asked(drive) == 1
    own_emulator.change("add_item", path=f"{RAW_SAMPLE}/Drawings", name="told.txt", text="x")
    wait_until(lambda: "told.txt" in look(drive), SHOWS_S)
    # and not for ever: what the rollup did not tell shows when the trust ends
    short = make_drive(name="short", of=own_emulator, config=slow | {"rollup_trust": "3s"})
    look(short)
    own_emulator.change(
        "add_item", path=f"{RAW_SAMPLE}/Drawings", name="quiet.txt", text="x", quiet=True
    )
    wait_until(lambda: "quiet.txt" in look(short), 15)
