"""A mount served by NFS (Ganesha, with libnfs as its client) and by Samba, on loopback.

``python -m tests.hostile.gateway``: lists, copies, compares; the drive is killed in the middle, and
both start anew. Exit status 77 where that cannot be done here. Some 40 s.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.support.fixtures import running_emulator
from tests.support.mounts import Drive, wait_until, why_no_mounts
from tests.support.samba import samba, why_no_samba

IMPOSSIBLE = 77
FILES = "Emulated Builders ／ Headquarters/Sample Project/Project Files"
CLIENT_S = 60
_CONFIG = """\
NFS_CORE_PARAM {{ Protocols = 4; NFS_Port = {port}; Bind_addr = 127.0.0.1;
    Enable_UDP = false; Enable_NLM = false; Enable_RQUOTA = false; }}
NFSv4 {{ Graceless = true; RecoveryBackend = fs; RecoveryRoot = {own}/recovery; }}
EXPORT {{ Export_Id = 1; Path = "{path}"; Pseudo = /drive; Access_Type = RO;
    Squash = No_Root_Squash; SecType = sys; Filesystem_id = 1001.1; FSAL {{ Name = VFS; }} }}
"""


def why_not() -> str:
    """What is missing here; '' if nothing is."""
    if os.geteuid() != 0:
        return "Ganesha wants to be root"
    missing = [each for each in ("ganesha.nfsd", "nfs-ls", "nfs-cp") if shutil.which(each) is None]
    if missing:
        return f"{missing[0]} is not installed (nfs-ganesha-vfs, libnfs-utils)"
    return why_no_mounts()


@contextmanager
def served(own: Path, path: Path, port: int) -> Iterator[None]:
    """``path`` by NFS 4 as ``/drive``."""
    (own / "recovery").mkdir(parents=True, exist_ok=True)
    config, log = own / "ganesha.conf", own / "ganesha.log"
    config.write_text(_CONFIG.format(port=port, own=own, path=path))
    server = subprocess.Popen(
        ["ganesha.nfsd", "-F", "-f", str(config), "-L", str(log), "-p", str(own / "pid")],
        stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wait_until(partial(_answers, server, port), CLIENT_S, "Ganesha answers")
        if server.poll() is not None:
            raise AssertionError(log.read_text()[-2000:])
        yield
    finally:
        server.terminate()
        try:
            server.wait(CLIENT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answers(server: subprocess.Popen[bytes], port: int) -> bool:
    if server.poll() is not None:
        return True
    done = subprocess.run(
        ["nfs-ls", url("", port)], capture_output=True, timeout=CLIENT_S, check=False
    )
    return done.returncode == 0


def url(path: str, port: int) -> str:
    return f"nfs://127.0.0.1/drive{path}?version=4&nfsport={port}"


def names(path: str, port: int) -> set[str]:
    """What nfs-ls lists."""
    done = subprocess.run(
        ["nfs-ls", url(path, port)], capture_output=True, text=True, timeout=CLIENT_S, check=True
    )
    return {line.split(maxsplit=5)[5] for line in done.stdout.splitlines() if line.strip()}


def copied(path: str, port: int, to: Path) -> str:
    """The SHA-256 of what nfs-cp brings."""
    to.unlink(missing_ok=True)
    subprocess.run(
        ["nfs-cp", url(path, port), str(to)], capture_output=True, timeout=CLIENT_S, check=True
    )
    return hashlib.sha256(to.read_bytes()).hexdigest()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    reason = why_not()
    if reason:
        print(reason)
        return IMPOSSIBLE
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as place, running_emulator() as emulator:
        own, port = Path(place), free_port()
        config = {"ttl": "10m", "hub_ttl": "10m"}
        drive = Drive(own / "one", emulator, options=("export,allow_other",), config=config)

        def compare(when: str) -> None:
            here = {each.name for each in Path(drive.path(FILES)).iterdir()}
            there = names(f"/{FILES}", port)
            if here != there:
                failed.append(f"{when}: listed otherwise: {sorted(here ^ there)}")
            for name in ("README.txt", "Large Files/Survey.csv"):
                source = Path(drive.path(FILES, name))
                if not source.exists():
                    continue
                same = copied(f"/{FILES}/{name}", port, own / "copy")
                if same != hashlib.sha256(source.read_bytes()).hexdigest():
                    failed.append(f"{when}: other bytes of {name}")
            print(f"gateway: {when}: {len(there)} names", flush=True)

        try:
            drive.start()
            with served(own / "nfs", drive.point, port):
                compare("at first")
                emulator.reset()
                compare("again")
                signed = drive.counts()
                Path("/proc/sys/vm/drop_caches").write_text("2")
                compare("after the kernel has forgotten")
                if not why_no_samba():
                    with samba(own, drive.point) as share:
                        said = share.read(f"{FILES}/README.txt".replace("/", "\\"))
                    if said != Path(drive.path(FILES, "README.txt")).read_bytes():
                        failed.append("other bytes by Samba")
                    print("gateway: Samba at the same time", flush=True)
                if drive.counts() != signed:  # neither client nor restart costs a signing
                    failed.append(f"calls for what is known: {drive.counts()}, {signed}")
            drive.kill()
            drive.close()
            drive.start()
            with served(own / "nfs", drive.point, port):
                compare("after a kill of the drive")
        finally:
            drive.close()
    for each in failed:
        print(f"gateway: {each}")
    print(f"{1 if failed else 0} failed, {0 if failed else 1} passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
