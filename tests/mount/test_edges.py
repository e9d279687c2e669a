"""The edges of a drive's life: odd places, neighbours, two at once, processes that stand still."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dmfs.cli.serve import log_name
from tests.support.baddisk import BadDisk
from tests.support.commands import the_line
from tests.support.mounts import (
    Drive,
    dmfs_command,
    force_unmount,
    mount_table,
    mounted_at,
    processes_of_session,
    wait_until,
)

QUICK_S = 40.0
"""Far above what a machine with eight suites at once needs; a command that hangs takes longer."""


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "small:files=3"


def daemons(point: Path) -> list[tuple[int, str]]:
    return [(pid, line) for pid, line in processes_of_session() if str(point) in line]


def mounts_at(point: Path) -> list[str]:
    return [kind for _, place, kind, _ in mount_table() if place == str(point)]


@contextmanager
def stopped(drive: Drive) -> Iterator[None]:
    """The drive's process stands still."""
    assert drive.process is not None
    drive.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        drive.process.send_signal(signal.SIGCONT)


# Names and neighbours


@pytest.mark.parametrize("name", ["図面　一覧", "a\u00a0b\u2028c", b"caf\xe9 \xff"])
def test_a_mountpoint_of_any_name_can_be_unmounted(home, tmp_path, name):
    point = tmp_path / os.fsdecode(name)
    point.mkdir()
    try:
        done = home.run("mount", "/", os.fsencode(point))
        assert (done.returncode, done.stderr) == (0, b"")
        assert mounts_at(point) == ["fuse.dmfs"]
        done = home.run("umount", os.fsencode(point))
        assert (done.returncode, done.stderr) == (0, b"")
        assert mounts_at(point) == []
    finally:
        force_unmount(point)
    wait_until(lambda: not daemons(point))


def test_a_drive_that_ends_leaves_what_was_mounted_over_it(make_drive, tmp_path):
    drive = make_drive()
    if subprocess.run(["mount", "-t", "tmpfs", "none", str(drive.point)], check=False).returncode:
        pytest.skip("only root can mount a tmpfs")
    try:
        drive.stop()
        assert mounts_at(drive.point)[-1] == "tmpfs"
    finally:
        subprocess.run(["umount", str(drive.point)], check=True)


def test_a_dead_mount_of_another_kind_is_not_cleared(home, tmp_path):
    with BadDisk(tmp_path / "other") as other:
        assert other._process is not None
        other._process.kill()
        other._process.wait(10)
        line = the_line(home.run("mount", "/", str(other.directory)), 1)
        assert "something else (fuse) is already mounted" in line
        assert mounts_at(other.directory) == ["fuse"]


def test_a_mountpoint_by_a_symbolic_link(home, point, tmp_path):
    (tmp_path / "link").symlink_to("point")
    assert home.run("mount", "/", "link", cwd=tmp_path).returncode == 0
    line = the_line(home.run("mount", "/", str(point)), 1)
    assert "already mounted" in line
    assert home.run("umount", "link", cwd=tmp_path).returncode == 0
    assert mounts_at(point) == []
    wait_until(lambda: not daemons(tmp_path))


# Two at once


def test_umount_says_that_a_drive_is_starting(home, point):
    descriptor = os.open(point, os.O_RDONLY)
    try:
        assert "nothing is mounted" in the_line(home.run("umount", str(point)), 1)
        subprocess.run(["flock", "-n", str(descriptor)], pass_fds=[descriptor], check=True)
        assert "a drive is starting there" in the_line(home.run("umount", str(point)), 1)
        assert "about to mount" in the_line(home.run("mount", "/", str(point)), 1)
    finally:
        os.close(descriptor)


# Requests that are taken back


HASTY = """
import sys
if "--ready-fd" in sys.argv:
    import itertools, os, pathlib
    import dmfs.fuse.workers as workers
    class Hasty(workers._QuickLook):
        numbers = itertools.count()
        async def wait(self):
            # every other time there is nothing, as when a killed program's request goes
            if next(self.numbers) % 2:
                pathlib.Path(os.environ["MARK"]).touch()
                return True
            return await super().wait()
    workers._QuickLook = Hasty
"""


