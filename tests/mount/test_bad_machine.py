"""A machine without what a mount needs, places that are taken, and disks that are full or another
user's: one line, the right status, nothing lost."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import the_line
from tests.support.mounts import Home, dmfs_command, mounted_at

ACCOUNT = "Emulated Builders \uff0f Headquarters"
FILES = f"/{ACCOUNT}/Sample Project/Project Files"


# The machine


def _as_root_in_own_mounts(home: Home, script: str) -> subprocess.CompletedProcess[bytes]:
    done = home.tool("unshare", "-m", "sh", "-c", "true")
    if done.returncode != 0:
        pytest.skip("no mount namespaces here")
    return home.tool("unshare", "-m", "--propagation", "private", "sh", "-ec", script)


def test_no_dev_fuse(home, point):
    command = shlex.join([*dmfs_command(), "mount", "/", str(point)])
    script = f"mount -t tmpfs none /dev; mknod /dev/null c 1 3; exec {command}"
    line = the_line(_as_root_in_own_mounts(home, script), 1)
    assert "/dev/fuse" in line
    assert "dmfs ls" in line


def test_no_fusermount3(home, point):
    line = the_line(home.run("mount", "/", str(point), environ={"PATH": "/nonexistent"}), 1)
    assert "fusermount3 is not installed" in line
    assert "fuse3" in line


def test_no_fusermount3_at_unmount(drive, home):
    line = the_line(home.run("umount", str(drive.point), environ={"PATH": "/nonexistent"}), 1)
    assert "fusermount3 is not installed" in line


def test_already_mounted(drive, home):
    line = the_line(home.run("mount", "/", str(drive.point)), 1)
    assert "a dmfs drive is already mounted" in line
    assert f"dmfs umount {drive.point}" in line
    assert drive.call("listdir", drive.path())


def test_something_else_is_mounted(home, point):
    if os.spawnlp(os.P_WAIT, "mount", "mount", "-t", "tmpfs", "none", str(point)):
        pytest.skip("only root can mount a tmpfs")
    try:
        line = the_line(home.run("mount", "/", str(point)), 1)
    finally:
        os.spawnlp(os.P_WAIT, "umount", "umount", str(point))
    assert "something else (tmpfs) is already mounted" in line


def test_busy_at_unmount_names_the_process(drive, home):
    handle = drive.call("open", drive.path(FILES[1:], "README.txt"))
    try:
        line = the_line(home.run("umount", str(drive.point)), 1)
        assert f"({drive.hands.pid})" in line
        assert "busy" in line
    finally:
        drive.call("close", handle)
    assert drive.call("listdir", drive.path())  # nothing lost


def test_a_stale_mount_is_cleared_at_start(make_drive, home):
    drive = make_drive()
    drive.call("listdir", drive.path())
    drive.kill()
    assert mounted_at(drive.point)
    done = home.run("mount", "/", str(drive.point))
    try:
        assert (done.returncode, done.stderr) == (0, b"")
        assert drive.call("listdir", drive.path())
    finally:
        assert home.run("umount", str(drive.point)).returncode == 0


def test_a_stale_mount_can_be_unmounted(make_drive, home):
    drive = make_drive()
    drive.kill()
    done = home.run("umount", str(drive.point))
    assert (done.returncode, done.stderr) == (0, b"")
    assert mounted_at(drive.point) is None


# The cache and state directories


@contextmanager
def _small_disk(path: Path, options: str) -> Iterator[None]:
    path.mkdir(parents=True, exist_ok=True)
    if os.spawnlp(os.P_WAIT, "mount", "mount", "-t", "tmpfs", "-o", options, "none", str(path)):
        pytest.skip("only root can mount a tmpfs")
    try:
        yield
    finally:
        os.spawnlp(os.P_WAIT, "umount", "umount", "-l", str(path))


def test_cache_is_a_file(home, point):
    home.cache.write_text("precious")
    for words in (["ls"], ["mount", "/", str(point)]):
        line = the_line(home.run(*words), 1)
        assert str(home.cache) in line
        assert "DMFS_CACHE_DIR" in line
    assert home.cache.read_text() == "precious"


def test_cache_belongs_to_another(home, point):
    home.cache.mkdir()
    os.chown(home.cache, 12345, 12345)
    line = the_line(home.run("mount", "/", str(point)), 1)
    assert str(home.cache) in line
    assert (home.cache.stat().st_uid, list(home.cache.iterdir())) == (12345, [])


def test_cache_is_read_only(home):
    with _small_disk(home.cache, "ro,mode=700"):
        line = the_line(home.run("ls"), 1)
    assert str(home.cache) in line
    assert "Read-only" in line or "not writable" in line


def test_cache_disk_is_full(home):
    with _small_disk(home.cache, "size=64k,mode=700"):
        (home.cache / "filler").write_bytes(bytes(61440))
        line = the_line(home.run("ls"), 1)
    assert str(home.cache) in line
    assert "free some space" in line


def test_state_is_a_file(home, point):
    home.state.write_text("precious")
    line = the_line(home.run("mount", "/", str(point)), 1)
    assert str(home.state) in line
    assert home.state.read_text() == "precious"
    assert mounted_at(point) is None
