"""``dmfs mount SOURCE /dev/fd/N`` on mounts that another program has made."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.fuse.kernel_params import READ_AHEAD_KB, parameter_paths
from tests.support.commands import the_line
from tests.support.fixtures import calmed
from tests.support.mounts import (
    MOUNTFD,
    START_TIMEOUT_S,
    Drive,
    Home,
    dmfs_command,
    mounted_at,
    wait_until,
)
from tests.support.ordinary import CHECKOUT, as_nobody, nobodys_directory, why_not
from tests.support.sample import SAMPLE

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts by mount(2)"),
]
LIBC = ctypes.CDLL(None, use_errno=True)
WRITES = {
    "scopes": "data:read data:create data:write", "upload_delay": "200ms", "version_interval": 0,
    "any_spool_disk": "true",
}  # fmt: skip


def opener(point: Path, *options: str) -> list[str]:
    return [*MOUNTFD, *options, str(point), "--"]


def names_in(folder: str | Path) -> list[str]:
    return sorted(each.name for each in Path(folder).iterdir())


def ended(drive: Drive) -> int:
    """The exit status of a drive that ends by itself."""
    assert drive.process is not None
    return drive.process.wait(20)


@pytest.fixture(scope="module")
def given(emulator, tmp_path_factory) -> Iterator[Drive]:
    """A drive that is read alone, on a mount that could be written to."""
    directory = tmp_path_factory.mktemp("given")
    point = directory / "drive"
    options = ("-o", "rw,allow_other,shared_identity,fsname=dmfs:x")
    with Drive(directory, emulator, opener=opener(point, *options)) as drive:
        yield drive


def test_it_reads_what_the_service_has(given, emulator):
    content = Path(given.path(SAMPLE, "README.txt")).read_bytes()
    assert given.home.run("cat", f"/{SAMPLE}/README.txt").stdout == content
    row = mounted_at(given.point)
    assert row is not None
    assert (row[0], row[2]) == ("dmfs:x", "fuse.dmfs")
    assert {"nosuid", "nodev", "default_permissions", "allow_other"} <= set(row[3].split(","))


def test_it_is_found_by_its_mountpoint(given):
    (status,) = json.loads(given.home.run("status", "--json", str(given.point)).stdout)
    assert (status["mountpoint"], status["descriptor"]) == (str(given.point), "/dev/fd/3")
    assert status["state"] == "online"
    said = given.home.run("status", str(given.point)).stdout.decode()
    assert "mounted   by its opener, as /dev/fd/3, who unmounts it" in said


def test_a_drive_that_is_read_alone_refuses_changes_itself(given):
    """For the kernel asks it: the mount itself may be written to."""
    folder = Path(given.path(SAMPLE))
    names = names_in(folder)
    for change in (
        lambda: (folder / "new.txt").write_bytes(b"x"),
        lambda: (folder / "README.txt").write_bytes(b"x"),
        lambda: os.truncate(folder / "README.txt", 0),
        lambda: (folder / "README.txt").chmod(0o600),
        (folder / "new").mkdir,
        (folder / "README.txt").unlink,
        lambda: (folder / "README.txt").rename(folder / "other.txt"),
        lambda: (folder / "link").symlink_to("README.txt"),
        lambda: os.setxattr(folder / "README.txt", "user.x", b"x"),
        lambda: os.mkfifo(folder / "fifo"),
    ):
        with pytest.raises(OSError) as caught:
            change()
        assert caught.value.errno == errno.EROFS
    assert names_in(folder) == names


def test_a_second_one_on_the_same_mount_is_refused(given, home):
    """It was greeted; so it is by whoever takes a copy of the descriptor."""
    pid = given.process.pid
    copy = os.pidfd_open(pid)
    try:
        number = LIBC.syscall(438, copy, 3, 0)  # pidfd_getfd
    finally:
        os.close(copy)
    if number < 0:
        pytest.skip("this kernel lends no descriptors")
    try:
        done = home.run("mount", "/", f"/dev/fd/{number}", pass_fds=[number])
    finally:
        os.close(number)
    assert "has been served by another process already" in the_line(done, 1)
    assert names_in(given.path(SAMPLE))


@pytest.mark.parametrize(
    ("place", "status", "words"),
    [
        ("/dev/fd/77", 1, "/dev/fd/77 is not open"),
        ("/dev/fd/0", 1, "is not a descriptor of /dev/fuse"),
        ("/dev/fd/x", 2, "names no descriptor"),
    ],
)
def test_bad_descriptors_are_one_line(home, place, status, words):
    assert words in the_line(home.run("mount", "/", place), status)


def test_writing_on_a_mount_that_is_read_only_is_refused(home, point):
    done = home.tool(*opener(point), *dmfs_command(), "mount", "/", "/dev/fd/3", "-o", "rw")
    assert "is mounted read-only" in the_line(done, 1)
    assert mounted_at(point), "it is its opener's"


def test_a_mount_by_descriptor_is_left_to_its_opener(emulator, home, point):
    """One in the background: it has the descriptor still."""
    done = home.tool(*opener(point), *dmfs_command(), "mount", "/", "/dev/fd/3")
    assert (done.returncode, done.stderr) == (0, b"")
    assert names_in(point)
    (status,) = json.loads(home.run("status", "--json", str(point)).stdout)
    os.kill(status["pid"], signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{status['pid']}").exists())
    assert mounted_at(point)
    with pytest.raises(OSError) as caught:
        names_in(point)
    assert caught.value.errno == errno.ENOTCONN
    assert "stays, dead, until" in Path(status["log"]).read_text()
    # and the next one clears it, also where there is no fusermount3
    again = home.tool(*opener(point), sys.executable, "-c", "", environ={"PATH": "/nowhere"})
    assert (again.returncode, again.stderr) == (0, b"")


def test_what_is_saved_goes_up_and_it_ends_well_when_it_is_unmounted(emulator, tmp_path):
    point = tmp_path / "own" / "drive"
    with (
        calmed(emulator),
        Drive(
            tmp_path / "own", emulator, opener=opener(point, "-o", "rw"), options=["rw"],
            config=WRITES,
        ) as drive,
    ):  # fmt: skip
        path = Path(drive.path(SAMPLE)) / "by descriptor.txt"
        path.write_bytes(b"saved")
        wait_until(lambda: os.getxattr(path, "user.dmfs.state") == b"clean")
        another = Home(tmp_path / "another", emulator, {})
        assert another.run("cat", f"/{SAMPLE}/by descriptor.txt").stdout == b"saved"
        path.unlink()
        assert drive.home.run("umount", "--wait", str(point)).returncode == 0
        assert ended(drive) == 0
        done = drive.home.run("status", str(point))
        assert b"ended" in done.stdout
        assert b"unmounted" in done.stdout


def test_a_mount_in_another_namespace_has_the_descriptors_name(emulator, tmp_path):
    """As in a pod: whoever has the right mounts where we see nothing of it."""
    point = tmp_path / "own" / "drive"
    back = f"nsenter --mount=/proc/{os.getpid()}/ns/mnt -- "
    script = f"sleep 300 & echo $! >{tmp_path}/sleeper; exec {shlex.join(opener(point))} {back}"
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{script} "$@"', "sh"]
    with Drive(tmp_path / "own", emulator, opener=words) as drive:
        assert drive.process is not None
        sleeper = int((tmp_path / "sleeper").read_text())
        try:
            assert mounted_at(point) is None
            inside = ["nsenter", f"--mount=/proc/{sleeper}/ns/mnt", "cat"]
            done = drive.tool(*inside, drive.path(SAMPLE, "README.txt"))
            assert done.stdout == drive.home.run("cat", f"/{SAMPLE}/README.txt").stdout != b""
            (status,) = json.loads(drive.home.run("status", "--json", "/dev/fd/3").stdout)
            assert (status["mountpoint"], status["state"]) == ("/dev/fd/3", "online")
            assert b"/dev/fd/3\n" in drive.home.run("status").stdout
            line = the_line(drive.home.run("umount", "/dev/fd/3"), 1)
            assert "is for that to unmount" in line
            assert str(drive.process.pid) in line
        finally:
            os.kill(sleeper, signal.SIGKILL)  # with its last process the namespace goes
        assert ended(drive) == 0


@pytest.fixture
def work() -> Iterator[Path]:
    with nobodys_directory() as path:
        yield path


@pytest.mark.tool("unshare")
def test_an_ordinary_user_mounts_in_a_namespace_of_their_own(emulator, home, work):
    """Without fusermount3, and without a right that not everybody has."""
    own = ["unshare", "--user", "--map-root-user", "--mount"]
    environ = home.environ | {
        "HOME": str(work), "DMFS_CACHE_DIR": f"{work}/c", "DMFS_STATE_DIR": f"{work}/s",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    del environ["DMFS_CONFIG"]
    point = work / "point"
    script = f"""set -e; mkdir {point}
{shlex.join([*opener(point), *dmfs_command(), "mount", "/", "/dev/fd/3"])}
cat {shlex.quote(f"{point}/{SAMPLE}/README.txt")}
umount {point}
"""
    if (why := why_not(work, *own, "true")) != "":
        pytest.skip(f"this machine has no namespaces for ordinary users: {why}")
    done = subprocess.run(
        as_nobody(work, *own, "sh", "-c", script),
        cwd=CHECKOUT, env=environ, capture_output=True, timeout=START_TIMEOUT_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == home.run("cat", f"/{SAMPLE}/README.txt").stdout


def test_root_raises_what_the_drive_may_not(given):
    """``--tune``: the step after a service has started, which has no right to do it."""
    path = parameter_paths(str(given.point))["read_ahead_kb"]
    if not os.access(path, os.W_OK):
        pytest.skip(f"{path} is not ours to write")
    path.write_text("128")
    done = given.tool(*MOUNTFD, "--tune", str(given.point))
    assert (done.returncode, done.stderr) == (0, b"")
    assert int(path.read_text()) == READ_AHEAD_KB
    assert given.tool(*MOUNTFD, "--tune", "/nowhere").returncode == 0
