"""Mounts by mount(2): dead ones in their place, and commands that cannot be started."""

from __future__ import annotations

import errno
import os
import pwd
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.errors import SetupError
from dmfs.fuse import mount_place
from dmfs.fuse.descriptor import command
from dmfs.fuse.descriptor.opening import open_mounted
from dmfs.fuse.mount_place import detach, turn_to_clear
from dmfs.fuse.mountpoint import parse_options, prepare_mountpoint
from dmfs.system.mountinfo import mount_at, mount_table
from tests.support.ordinary import NOBODY

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts by mount(2)"),
]
OPTIONS = parse_options("")
ENVIRON = {"PATH": "/usr/bin:/bin"}
NAME = pwd.getpwuid(NOBODY).pw_name


@pytest.fixture
def point(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "point"
    path.mkdir()
    yield path
    while detach(str(path)):
        pass


def leave_dead(point: Path) -> None:
    os.close(open_mounted(str(point), OPTIONS, 0, 0)[1])
    with pytest.raises(OSError) as caught:
        os.statvfs(point)
    assert caught.value.errno == errno.ENOTCONN


def mounts_at(point: Path) -> int:
    return sum(row.mountpoint == str(point) for row in mount_table())


def test_a_dead_drive_in_its_place_is_cleared_without_fusermount3(
    point: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    leave_dead(point)
    leave_dead(point)
    assert mounts_at(point) == 1
    assert prepare_mountpoint(str(point)) == str(point)
    assert mounts_at(point) == 0


def test_one_of_two_openers_clears_a_dead_drive_at_a_time(
    point: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second took away what the first had mounted anew."""
    leave_dead(point)
    looked = threading.Event()
    condition_of = mount_place.condition_of

    def look(path: str) -> mount_place.Condition:
        found = condition_of(path)
        looked.set()
        return found

    monkeypatch.setattr("dmfs.fuse.mountpoint.condition_of", look)
    opened: list[int] = []
    second = threading.Thread(
        target=lambda: opened.append(open_mounted(str(point), OPTIONS, 0, 0)[1])
    )
    with turn_to_clear(str(point)):
        second.start()
        assert looked.wait(20)
        second.join(0.1)
        assert (opened, mounts_at(point)) == ([], 1), "it has not had its turn"
    second.join(20)
    (descriptor,) = opened
    os.close(descriptor)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A program without its interpreter, as a venv whose Python a user may not reach."""
    path = tmp_path / "broken"
    path.write_text("#!/nowhere/python\n")
    path.chmod(0o755)
    return path


def opener(*words: str | Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-P", "-m", "dmfs.fuse.descriptor.command"]
    return subprocess.run([*program, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("user", [[], ["--user", NAME]])
def test_a_command_that_cannot_be_started_leaves_no_mount(
    point: Path, broken: Path, user: list[str]
) -> None:
    done = opener(*user, point, "--", broken)
    reason = "Permission denied" if user else "No such file or directory"
    line = f"dmfs-mountfd: {broken} cannot be started: {reason}\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)
    assert mount_at(str(point)) is None


def test_a_mount_that_cannot_be_taken_back_is_told(
    point: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "detach", lambda _: False)
    monkeypatch.setattr(command, "pass_on", refuse)
    assert command.run([str(point), "--", "true"], ENVIRON) == 1
    said = capsys.readouterr().err
    assert said == f"dmfs-mountfd: no — it stays mounted; as root: umount -l {point}\n"


def refuse(descriptor: int, _: int) -> None:
    os.close(descriptor)
    raise SetupError("no")


def test_what_is_started_has_no_right_of_the_openers(point: Path) -> None:
    done = opener("--user", NAME, point, "--", "cat", "/proc/self/status")
    fields = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
    assert {fields[f"Cap{each}"] for each in ("Inh", "Prm", "Eff", "Amb")} == {"0" * 16}
    assert set(fields["Uid"].split()) == {str(NOBODY)}
    assert fields["NoNewPrivs"] == "1"