def test_a_request_that_is_gone_when_it_is_to_be_read_holds_nobody_up(home, point, tmp_path):
    """The read of it blocked the whole process: who waited for the service waited on, until
    somebody asked for something else."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(HASTY)
    environ = {"PYTHONPATH": str(hooks), "MARK": str(tmp_path / "mark")}
    try:
        assert home.run("mount", "/", str(point), environ=environ).returncode == 0
        listed = home.tool("find", str(point), timeout_s=QUICK_S)
        assert (listed.returncode, listed.stderr) == (0, b"")
        assert len(listed.stdout.splitlines()) == 8
        assert (tmp_path / "mark").exists(), "pyfuse3 asks us"
    finally:
        home.run("umount", str(point))
        force_unmount(point)
    wait_until(lambda: not daemons(point))


# Mounted in two places


@contextmanager
def copied(*entered: str) -> Iterator[str]:
    """Another namespace with a copy of each mount; the pid of a process in it. ``entered``: a
    command that goes to where it is made from."""
    with subprocess.Popen(
        [*entered, "unshare", "--mount", "--propagation", "private", "sh", "-c", "echo; exec cat"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        if holder.stdout.read(1) != b"\n":
            pytest.skip("no mount namespaces here")
        yield str(holder.pid)
        assert holder.stdin is not None
        holder.stdin.close()


def test_a_drive_serves_as_long_as_it_is_mounted_in_any_namespace(make_drive, home):
    drive = make_drive()
    assert drive.process is not None
    with copied() as elsewhere:
        assert home.run("umount", str(drive.point)).returncode == 0
        assert mounts_at(drive.point) == []
        look = ["ls", f"/proc/{elsewhere}/root{drive.point}"]
        assert subprocess.run(look, capture_output=True, check=True, timeout=QUICK_S).stdout
        assert drive.process.poll() is None
    assert drive.process.wait(QUICK_S) == 0


def test_a_namespace_that_is_made_beside_the_tests_keeps_no_drive_of_theirs(make_drive, home):
    """Such a drive would not end when it is unmounted, and its test would fail."""
    drive = make_drive()
    assert drive.process is not None
    with copied("nsenter", "-t", str(os.getppid()), "-m"):
        assert home.run("umount", str(drive.point)).returncode == 0
        assert drive.process.wait(QUICK_S) == 0


# The log's name


def test_each_mountpoint_has_a_log_of_its_own() -> None:
    places = [
        "/x/y",
        "/x-y",
        "/x/y ",
        "/",
        "/" + "n/" * 130,
        "/図面　一覧",
        "/caf\udce9",
        "/..",
        "/-",
    ]
    names = [log_name(place) for place in places]
    assert len(set(names)) == len(places)
    for name in names:
        assert len(name.encode()) <= 240, "with room for .3"
        assert name.isprintable()
        assert name.endswith(".log")
        assert not name.startswith((".", "-"))
    assert log_name("/home/ada/drive").startswith("home-ada-drive.")


def test_a_mountpoint_of_260_bytes_has_a_log(home, tmp_path):
    point = tmp_path / ("a" * 130) / ("b" * 130)
    point.mkdir(parents=True)
    try:
        assert home.run("mount", "/", str(point)).returncode == 0
        assert (home.state / "log" / log_name(str(point))).exists()
        assert home.run("umount", str(point)).returncode == 0
    finally:
        force_unmount(point)
    wait_until(lambda: not daemons(point))
    assert mounted_at(point) is None


# What is ours is ours alone


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_directories_and_files_are_private_whatever_the_umask(home, point, tmp_path, umask):
    home.environ["DMFS_STATE_DIR"] = str(tmp_path / "deep" / "er" / "state")
    before = os.umask(umask)
    try:
        done = home.run("mount", "/", str(point))
        assert (done.returncode, done.stderr) == (0, b"")
        assert home.run("ls").returncode == 0
    finally:
        os.umask(before)
        home.run("umount", str(point))
    wait_until(lambda: not daemons(point))
    for top in (tmp_path / "deep", home.cache):
        for path in [top, *top.rglob("*")]:
            assert not path.stat().st_mode & 0o077, path


def test_directories_and_logs_that_were_open_are_narrowed(home, point):
    log = home.state / "log" / log_name(str(point))
    log.parent.mkdir(parents=True)
    for path in (log, log.with_name(log.name + ".1")):
        path.write_text("old\n")
        path.chmod(0o644)
    for path in (home.state, log.parent):
        path.chmod(0o777)
    found = home.run("doctor").stdout.decode()
    for path in (home.state, log.parent, log):
        assert f"{path} is open to others" in found
    assert "ours alone" not in found
    assert home.run("mount", "/", str(point)).returncode == 0
    assert home.run("umount", str(point)).returncode == 0
    wait_until(lambda: not daemons(point))
    for path in (home.state, log.parent, log, log.with_name(log.name + ".1")):
        assert not path.stat().st_mode & 0o077, path
    assert "ours alone" in home.run("doctor").stdout.decode()


# A machine that has little


def test_a_low_limit_of_open_files_is_told_at_start_and_as_what_it_is(home, point):
    """The soft limit is raised; of a hard one that is too low a person hears at once, and what
    fails for it is neither the service's fault nor a network that is down."""
    mount = ["sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh", *dmfs_command(), "mount", "/"]
    done = home.tool(*mount, str(point))
    assert (done.returncode, done.stderr) == (0, b"")
    assert home.run("umount", str(point)).returncode == 0
    wait_until(lambda: not daemons(point))
    mount[2] = 'ulimit -n 64; exec "$@"'
    done = home.tool(*mount, str(point), "--log-level", "debug")
    assert b"only 64 files may be open at once here" in done.stderr
    assert b"ulimit -n" in done.stderr
    if done.returncode == 0:
        home.tool("sh", "-c", f"cat {point}/*/*/*/* >/dev/null; ls -lR {point} >/dev/null")
        assert home.run("umount", str(point)).returncode == 0
        wait_until(lambda: not daemons(point))
    log = (home.state / "log" / log_name(str(point))).read_text()
    said = log + done.stderr.decode()
    assert "cannot be reached" not in said
    assert "check the network" not in said
    assert "bug in" not in said
