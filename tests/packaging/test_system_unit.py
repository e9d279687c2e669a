"""The unit of the system: accepted and found safe by systemd itself, and its steps in their order,
with a stand-in for the manager. (``booted`` runs it under a real one.)"""

from __future__ import annotations

import configparser
import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.fuse.descriptor.given import MOUNTED_AT
from tests.packaging.test_systemd import ROOT, sections
from tests.support.mounts import (
    MOUNTFD,
    Home,
    dmfs_command,
    mounted_at,
    wait_until,
)
from tests.support.sample import SAMPLE

UNIT = ROOT / "systemd" / "dmfs-system@.service"
EXPOSURE_MAX = 2.5
SANDBOX = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)  # PR_SET_MDWE, as MemoryDenyWriteExecute=
os.environ["LISTEN_PID"] = str(os.getpid())
os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.execvp(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def service() -> configparser.SectionProxy:
    return sections(UNIT.read_text())["Service"]


def lines(key: str) -> list[str]:
    return [
        line.partition("=")[2]
        for line in UNIT.read_text().splitlines()
        if line.startswith(f"{key}=")
    ]


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False,
        env=os.environ | {"SYSTEMD_LOG_LEVEL": "warning"},
    )  # fmt: skip


@pytest.mark.tool("systemd-analyze")
class TestAnalyze:
    @pytest.mark.parametrize("instance", ["srv-autodesk", r"srv-my\x20drive"])
    def test_systemd_accepts_it(self, tmp_path: Path, instance: str) -> None:
        shutil.copy(UNIT, tmp_path)
        done = analyze("verify", "--man=no", tmp_path / f"dmfs-system@{instance}.service")
        ours = [line for line in done.stderr.splitlines() if "dmfs-system" in line]
        assert (done.returncode, ours) == (0, [])

    def security(self, unit: Path) -> int:
        threshold = f"--threshold={EXPOSURE_MAX * 10:.0f}"
        return analyze("security", "--offline=true", threshold, unit).returncode

    def test_it_is_hardened(self, tmp_path: Path) -> None:
        path = tmp_path / "dmfs-system@srv-autodesk.service"
        shutil.copy(UNIT, path)
        assert self.security(path) == 0
        softer = UNIT.read_text().replace("SystemCallFilter=", "#").replace("ProtectSystem=", "#")
        path.write_text(softer.replace("CapabilityBoundingSet=", "#").replace("DynamicUser=", "#"))
        assert self.security(path) != 0, "and it would be told if it were not"


def test_only_the_steps_that_need_it_are_roots(service: configparser.SectionProxy) -> None:
    steps = [*lines("ExecStartPre"), *lines("ExecStartPost"), *lines("ExecStopPost")]
    assert all(step.startswith("+") for step in steps)
    assert not service["ExecStart"].startswith("+")
    assert service["ExecStart"].endswith("dmfs mount --foreground -o ${DMFS_OPTIONS} "
                                         "${DMFS_SOURCE} /dev/fd/3")  # fmt: skip
    assert (service["DynamicUser"], service["NoNewPrivileges"]) == ("yes", "yes")
    assert service["CapabilityBoundingSet"] == ""


def test_the_mount_is_made_where_all_see_it() -> None:
    for step in [*lines("ExecStartPre")[1:], *lines("ExecStartPost"), *lines("ExecStopPost")]:
        assert "/usr/bin/nsenter --mount=/proc/1/ns/mnt -- /usr/bin/env dmfs-mountfd --" in step


def test_older_kernels_do_not_say_where_it_is_mounted_so_the_unit_does() -> None:
    assert f"{MOUNTED_AT}=%f" in lines("Environment")


def test_the_secret_is_a_credential(service: configparser.SectionProxy) -> None:
    assert service["LoadCredential"] == "config.toml:/etc/dmfs/%i.toml"
    assert any("DMFS_CONFIG=%d/config.toml" in line for line in lines("Environment"))
    assert "SECRET" not in UNIT.read_text()


def test_what_keeps_programs_from_fetching_sees_their_names(
    service: configparser.SectionProxy,
) -> None:
    assert not {"ProtectProc", "ProcSubset", "PrivateUsers", "PrivatePIDs"} & set(service)


class Manager:
    """Stores one descriptor, as systemd does with ``FileDescriptorStoreMax=1``."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self.stored: list[int] = []
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)

    def look(self) -> list[str]:
        """All words so far; does what they ask for."""
        with contextlib.suppress(BlockingIOError):
            while True:
                message, descriptors, _, _ = socket.recv_fds(self._socket, 4096, 4)
                words = message.decode().splitlines()
                self.heard += words
                if "FDSTOREREMOVE=1" in words:
                    self.close()
                if "FDSTORE=1" in words and not self.stored:
                    assert "FDNAME=fuse" in words
                    self.stored, descriptors = descriptors[:1], descriptors[1:]
                for each in descriptors:
                    os.close(each)
        return self.heard

    def close(self) -> None:
        while self.stored:
            os.close(self.stored.pop())

    def run(self, home: Home, *words: str, **environ: str) -> None:
        """A step of the unit; it waits until its messages are read."""
        with subprocess.Popen(
            [*MOUNTFD, *words], env=home.environ | {"NOTIFY_SOCKET": self.address} | environ,
            stderr=subprocess.PIPE,
        ) as step:  # fmt: skip
            wait_until(lambda: (self.look(), step.poll() is not None)[1])
            assert step.stderr is not None
            assert (step.returncode, step.stderr.read()) == (0, b"")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()
    made._socket.close()


@pytest.mark.mount
@pytest.mark.skipif(os.geteuid() != 0, reason="root's steps")
def test_the_steps_in_their_order(emulator, tmp_path: Path, manager: Manager, point: Path) -> None:
    home = Home(tmp_path, emulator, {})
    manager.run(home, "--store", "-o", "allow_other", str(point))
    assert mounted_at(point)
    (descriptor,) = manager.stored
    environ = home.environ | {
        "NOTIFY_SOCKET": manager.address, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "fuse",
    }  # fmt: skip
    without = ["setpriv", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
    words = [*without, sys.executable, "-c", SANDBOX, str(descriptor), *dmfs_command(), "mount"]
    process = subprocess.Popen(
        [*words, "--foreground", "/", "/dev/fd/3"],
        env=environ, pass_fds=[descriptor], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: "READY=1" in manager.look(), 40)
        assert "FDSTOREREMOVE=1" in manager.heard
        assert manager.stored == [], "the drive alone has it"
        assert (point / SAMPLE / "README.txt").read_bytes()
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(OSError) as caught:
            list(point.iterdir())
        assert caught.value.errno == errno.ENOTCONN, "dead, and nobody who looks hangs"
    finally:
        process.kill()
        process.wait()
    manager.run(home, "--release", str(point), SERVICE_RESULT="signal")
    assert mounted_at(point), "never an empty directory in the place of what was killed"
    manager.run(home, "--store", str(point))
    assert len(manager.stored) == 1
    manager.run(home, "--release", str(point), SERVICE_RESULT="success")
    assert manager.stored == []
    assert mounted_at(point) is None
    assert list(point.iterdir()) == []
