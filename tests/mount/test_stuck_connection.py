"""A drive that was killed while the kernel waits for it, and it for the kernel: the kernel has to
be told to give it up. Here a second holder of the connection stands for a process that cannot end.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmfs.cli.main import main
from dmfs.control.mounts import is_dying
from dmfs.errors import SetupError
from dmfs.fuse import mount_place
from dmfs.fuse.mount_place import Condition, condition_of
from dmfs.fuse.mountpoint import prepare_mountpoint, unmount
from tests.support.mounts import Drive, mounted_at, wait_until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(os.geteuid() != 0, reason="takes a descriptor of another process: root"),
]
PIDFD_GETFD = 438
REQUEST_BYTES = 2 * 1024 * 1024
Stuck = tuple[Drive, subprocess.Popen[bytes]]


@pytest.fixture
def connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """fusectl, where only we see it used."""
    place = tmp_path / "connections"
    place.mkdir()
    if subprocess.run(["mount", "-t", "fusectl", "none", place], check=False).returncode != 0:
        pytest.skip("fusectl cannot be mounted here")
    monkeypatch.setattr(mount_place, "CONNECTIONS", place)
    yield place
    subprocess.run(["umount", place], check=True)


def take_over(process: subprocess.Popen[bytes]) -> int:
    """The process's connection, as a descriptor of ours: it lives on when the process is gone."""
    (number,) = [
        int(each.name)
        for each in Path(f"/proc/{process.pid}/fd").iterdir()
        if str(each.readlink()) == "/dev/fuse"
    ][:1]
    pidfd = os.pidfd_open(process.pid)
    try:
        ours = int(ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, number, 0))
    finally:
        os.close(pidfd)
    if ours < 0:
        pytest.skip("this machine gives no descriptors of other processes")
    return ours


@pytest.fixture
def stuck(make_drive: Callable[..., Drive]) -> Iterator[Stuck]:
    """A killed drive, and a process that waits in it and obeys no signal any more."""
    drive = make_drive()
    assert drive.process is not None
    drive.process.send_signal(signal.SIGSTOP)
    held = take_over(drive.process)
    waiting = subprocess.Popen(["ls", drive.path("Nobody ever looked for this")],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        assert select.select([held], [], [], 20)[0]
        assert os.read(held, REQUEST_BYTES)  # the request is under way, and never answered
        drive.kill()
        yield drive, waiting
    finally:
        os.close(held)  # the last one: the kernel gives up by itself
        waiting.wait(20)


def test_umount_has_the_kernel_give_a_killed_drive_up(connections: Path, stuck: Stuck) -> None:
    drive, waiting = stuck
    assert condition_of(str(drive.point)) is Condition.SILENT
    with pytest.raises(SetupError, match="is busy"):
        unmount(str(drive.point))  # nobody says that its process is gone
    unmount(str(drive.point), lambda _: True)
    assert mounted_at(drive.point) is None
    assert waiting.wait(20) != 0


def test_a_new_mount_takes_the_place_of_a_killed_one(connections: Path, stuck: Stuck) -> None:
    drive, waiting = stuck
    with pytest.raises(SetupError, match="does not answer"):
        prepare_mountpoint(str(drive.point))
    assert prepare_mountpoint(str(drive.point), lambda _: True) == str(drive.point)
    assert mounted_at(drive.point) is None
    assert waiting.wait(20) != 0


@pytest.fixture
def umount(
    stuck: Stuck, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], tuple[int, str]]:
    """The command in this process; its status, and what it says."""
    drive, _ = stuck
    for key, value in drive.home.environment().items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir("/")

    def run() -> tuple[int, str]:
        status = main(["umount", str(drive.point)])
        return status, capsys.readouterr().err

    return run


def test_the_command_knows_by_the_card_that_the_process_is_gone(
    connections: Path, stuck: Stuck, umount: Callable[[], tuple[int, str]]
) -> None:
    drive, waiting = stuck
    assert umount() == (0, "")
    assert mounted_at(drive.point) is None
    assert waiting.wait(20) != 0


def test_the_command_says_in_one_line_what_root_can_do(
    stuck: Stuck, umount: Callable[[], tuple[int, str]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(mount_place, "CONNECTIONS", tmp_path / "nothing")
    status, said = umount()
    (line,) = said.splitlines()
    assert status == 1
    assert "the kernel still waits for the drive" in line
    assert f"mount -t fusectl none {tmp_path / 'nothing'}; echo 1 >{tmp_path}" in line


def test_a_process_is_dying_from_its_sigkill_on() -> None:
    child = subprocess.Popen(["sleep", "60"])
    assert not is_dying(child.pid)
    child.kill()
    wait_until(lambda: is_dying(child.pid))  # a zombie, which nobody has waited for
    child.wait()
    assert is_dying(child.pid)
