"""The same rows once more under other conditions: with half the CPU, as an ordinary user.

Each pass is a run of its own, so that its conditions hold for everybody in it: servers, readers,
rivals and dmfs. Its rows come back with the condition in their names.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PERIOD_US = 100_000
_V1, _V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
ROWS = ("seq-cold", "seq-raw", "seq-tls", "seq-many")
"""What a pass measures unless rows were named."""
_USER = "nobody"
_DEVICE = Path("/dev/fuse")
_STOP_S = 30


class PassImpossible(Exception):
    """This machine cannot make the condition; the message says what is in the way."""


@contextmanager
def half_cpu() -> Iterator[Path]:
    """A cgroup that has half of all processors; its ``cgroup.procs``."""
    quota_us = (os.cpu_count() or 1) * _PERIOD_US // 2
    name = f"dmfs-bench-{os.getpid()}"
    try:
        if (_V1 / "cpu.cfs_quota_us").exists() or (_V1 / "cgroup.procs").exists():
            group = _V1 / name
            group.mkdir()
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota_us))
        elif "cpu" in (_V2 / "cgroup.controllers").read_text().split():
            (_V2 / "cgroup.subtree_control").write_text("+cpu")
            group = _V2 / name
            group.mkdir()
            (group / "cpu.max").write_text(f"{quota_us} {_PERIOD_US}")
        else:
            raise PassImpossible("the kernel's cpu controller is not to be had here")
    except OSError as error:
        with contextlib.suppress(OSError):
            (_V1 / name).rmdir()
        raise PassImpossible(
            f"no cgroup with a CPU quota can be made here ({error}); root can on most machines"
        ) from None
    try:
        yield group / "cgroup.procs"
    finally:
        _remove(group)


def _remove(group: Path) -> None:
    """As soon as nobody is in it: processes take a moment to end."""
    give_up = time.monotonic() + _STOP_S
    while time.monotonic() < give_up:
        try:
            group.rmdir()
        except OSError:
            time.sleep(0.1)
        else:
            return


def run_half_cpu(arguments: Sequence[str], rows: Sequence[str], disk: Path) -> list[dict[str, Any]]:
    """The rows with half the CPU. PassImpossible."""
    with half_cpu() as members:

        def enter() -> None:
            members.write_text(str(os.getpid()))

        return _run(arguments, rows, disk, "half CPU", preexec_fn=enter)


def run_as_user(arguments: Sequence[str], rows: Sequence[str], disk: Path) -> list[dict[str, Any]]:
    """The rows as the user behind sudo, or nobody. PassImpossible."""
    if os.getuid() != 0:
        raise PassImpossible("only root can become another user (this run is an ordinary user's)")
    try:
        user = pwd.getpwuid(int(os.environ["SUDO_UID"]))
    except (KeyError, ValueError):
        user = pwd.getpwnam(_USER)
    program = shutil.which("setpriv")
    if program is None:
        raise PassImpossible("it needs setpriv (util-linux)")
    # They may read and search everything (a checkout or a Python below /root), and write nothing.
    become = [
        program, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
        "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--",
    ]  # fmt: skip
    with _device_for_all():
        return _run(arguments, rows, disk, "as user", become=become, owner=user)


@contextmanager
def _device_for_all() -> Iterator[None]:
    """Let ordinary users mount: machines without udev keep the device for root."""
    usual = 0o666
    mode = stat.S_IMODE(_DEVICE.stat().st_mode) if _DEVICE.exists() else usual
    if mode & usual != usual:
        _DEVICE.chmod(mode | usual)
    try:
        yield
    finally:
        if mode & usual != usual:
            _DEVICE.chmod(mode)


def _run(
    arguments: Sequence[str], rows: Sequence[str], disk: Path, condition: str,
    *, become: Sequence[str] = (), owner: pwd.struct_passwd | None = None,
    preexec_fn: Callable[[], None] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    own = Path(tempfile.mkdtemp(prefix="dmfs-bench-pass-", dir=disk))
    try:
        if owner is not None:
            os.chown(own, owner.pw_uid, owner.pw_gid)
        told = own / "rows.json"
        command = [*become, sys.executable, "-P", "-m", "tests.bench"]
        command += [f"--json={told}", f"--disk={own}"]
        command += [*arguments, *(f"--row={name}" for name in rows)]
        environ = os.environ | {"BENCH_PASS": condition, "HOME": str(own)}
        with subprocess.Popen(command, env=environ, preexec_fn=preexec_fn) as running:  # noqa: PLW1509 - we start no threads
            try:
                running.wait()
            except BaseException:
                running.terminate()
                running.wait(_STOP_S)
                raise
        if not told.exists():
            raise PassImpossible(f"the run ended with status {running.returncode}")
        found: list[dict[str, Any]] = json.loads(told.read_text())["rows"]
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return [each | {"row": f"{each['row']}, {condition}"} for each in found]
