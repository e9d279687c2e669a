"""A daemon that is killed: errors, not emptiness; and a cache that never holds a wrong byte."""

from __future__ import annotations

import errno
import random
import threading
import time

import pytest

from tests.support.hands import Hands
from tests.support.mounts import mounted_at, wait_until
from tests.support.stores import bytes_at_rest

FOLDER = "Bench/Bench Project/Project Files"
BIG, COUNT = 120_000_000, 3
KILLS = 8
BROKEN = {errno.ENOTCONN, errno.ECONNABORTED, errno.EIO}


@pytest.fixture(scope="module")
def world_spec() -> str:
    return f"small:files=40+big:size={BIG},count={COUNT}"


def _later(hands: Hands, *call: object) -> tuple[threading.Thread, list[int]]:
    """``errno_of`` in a thread."""
    seen: list[int] = []
    thread = threading.Thread(
        target=lambda: seen.append(hands.call("errno_of", *call, timeout_s=40)), daemon=True
    )
    thread.start()
    return thread, seen


def test_blocked_readers_get_an_error(calm, make_drive):
    drive = make_drive()
    big = drive.path(FOLDER, "big", "big-00.bin")
    drive.call("listdir", drive.path(FOLDER))
    drive.call("stat", big)
    calm.fault("stall_before_headers", origin="cdn", times=None, seconds=None)
    calm.fault("stall_before_headers", route="contents", times=None, seconds=None)
    readers = [Hands() for _ in range(3)]
    try:
        pending = [
            _later(readers[0], "read", big, 0, 100_000),
            _later(readers[1], "direct", big, 8 << 20, 4096),
            _later(readers[2], "listdir", drive.path(FOLDER, "small")),
        ]
        wait_until(lambda: calm.counts()["cdn_get"] >= 1 and calm.counts()["contents"] >= 1)
        assert not any(seen for _, seen in pending)
        drive.kill()
        for thread, seen in pending:
            thread.join(30)
            assert seen
            assert seen[0] in BROKEN
    finally:
        for hands in readers:
            hands.close()
    assert drive.call("errno_of", "listdir", drive.path(FOLDER)) == errno.ENOTCONN
    assert drive.call("errno_of", "listdir", drive.path()) == errno.ENOTCONN
    calm.clear_faults()
    drive.start()  # on the same mountpoint, by itself
    assert len(drive.call("listdir", drive.path(FOLDER, "small"))) == 40


def test_killed_many_times_in_mid_write(calm, make_drive):
    """Whatever a kill left in the cache is right: every byte afterwards is the emulator's, and
    some of them did not come from the network."""
    dice = random.Random(7)
    calm.settings(cdn_bytes_per_s=15_000_000)
    drive = make_drive(name="round")
    for number in range(KILLS):
        if number:
            drive.start()
        calm.reset()
        hands = [Hands(), Hands()]
        try:
            pending = [
                _later(
                    each, "sha256", drive.path(FOLDER, "big", f"big-0{(number + n) % COUNT}.bin")
                )
                for n, each in enumerate(hands)
            ]
            # From the first GET on, not from the start: a slow machine needs longer to come here.
            wait_until(lambda: calm.counts()["cdn_get"])
            time.sleep(dice.random() * 0.5)
            if (
                number == KILLS - 1
            ):  # whatever the dice left: some blocks are at rest, more are coming
                wait_until(lambda: bytes_at_rest(drive.home.cache))
            drive.kill()
            for thread, _ in pending:
                thread.join(30)
        finally:
            for each in hands:
                each.close()
    calm.settings(cdn_bytes_per_s=0)
    time.sleep(0.5)  # answers to the dead are counted when they end
    calm.reset()
    drive.start()
    for number in range(COUNT):
        name = f"big-0{number}.bin"
        storage = drive.call("getxattr", drive.path(FOLDER, "big", name), "user.dmfs.storage_id")
        seen = drive.call("sha256", drive.path(FOLDER, "big", name), timeout_s=60)
        assert seen == calm.sha256(storage.decode()), name
    assert 0 < calm.calls()["cdn_bytes"] < COUNT * BIG
    # now all of it is there: one more mount asks the network for nothing
    assert drive.stop() == 0
    assert mounted_at(drive.point) is None
    calm.reset()
    calm.fault("status", origin="cdn", status=500, shape="xml", times=None)
    drive.start()
    for number in range(COUNT):
        path = drive.path(FOLDER, "big", f"big-0{number}.bin")
        storage = drive.call("getxattr", path, "user.dmfs.storage_id").decode()
        assert drive.call("sha256", path, timeout_s=60) == calm.sha256(storage)
    assert calm.counts()["cdn_get"] == 0


def test_the_log_of_a_killed_daemon_tells_no_bug(calm, make_drive):
    drive = make_drive()
    drive.call("sha256", drive.path(FOLDER, "small", "small-00001.txt"))
    drive.kill()
    drive.start()
    drive.call("sha256", drive.path(FOLDER, "small", "small-00001.txt"))
    assert drive.stop() == 0
    assert "Traceback" not in drive.log()
