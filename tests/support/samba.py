"""A Samba server of a test's own: on loopback, with directories of its own, and one share."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.mounts import wait_until

SHARE = """\
[drive]
    path = {path}
    read only = yes
    guest ok = yes
    vfs objects = shadow_copy2
    shadow:snapdir = .snapshots
    shadow:format = @GMT-%Y.%m.%d-%H.%M.%S
    shadow:sort = desc
    shadow:localtime = no
"""
"""What ``docs/history.md`` tells to write: ``test_samba`` compares the two."""
_SERVER = """\
[global]
    server role = standalone server
    interfaces = lo
    bind interfaces only = yes
    smb ports = {port}
    disable netbios = yes
    map to guest = Bad User
    guest account = root
    load printers = no
    disable spoolss = yes
    pid directory = {own}/run
    ncalrpc dir = {own}/run/ncalrpc
    lock directory = {own}/lock
    state directory = {own}/state
    cache directory = {own}/cache
    private dir = {own}/private
    log file = {own}/smbd.log
"""


def why_no_samba() -> str:
    """What is missing for a server here; '' if nothing is."""
    if os.geteuid() != 0:
        return "smbd wants to be root"
    for program in ("smbd", "smbclient"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    built = subprocess.run(["smbd", "-b"], capture_output=True, text=True, check=False).stdout
    modules = re.search(r"MODULESDIR: (.*)", built)
    if modules is None or not Path(modules[1].strip(), "vfs", "shadow_copy2.so").exists():
        return "Samba's shadow_copy2 is not installed"
    return ""


@dataclass(frozen=True)
class Share:
    """The share as smbclient sees it."""

    port: int
    directory: Path

    def tell(self, commands: str, *, may_complain: bool = False, timeout_s: float = 30) -> str:
        """What smbclient prints; it must not complain, unless it may."""
        done = subprocess.run(
            ["smbclient", "--no-pass", "--port", str(self.port), "//127.0.0.1/drive",
             "--command", commands],
            capture_output=True, text=True, timeout=timeout_s, check=False, cwd=self.directory,
            env=os.environ | {"TZ": "UTC", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert may_complain or (done.returncode == 0 and "NT_STATUS" not in said), said
        return said

    def moments(self, path: str) -> list[str]:
        """The *Previous Versions* of a file, newest first: moments at which it was there."""
        # smbclient asks for the attributes at each moment of the share
        said = self.tell(f'allinfo "{path}"', may_complain=True)
        return re.findall(r"^(@GMT-\S+)\ncreate_time", said, re.MULTILINE)

    def read(self, path: str) -> bytes:
        """The bytes of a file; ``@GMT-…\\`` before its path names a moment."""
        into = self.directory / "got"
        into.unlink(missing_ok=True)
        self.tell(f'get "{path}" got')
        return into.read_bytes()


TRIES = 3
"""A port that was free may be somebody's by the time smbd takes it."""


@contextmanager
def samba(directory: Path, path: Path, *options: str) -> Iterator[Share]:
    """``path`` as a share, from ``directory``, with more ``options`` of the share."""
    lines = SHARE.format(path=path) + "".join(f"    {option}\n" for option in options)
    server, share = _started(directory, lines)
    try:
        yield share
    finally:
        server.terminate()
        server.wait(20)


def _started(directory: Path, lines: str) -> tuple[subprocess.Popen[bytes], Share]:
    said = ""
    for number in range(TRIES):
        own, port = directory / f"s{number}", _free_port()
        for name in ("run", "lock", "state", "cache", "private"):
            (own / name).mkdir(parents=True)
        config = own / "smb.conf"
        config.write_text(_SERVER.format(port=port, own=own) + lines)
        command = ["smbd", "--foreground", "--no-process-group", f"--configfile={config}"]
        with (own / "out").open("wb") as out:
            server = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        try:
            wait_until(partial(_tells, server, port), 20, "smbd answers")
        except BaseException:
            server.kill()
            server.wait(20)
            raise
        if server.poll() is None:
            return server, Share(port, own)
        said += f"status {server.returncode}: {(own / 'out').read_text()}"
    raise AssertionError(f"smbd does not start: {said}")


def _tells(server: subprocess.Popen[bytes], port: int) -> bool:
    return server.poll() is not None or _answers(port)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
