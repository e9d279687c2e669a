"""How a mount starts, looks, logs and ends."""

from __future__ import annotations

import errno
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.hostile.measure import gauges
from tests.support.hands import Hands
from tests.support.mounts import (
    Manager,
    dmfs_command,
    force_unmount,
    mounted_at,
    processes_of_session,
    wait_until,
)
from tests.support.oracle import Oracle

ACCOUNT = "Emulated Builders \uff0f Headquarters"
PROJECT = f"{ACCOUNT}/Sample Project"
FILES = f"{PROJECT}/Project Files"


@pytest.fixture(scope="module")
def oracle(emulator) -> Oracle:
    return Oracle(emulator)


def daemons(point: Path) -> list[tuple[int, str]]:
    return [(pid, line) for pid, line in processes_of_session() if str(point) in line]


# Start and end


def test_mount_returns_when_the_drive_answers(home, point):
    done = home.run("mount", "/", str(point))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    row = mounted_at(point)
    assert row is not None
    assert row[2] == "fuse.dmfs"
    ((pid, line),) = daemons(point)
    assert "emulator-secret" not in line
    assert os.getsid(pid) == pid
    assert str(Path(f"/proc/{pid}/cwd").readlink()) == "/"
    hands = Hands()
    try:
        assert ACCOUNT in hands.call("listdir", str(point))
        assert b"Welcome" in hands.call("read", f"{point}/{FILES}/README.txt")
    finally:
        hands.close()
    assert list((home.state / "log").glob("*.log"))
    done = home.run("umount", str(point))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert mounted_at(point) is None
    wait_until(lambda: not daemons(point), 20, "the process ends")


def test_mount_from_a_relative_path_and_with_blanks(home, tmp_path):
    point = tmp_path / "my drive, \u00fcber"
    point.mkdir()
    try:
        done = home.run("mount", f"/{PROJECT}/", point.name, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, b"")
        row = mounted_at(point)
        assert row is not None
        assert home.run("umount", point.name, cwd=tmp_path).returncode == 0
        assert mounted_at(point) is None
    finally:
        force_unmount(point)


