"""A start that is given up, at whatever moment, leaves neither a mount nor a process."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.mounts import dmfs_command, mount_table, processes_of_session, wait_until

END_S = 40.0
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HOOK = """
import os, signal, sys
at, number, whom = os.environ["AT"], int(os.environ["NUMBER"]), os.environ["WHOM"]
if "--ready-fd" in sys.argv or "--foreground" in sys.argv:
    import {module}
    before = {module}.{name}
    def hooked(*arguments, **more):
        result = before(*arguments, **more)
        target = os.getppid() if whom == "parent" else os.getpid()
        if target > 1:
            os.kill(target, number)
        return result
    {module}.{name} = hooked
"""


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "small:files=3"


def left(point: Path) -> list[object]:
    """Rows of the mount table, and processes, that have to do with a mountpoint."""
    rows = [row for row in mount_table() if row[1] == str(point)]
    return [*rows, *(line for _, line in processes_of_session() if str(point) in line)]


def begin(home, point: Path, *words: str, **environ: str) -> subprocess.Popen[bytes]:
    heeding = ["env", "--default-signal=INT"]  # a job of a script's background ignores it
    return subprocess.Popen(
        [*heeding, *dmfs_command(), "mount", *words, "/", str(point)],
        env=home.environment(environ),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


def kill(start: subprocess.Popen[bytes]) -> bool:
    """SIGKILL; whether it may have come too late: once the process that waits blocks signals, it
    says that it has heard, and the drive stays. (On a busy machine its end takes long.)"""
    start.send_signal(signal.SIGSTOP)
    if start.returncode is not None:
        return False
    os.waitid(os.P_PID, start.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    status = Path(f"/proc/{start.pid}/status").read_text()
    blocked = int(re.findall(r"^SigBlk:\s*(\w+)", status, re.MULTILINE)[0], 16)
    start.kill()
    return bool(blocked & 1 << signal.SIGTERM - 1) or "\nState:\tZ" in status


def end(start: subprocess.Popen[bytes]) -> str:
    return start.communicate(timeout=END_S)[1].decode()


@pytest.fixture
def start_s(home, point) -> float:
    """What a start takes here and now, with what it leaves in the cache for those that follow."""
    began = time.monotonic()
    assert home.run("mount", "/", str(point)).returncode == 0
    took = time.monotonic() - began
    assert home.run("umount", str(point)).returncode == 0
    wait_until(lambda: not left(point), END_S)
    return took


def test_a_signal_after_any_delay_leaves_nothing(home, point, start_s):
    """To the one that waits, in the background's start; it may also come too late."""
    for number, eighth in zip(itertools.cycle(SIGNALS), range(1, 9), strict=False):
        start = begin(home, point)
        time.sleep(start_s * eighth / 8)
        may_be_late = number == signal.SIGKILL and kill(start)
        start.send_signal(number)
        said = end(start)
        assert "Traceback" not in said or number == signal.SIGINT, said
        if start.returncode == 0:  # it was quicker
            assert home.run("umount", str(point)).returncode == 0
        elif may_be_late:
            home.run("umount", str(point))
        wait_until(lambda: not left(point), END_S, f"{number} after {eighth}/8 to leave nothing")


AT_EXIT = """
import atexit, os, sys
if "mount" in sys.argv and "--ready-fd" not in sys.argv:
    atexit.register(os.kill, os.getpid(), int(os.environ["NUMBER"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_when_the_drive_is_there_does_not_make_the_start_a_failure(
    home, point, tmp_path, number
):
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(AT_EXIT)
    start = begin(home, point, PYTHONPATH=str(hooks), NUMBER=str(int(number)))
    assert (end(start), start.returncode) == ("", 0)
    assert home.run("umount", str(point)).returncode == 0


MOMENTS = {
    "drive open": ("dmfs.assembly", "open_drive"),
    "mounted": ("pyfuse3", "init"),
    "answering": ("dmfs.fuse.operations", "Operations.getattr"),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    ("words", "whom", "number"),
    [
        (["--foreground"], "itself", signal.SIGTERM), (["--foreground"], "itself", signal.SIGHUP),
        ([], "parent", signal.SIGKILL), ([], "parent", signal.SIGINT),
    ],
)  # fmt: skip
def test_a_signal_at_a_chosen_moment_leaves_nothing(
    home, point, tmp_path, moment, words, whom, number
):
    module, name = MOMENTS[moment]
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(HOOK.format(module=module, name=name))
    environ = {"PYTHONPATH": str(hooks), "AT": moment, "NUMBER": str(int(number)), "WHOM": whom}
    start = begin(home, point, *words, **environ)
    said = end(start)
    assert start.returncode != 0
    assert "Traceback" not in said
    wait_until(lambda: not left(point), END_S, said)
    assert not list(point.iterdir())
