"""``dmfs umount`` of a drive that is in use: who is named, and who is not."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Drive, dmfs_command, mounted_at

pytestmark = pytest.mark.mount
UMOUNT = " ".join(dmfs_command()) + " umount"


@pytest.fixture
def own(emulator: EmulatorProcess, tmp_path: Path) -> Iterator[Drive]:
    with Drive(tmp_path / "own", emulator) as mounted:
        yield mounted


def shell(drive: Drive, script: str) -> subprocess.CompletedProcess[bytes]:
    return drive.tool("bash", "-c", script, "bash", str(drive.point))


def test_a_shell_inside_is_named_and_the_command_is_not(own: Drive) -> None:
    done = shell(own, f'cd "$1" && {UMOUNT} "$1"; echo "$? $$"')
    status, pid = done.stdout.split()
    assert status == b"1"
    line = done.stderr.decode()
    assert line.startswith(f"dmfs: {own.point} is busy: bash ({pid.decode()}) — ")
    assert "your shell is in it: cd out of it" in line
    assert len(line.splitlines()) == 1
    assert mounted_at(own.point)


@pytest.mark.parametrize("place", ["$1", ".", "../drive"])
def test_a_command_started_inside_steps_out_of_it(own: Drive, place: str) -> None:
    """`bash -c` becomes its last command: only dmfs itself is in there."""
    done = shell(own, f'cd "$1" && exec {UMOUNT} "{place}"')
    assert (done.returncode, done.stderr) == (0, b"")
    assert mounted_at(own.point) is None


def test_a_reader_is_named_with_what_to_do(own: Drive) -> None:
    inside = subprocess.Popen(["sleep", "60"], cwd=own.point)
    try:
        done = own.home.run("umount", str(own.point))
        assert done.returncode == 1
        assert f"busy: sleep ({inside.pid}) — leave that directory first".encode() in done.stderr
    finally:
        inside.kill()
        inside.wait()


def test_a_working_directory_that_is_gone(own: Drive, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    done = own.tool(
        "bash", "-c", f'mkdir "$1" && cd "$1" && rmdir "$1" && exec {UMOUNT} x', "bash", gone
    )
    assert done.returncode == 1
    assert b"the working directory is gone" in done.stderr
    assert b"Traceback" not in done.stderr
