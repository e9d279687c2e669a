"""``dmfs pin`` and ``dmfs unpin``, with mounts and without."""

from __future__ import annotations

import errno
import json

import pytest

from tests.pins.keeping import BIG, FILES, TREE
from tests.support.fixtures import drives
from tests.support.mounts import Drive, Home, wait_until


def lines(done) -> list[dict]:
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_pin_without_a_mount(emulator, tmp_path):
    home = Home(tmp_path / "own", emulator, {})
    events = lines(home.run("pin", "--json", TREE))
    assert events[0]["event"] == "estimate"
    assert events[-1]["pins"][0]["state"] == "complete"
    emulator.reset()
    assert b": complete (8 of 8 files" in home.run("pin", "--list").stdout
    assert not emulator.counts()["cdn_get"]
    assert b"no longer pinned" in home.run("unpin", TREE).stdout
    assert home.run("pin", "--list").stdout == b"nothing is pinned\n"
    refused = home.run("pin", "/Bench")
    assert refused.returncode == 2
    assert b"too much to pin" in refused.stderr
    assert home.run("pin").returncode == 2


@pytest.mark.mount
def test_two_mounts_one_keeper_and_a_command(emulator, tmp_path):
    with drives(tmp_path, emulator, log_level="info") as make:
        one = make(name="one")
        two = Drive(tmp_path / "two", emulator, home=one.home)
        try:
            two.start()
            emulator.reset()
            events = lines(one.home.run("pin", "--json", one.path(f"{FILES}/tree")))
            assert events[-1]["pins"][0]["state"] == "complete"
            size = events[-1]["pins"][0]["bytes"]
            assert emulator.calls()["cdn_bytes"] == size
            assert emulator.counts()["sign"] == 8
            file = two.path(f"{FILES}/tree/f00000.dat")
            for drive in (one, two):
                tree = drive.path(f"{FILES}/tree")
                assert drive.call("getxattr", tree, "user.dmfs.pinned") == b"yes"
                assert "user.dmfs.pinned" not in drive.call("listxattr", tree)
            assert two.call("getxattr", file, "user.dmfs.pinned") == b"inherited"
            assert two.call("getxattr", file, "user.dmfs.cached") == b"100"
            assert "user.dmfs.cached" not in two.call("listxattr", file)
            big = two.path(f"{BIG}/big-00.bin")
            assert two.call("getxattr", big, "user.dmfs.cached") == b"0"
            assert two.call("errno_of", "getxattr", big, "user.dmfs.pinned") == errno.ENODATA
            status = json.loads(one.home.run("status", "--json", str(one.point)).stdout)[0]
            assert (status["pins"]["total"], status["pins"]["done"]) == (8, 8)
            one.kill()  # whichever of them keeps, the other goes on
            emulator.reset()
            events = lines(two.home.run("pin", "--json", two.path(f"{BIG}/big-00.bin")))
            assert {each["state"] for each in events[-1]["pins"]} == {"complete"}
            wait_until(
                lambda: two.call("getxattr", big, "user.dmfs.cached") == b"100", what="fetched"
            )
        finally:
            two.close()
