"""Promises of ``dmfs/help/semantics.md`` about the edges of a life, by their names there."""

from __future__ import annotations

import subprocess

import pytest

from tests.mount.test_edges import QUICK_S, daemons, mounts_at, stopped
from tests.support.baddisk import BadDisk
from tests.support.commands import the_line
from tests.support.mounts import dmfs_command, wait_until


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "small:files=3"


def test_umount_leaves_the_filesystems_of_others_alone(home, tmp_path):
    with BadDisk(tmp_path / "other") as other:
        for mood in ("well", "hang"):
            other.turn(mood)
            line = the_line(home.run("umount", str(other.directory), timeout_s=QUICK_S), 1)
            assert "is not a dmfs drive but fuse; leaving it alone" in line
            line = the_line(home.run("mount", "/", str(other.directory), timeout_s=QUICK_S), 1)
            assert "something else (fuse) is already mounted" in line
        assert mounts_at(other.directory) == ["fuse"]


def test_of_two_mounts_at_once_one_wins(home, point, tmp_path):
    (tmp_path / "link").symlink_to("point")
    starts = [
        subprocess.Popen(
            [*dmfs_command(), "mount", "/", str(path)],
            env=home.environment({"DMFS_STATE_DIR": str(tmp_path / f"state{number}")}),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        for number, path in enumerate([point, tmp_path / "link", point])
    ]  # fmt: skip
    said = [start.communicate(timeout=QUICK_S)[1].decode() for start in starts]
    assert sorted(start.returncode for start in starts) == [0, 1, 1], said
    for start, text in zip(starts, said, strict=True):
        if start.returncode:
            assert "another dmfs is about to mount" in text or "already mounted" in text
    assert mounts_at(point) == ["fuse.dmfs"]
    wait_until(lambda: len(daemons(tmp_path)) == 1)
    assert home.run("umount", str(point)).returncode == 0
    assert mounts_at(point) == []
    wait_until(lambda: not daemons(tmp_path))


def test_a_mountpoint_whose_process_is_stopped_blocks_no_command(make_drive, home):
    drive = make_drive()
    below = drive.point / "below" / "it"
    with stopped(drive):
        line = the_line(home.run("mount", "/", str(drive.point), timeout_s=QUICK_S), 1)
        assert "does not answer" in line
        line = the_line(home.run("umount", str(below), timeout_s=QUICK_S), 1)
        assert f"{drive.point} cannot be passed: does not answer" in line
        found = home.run("doctor", timeout_s=QUICK_S).stdout.decode()
        assert f"the mount at {drive.point} does not answer" in found
        assert home.run("whoami", timeout_s=QUICK_S).returncode == 0
        done = home.run("umount", str(drive.point), timeout_s=QUICK_S)
        assert (done.returncode, done.stderr) == (0, b"")
        assert mounts_at(drive.point) == []
    assert drive.process is not None
    assert drive.process.wait(20) == 0
