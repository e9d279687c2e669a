"""What waits when a drive is taken away, its process is ended, or a sign-in ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from dmfs.write.spool.owner import is_leaving
from tests.support.commands import stdout_of, the_line
from tests.support.mounts import Drive, Home, mounted_at, wait_until
from tests.write.commands.conftest import Folder, sha256

pytestmark = pytest.mark.mount


def hold(calm: EmulatorProcess) -> None:
    calm.fault("reset_before_effect", route="upload_urls", times=None)


def test_umount_says_what_waits(mounted: Drive, folder: Folder, calm: EmulatorProcess) -> None:
    hold(calm)
    for name in ("a.txt", "b.txt"):
        folder.below(mounted, name).write_bytes(b"x")
    done = mounted.home.run("umount", str(mounted.point))
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == (
        b"dmfs: 2 files wait to go up: they go on with the next mount, or now with"
        b" dmfs uploads --wait\n"
    )
    assert mounted_at(mounted.point) is None


def test_umount_of_a_drive_without_news_says_nothing(mounted: Drive) -> None:
    assert stdout_of(mounted.home, "umount", str(mounted.point)) == b""


def test_umount_that_waits_sends_first(
    make_drive: Callable[..., Drive], writer: Home, folder: Folder
) -> None:
    drive = make_drive(home=writer)
    folder.below(drive, "a.txt").write_bytes(b"sent first")
    done = writer.run("umount", "--wait", str(drive.point))
    assert (done.returncode, done.stderr) == (0, b"")
    assert folder.versions("a.txt") == [sha256(b"sent first")]
    assert mounted_at(drive.point) is None


def test_umount_that_waits_stays_where_something_fails(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    calm.fault("status", route="storage", status=403, code="FORBIDDEN", times=None)
    folder.below(mounted, "a.txt").write_bytes(b"a")
    done = mounted.home.run("umount", "--wait", str(mounted.point))
    assert done.returncode == 1
    assert b"stays mounted: 1 failed" in done.stderr
    assert mounted_at(mounted.point)


def test_a_signal_in_mid_upload_ends_soon_and_the_next_mount_goes_on(
    make_drive: Callable[..., Drive], writer: Home, folder: Folder, calm: EmulatorProcess
) -> None:
    calm.settings(cdn_put_bytes_per_s=200_000)
    drive = make_drive(home=writer)
    data = bytes(range(256)) * 8000
    folder.below(drive, "large.bin").write_bytes(data)
    time.sleep(0.2)
    assert drive.stop(signal.SIGTERM) == 0
    calm.settings(cdn_put_bytes_per_s=0)
    drive.start()
    stdout_of(writer, "uploads", "--wait")
    assert folder.versions("large.bin") == [sha256(data)]
    assert calm.violations() == {}


HOLDER = """
import fcntl, os, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
file.write(f"{os.getpid()} {sys.argv[2]}")
file.flush()
print(flush=True)
sys.stdin.read()
"""


@contextmanager
def held(lock: Path, label: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has a spool, until its stdin is closed."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock), label],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        holder.stdout.readline()
        yield holder


def test_who_has_a_spool_is_leaving_where_nothing_is_mounted_any_more(tmp_path: Path) -> None:
    lock = tmp_path / "spool" / "lock"
    assert not is_leaving(lock)
    with held(lock, str(tmp_path / "not mounted")):
        assert is_leaving(lock)
    assert not is_leaving(lock), "its text is there still, its lock is not"
    with held(lock, "/proc"):
        assert not is_leaving(lock)


def test_a_mount_waits_for_the_drive_that_is_just_ending(
    make_drive: Callable[..., Drive], writer: Home, tmp_path: Path
) -> None:
    lock = writer.state / "spool" / "default" / "lock"
    writer.state.mkdir(mode=0o700)
    with held(lock, str(tmp_path / "was")) as holder, ThreadPoolExecutor(1) as pool:
        log = tmp_path / "next" / "mount.log"
        mounting = pool.submit(make_drive, "next", home=writer)
        wait_until(lambda: log.exists() and "waiting for it" in log.read_text(), what="waits")
        assert holder.stdin is not None
        holder.stdin.close()
        assert mounted_at(mounting.result().point)


def test_logout_refuses_while_files_wait(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    hold(calm)
    folder.below(mounted, "a.txt").write_bytes(b"a")
    mounted.kill()
    home = mounted.home
    line = the_line(home.run("logout"), 1)
    assert "1 file has not gone up yet" in line
    assert "--keep" in line
    done = home.run("logout", "--keep")
    assert done.returncode == 0
    assert b"they wait until the same user signs in again" in done.stderr
