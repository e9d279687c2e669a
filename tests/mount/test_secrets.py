"""No secret shows up in output, logs, command lines, the cache or the state directory."""

from __future__ import annotations

import base64
import errno
import os
from pathlib import Path

from tests.support.commands import SECRET
from tests.support.mounts import Drive, wait_until

ACCOUNT = "Emulated Builders \uff0f Headquarters"
FILES = f"/{ACCOUNT}/Sample Project/Project Files"


def _traces(needles: dict[str, bytes], places: dict[str, bytes]) -> list[str]:
    return [f"{what} in {where}" for where, text in places.items()
            for what, needle in needles.items() if needle in text]  # fmt: skip


def test_secrets_are_nowhere(emulator, home, point):
    log_file = home.directory / "debug.log"
    home.config.write_text(f'client_id = "emulator-app"\nclient_secret = "{SECRET}"\n')
    home.config.chmod(0o600)
    config = {"DMFS_CLIENT_ID": None, "DMFS_CLIENT_SECRET": None}
    words = ["mount", "/", str(point), "--log-level", "debug", "--log-file", str(log_file)]
    done = home.run(*words, environ=config)
    assert done.returncode == 0, done.stderr
    places = {"stderr of mount": done.stderr}
    try:
        drive = Drive(home.directory, emulator, home=home)
        file = f"{point}{FILES}/README.txt"
        assert drive.call("read", file)
        assert drive.call("read", f"{point}{FILES}/Large Files/Tower.rvt", 0, 1000)
        emulator.fault("status", origin="cdn", status=500, shape="xml", times=2)
        drive.call("errno_of", "read", f"{point}{FILES}/Large Files/pointcloud.rcs", 1 << 30, 9)
        emulator.fault("reset_mid_body", origin="cdn", times=2)
        drive.call("errno_of", "read", f"{point}{FILES}/Large Files/Site scan.zip", 1 << 29, 9)
        drive.hands.close()
        pids = [pid for pid, line in _processes(str(point)) if "mount" in line]
        assert pids
        for pid in pids:
            places[f"cmdline of {pid}"] = Path(f"/proc/{pid}/cmdline").read_bytes()
    finally:
        emulator.clear_faults()
        assert home.run("umount", str(point)).returncode == 0
    wait_until(lambda: not _processes(str(point)), 20, "the daemon ends")
    for name, command in {
        "ls": ["ls", "--log-level", "debug"],
        "cat": ["cat", f"{FILES}/README.txt", "--log-level", "debug"],
        "wrong": ["ls", "--set", "client_id=emulator-wrong", "--log-level", "debug"],
    }.items():
        done = home.run(*command, environ=config)
        places[f"stdout of {name}"], places[f"stderr of {name}"] = done.stdout, done.stderr
    for root in (home.state, home.cache, log_file.parent):
        for path in root.rglob("*"):
            if path.is_file() and path != home.config:
                places[str(path)] = _stored(path)
    assert any(b"dmfs.access" in text for text in places.values())
    pair = base64.b64encode(f"emulator-app:{SECRET}".encode()).rstrip(b"=")
    needles = {
        "the secret": SECRET.encode(), "its Basic form": pair[:-2], "a bearer": b"Bearer ",
        "a JWT": b"eyJ", "an S3 signature": b"X-Amz-Signature", "a CloudFront one": b"Signature=",
    }  # fmt: skip
    assert not _traces(needles, places)
    assert log_file.stat().st_mode & 0o077 == 0
    assert home.cache.stat().st_mode & 0o077 == 0


def _stored(path: Path) -> bytes:
    """The bytes of a file without its holes: the cache's have gigabytes of them."""
    found = []
    with path.open("rb", buffering=0) as file:
        size, at = path.stat().st_size, 0
        while at < size:
            try:
                start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break  # only a hole is left
            at = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            found.append(os.pread(file.fileno(), at - start, start))
    return b"".join(found)


def test_all_stored_bytes_are_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        for offset in (0, 1 << 30, 3 << 30):
            file.seek(offset)
            file.write(b"here")
        file.truncate(5 << 30)
    assert _stored(path).count(b"here") == 3
    path.write_bytes(b"")
    assert _stored(path) == b""


def _processes(word: str) -> list[tuple[int, str]]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if entry.name.isdigit() and word in line and "dmfs mount" in line:
            found.append((int(entry.name), line))
    return found