def test_relative_paths_of_a_background_mount_are_those_of_the_caller(home, point, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    (here / "own.toml").write_text(home.config.read_text() + 'state_dir = "own-state"\n')
    (here / "trio.py").write_text("raise SystemExit('imported from the working directory')\n")
    words = ["--config", "own.toml", "--log-file", "own.log", "--set", "cache_dir=own-cache"]
    environ = {"DMFS_CONFIG": None, "DMFS_CACHE_DIR": None, "DMFS_STATE_DIR": None}
    mount = ["mount", *words, "/", os.path.relpath(point, here)]
    done = home.run(*mount, cwd=here, environ=environ)
    try:
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert mounted_at(point)
        assert (here / "own.log").stat().st_size
        assert (here / "own-cache").is_dir()
        assert (here / "own-state").is_dir()
        ((pid, _),) = [found for found in processes_of_session() if "own.toml" in found[1]]
        assert str(Path(f"/proc/{pid}/cwd").readlink()) == "/"
    finally:
        assert home.run("umount", str(point)).returncode == 0


def test_foreground_speaks_to_a_service_manager(home, point, tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(30)
        process = subprocess.Popen(
            [*dmfs_command(), "mount", "-f", "/", str(point)],
            env=home.environment({"NOTIFY_SOCKET": str(path)}),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            first = manager.recv(4096).decode().splitlines()
            assert first[0] == "READY=1"
            assert first[1].startswith("STATUS=")
            assert mounted_at(point)
            process.terminate()
            last = manager.recv(4096).decode().splitlines()
            while "READY=1" in last or not any(line == "STOPPING=1" for line in last):
                last = manager.recv(4096).decode().splitlines()
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 0
    assert out == b""
    assert b"Traceback" not in err
    assert mounted_at(point) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_unmount_even_while_a_reader_is_blocked(calm, make_drive, number):
    drive = make_drive()
    path = drive.path(FILES, "Large Files", "Tower.rvt")
    drive.call("stat", path)
    calm.fault("stall_before_headers", origin="cdn", times=None, seconds=None)
    reader, seen = Hands(), []
    thread = threading.Thread(
        target=lambda: seen.append(reader.call("errno_of", "read", path, 0, 10)), daemon=True
    )
    thread.start()
    try:
        wait_until(lambda: calm.counts()["cdn_get"] >= 1)
        assert drive.stop(number) == 0
        thread.join(20)
        assert seen
        assert seen[0] in {errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.EINTR}
    finally:
        reader.close()
    assert mounted_at(drive.point) is None
    assert "Traceback" not in drive.log()


def test_a_closed_terminal_does_not_end_it(calm, make_drive):
    drive = make_drive()
    assert drive.process is not None
    drive.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert drive.call("listdir", drive.path())
    assert drive.process.poll() is None


def test_an_unmount_from_outside_ends_it(calm, make_drive):
    drive = make_drive()
    assert drive.process is not None
    drive.call("listdir", drive.path())
    done = drive.tool("fusermount3", "-u", str(drive.point))
    assert done.returncode == 0, done.stderr
    assert drive.process.wait(20) == 0
    assert "Traceback" not in drive.log()


def test_a_lazy_unmount_with_an_open_file(calm, make_drive):
    drive = make_drive()
    assert drive.process is not None
    path = drive.path(FILES, "Documents/Door schedule.csv")
    handle = drive.call("open", path)
    assert drive.tool("fusermount3", "-uz", str(drive.point)).returncode == 0
    assert drive.call("pread", handle, 0, 4) == b"door"  # until it is closed, it works
    drive.call("close", handle)
    assert drive.process.wait(20) == 0


# Options


def test_options_are_seen(make_drive):
    words = "ro,noatime,nodev,nosuid,noexec,allow_other,uid=1001,gid=1002,umask=037,fsname=my drive"
    drive = make_drive(source=f"/{PROJECT}", options=[words])
    source, _, kind, options = mounted_at(drive.point) or ("", "", "", "")
    assert (source, kind) == ("my drive", "fuse.dmfs")
    assert set(options.split(",")) >= {"ro", "noatime", "nodev", "nosuid", "noexec", "allow_other"}
    status = drive.call("stat", drive.path("Project Files", "README.txt"))
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1001, 1002, 0o440)
    status = drive.call("stat", drive.path("Project Files"))
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1001, 1002, 0o540)


def test_defaults_are_seen(drive):
    source, _, kind, options = mounted_at(drive.point) or ("", "", "", "")
    assert (source, kind) == ("dmfs:default", "fuse.dmfs")
    assert {"ro", "nosuid", "nodev"} <= set(options.split(","))
    assert "allow_other" not in options.split(",")


def test_words_of_fstab_are_ignored(make_drive):
    words = "_netdev,noauto,user,nofail,defaults,async,x-systemd.automount,x-gvfs-show,comment=mine"
    drive = make_drive(options=[words])
    assert "ro" in (mounted_at(drive.point) or ("",) * 4)[3].split(",")
    assert drive.call("listdir", drive.path())


def test_mount_helper(home, point):
    """As mount(8) calls /sbin/mount.dmfs for a line of fstab."""
    helper = Path(dmfs_command()[0]).with_name("mount.dmfs")
    if not helper.exists():
        pytest.skip(f"{helper} is not installed")
    words = ["-o", "rw,_netdev,noauto,allow_other,uid=0,x-systemd.requires=network"]
    done = home.tool(helper, f"/{PROJECT}", point, "-f", *words)
    assert (done.returncode, mounted_at(point)) == (0, None)  # mount --fake
    done = home.tool(helper, f"/{PROJECT}", point, "-s", "-n", "-v", *words)
    assert (done.returncode, done.stderr) == (0, b"")
    row = mounted_at(point)
    assert row is not None
    assert row[2] == "fuse.dmfs"
    assert {"ro", "allow_other"} <= set(row[3].split(","))
    assert home.run("umount", str(point)).returncode == 0


def test_without_a_home_it_is_the_one_of_the_user():
    """As mount(8) calls the helper for an ordinary user: /root would be nobody else's to read."""
    words = (
        "import os; from dmfs.cli.main import _have_home; _have_home(); print(os.environ['HOME'])"
    )
    done = subprocess.run([sys.executable, "-c", words], env={}, capture_output=True, check=True)
    assert done.stdout.decode().strip() == pwd.getpwuid(os.getuid()).pw_dir
    done = subprocess.run(
        [sys.executable, "-c", words], env={"HOME": "/h"}, capture_output=True, check=True
    )
    assert done.stdout == b"/h\n"


@pytest.mark.parametrize("source", [ACCOUNT, PROJECT, FILES, f"{FILES}/Drawings", f"//{PROJECT}//"])
def test_source(make_drive, oracle, source):
    drive = make_drive(source=f"/{source}", log_level="info")
    clean = source.strip("/")
    below = [entry.path.removeprefix(f"{clean}/") for entry in oracle.below(clean)]
    expected = sorted(path for path in below if "/" not in path)
    assert drive.call("listdir", drive.path()) == expected
    assert drive.call("stat", drive.path()).st_ino == 1
    for name in expected[:3]:
        assert drive.call("errno_of", "stat", drive.path(name)) == 0


def test_several_mounts_share_a_cache(calm, make_drive):
    first = make_drive()
    second = make_drive(name="second", home=first.home)
    path = f"{FILES}/Documents/Room areas.xlsx"
    digest = first.call("sha256", first.path(path))
    # small files are gathered for a moment before they are put there
    wait_until(lambda: not gauges(first)["saving"], what="the file to be at rest")
    calm.reset()
    assert second.call("sha256", second.path(path)) == digest
    assert calm.counts()["cdn_get"] == 0


# What is logged

LINE = re.compile(
    r"DEBUG +dmfs\.access: (\w+) (/.*) (hit|miss) bytes=(-|\d+) ms=(\d+\.\d+) (ok|E[A-Z]+)"
    r" by (?:-|\d+ \(.+\))$"
)


def test_access_lines(calm, make_drive):
    drive = make_drive()
    file, secret = drive.path(FILES, "README.txt"), f"{ACCOUNT}/Quirks/Project Files/Storage"
    body = drive.call("read", file)
    drive.call("errno_of", "open", drive.path(secret, "view only.bin"))
    drive.call("errno_of", "stat", drive.path(FILES, "absent"))
    drive.call("listdir", drive.path(ACCOUNT, "Quirks/Project Files/Names"))
    drive.call("stat", drive.path(ACCOUNT, "Quirks/Project Files/Names/newline \n inside.txt"))
    drive.call("errno_of", "getxattr", file, "user.none")
    assert drive.stop() == 0
    access = [line for line in drive.log().splitlines() if " dmfs.access: " in line]
    rows = [LINE.search(line) for line in access]
    assert all(rows), [line for line, row in zip(access, rows, strict=True) if not row]
    seen = {(row[1], row[2], row[3], row[4], row[6]) for row in rows if row}
    assert ("read", f"/{FILES}/README.txt", "miss", str(len(body)), "ok") in seen
    assert ("open", f"/{secret}/view only.bin", "hit", "-", "EACCES") in seen
    assert any(row[:2] == ("lookup", f"/{FILES}/absent") for row in seen)
    assert any(row[0] == "opendir" for row in seen)
    assert ("getxattr", f"/{FILES}/README.txt", "hit", "-", "ENODATA") in seen


def test_manager_helper_hears():
    """The tests' own ear works, or the mounts above would not have been waited for."""
    with Manager() as manager, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"READY=1", "\0" + manager.address[1:])
        assert manager.heard() == ["READY=1"]


def test_the_access_log_says_who_asked(drive):
    path = drive.path("Emulated Europe")
    reader = subprocess.Popen(["ls", "-la", path], stdout=subprocess.DEVNULL)
    reader.wait()
    lines = [line for line in drive.log().splitlines() if " dmfs.access: " in line]
    own = [line for line in lines if line.endswith(f" by {reader.pid} (ls)")]
    assert {line.split(" dmfs.access: ")[1].split()[0] for line in own} >= {"opendir", "readdir"}
