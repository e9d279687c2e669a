"""Saving as an ordinary user: who owns what, what others may read, and that programs save. A suite
that runs as root drops to ``nobody`` for it, in mounts of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.mounts import Drive, mounted_at, wait_until
from tests.support.ordinary import CHECKOUT, as_nobody, nobodys_directory, why_not
from tests.support.sample import SAMPLE

pytestmark = pytest.mark.mount
ROOT = os.geteuid() == 0
as_user = pytest.mark.skipif(ROOT, reason="done below, as nobody")
SELECTED = [
    "tests/write/test_ordinary_user.py",
    "tests/write/saves/test_programs.py::test_a_program_saves_twice",
    "tests/write/saves/test_programs.py::test_the_second_rsync_sends_nothing",
]
TRY = "import pytest, dmfs.cli.main; open('/dev/fuse', 'r+b', 0)"
NESTED_S = 400.0


@as_user
def test_what_is_made_belongs_to_who_mounts(make_drive: Callable[..., Drive]) -> None:
    drive = make_drive()
    base = Path(drive.path(SAMPLE)) / "whose"
    before = os.umask(0o077)
    try:
        base.mkdir()
        path = base / "f.txt"
        path.write_bytes(b"x")
    finally:
        os.umask(before)
    for each, mode in ((base, 0o40755), (path, 0o100644)):
        status = each.stat()
        assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())
        assert status.st_mode == mode, "as the mount's umask leaves it, and nobody else's"
    path.chmod(0o600)
    os.chown(path, os.getuid(), os.getgid())
    assert path.stat().st_mode == 0o100644, "the service keeps no permissions"
    with pytest.raises(PermissionError):
        os.chown(path, 0, -1)
    wait_until(lambda: os.getxattr(path, "user.dmfs.state") == b"clean")


@as_user
def test_what_waits_is_ours_alone_whatever_the_umask(make_drive: Callable[..., Drive]) -> None:
    before = os.umask(0)
    try:
        drive = make_drive(config={"scopes": "data:read data:create data:write",
                                   "upload_delay": "30m", "any_spool_disk": "true"})  # fmt: skip
        (Path(drive.path(SAMPLE)) / "waits.txt").write_bytes(b"waits")
        done = drive.home.run("umount", str(drive.point))
    finally:
        os.umask(before)
    assert (done.returncode, b"1 file waits to go up" in done.stderr) == (0, True)
    found = [drive.home.state, *drive.home.state.rglob("*")]
    assert [each.name for each in found if each.name == "data"]
    for each in found:
        status = each.lstat()
        assert status.st_uid == os.getuid()
        assert not status.st_mode & 0o077, each
    again = drive.home.run("mount", "/", str(drive.point), "-o", "rw")  # at once
    assert (again.returncode, again.stderr) == (0, b"")
    assert (Path(drive.path(SAMPLE)) / "waits.txt").read_bytes() == b"waits"
    assert drive.home.run("umount", "--wait", str(drive.point)).returncode == 0
    assert mounted_at(drive.point) is None
    assert b"nothing waits" in drive.home.run("uploads").stdout


@as_user
def test_others_may_write_where_the_machine_allows_it(
    make_drive: Callable[..., Drive],
) -> None:
    drive = make_drive()
    assert drive.stop() == 0
    words = ["mount", "/", str(drive.point), "-o"]
    said = drive.home.run(*words, "rw,allow_other").stderr
    assert b"others would write in your name" in said
    done = drive.home.run(*words, "rw,allow_other,shared_identity")
    if done.returncode == 0:
        pytest.skip("this machine allows it (user_allow_other)")
    assert b"ask root to put the line user_allow_other into /etc/fuse.conf" in done.stderr


@pytest.mark.skipif(not ROOT, reason="done above, as this user")
@pytest.mark.tool("unshare")
def test_saving_as_an_ordinary_user() -> None:
    with nobodys_directory() as work:
        if (why := why_not(work, sys.executable, "-c", TRY)) != "":
            pytest.skip(f"root cannot drop to nobody here: {why}")
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        words = ["-q", "-p", "no:cacheprovider", f"--basetemp={work}/tmp", *SELECTED]
        done = subprocess.run(
            as_nobody(work, sys.executable, "-m", "pytest", *words),
            env={**environ, "HOME": str(work), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=CHECKOUT, capture_output=True, text=True, timeout=NESTED_S, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
