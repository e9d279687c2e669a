"""What this machine, a fork and a missing library do to readers without a mount."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import dmfs.spec.room
from dmfs.emulator.process import EmulatorProcess
from dmfs.spec.filesystem import DmfsFileSystem
from dmfs.system.resources import memory_left_bytes
from tests.spec.conftest import SMALL, Open, environment_of

MIB = 1024 * 1024

FORK = """
import hashlib, os, sys, threading, time
from dmfs.spec.filesystem import DmfsFileSystem
fs = DmfsFileSystem()
first, second, _ = fs.find(sys.argv[1])
file = fs.open(second)
found = []
def read():
    found.append(hashlib.sha256(fs.cat_file(first)).hexdigest())
reading = threading.Thread(target=read)
reading.start()
time.sleep(0.15)
assert not found, "the read was over before the fork"
child = os.fork()
if child == 0:
    inherited = hashlib.sha256(file.read()).hexdigest()
    read()
    print(*found, inherited, flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
reading.join()
print(*found, hashlib.sha256(file.read()).hexdigest(), flush=True)
"""

WITHOUT_FUSE = """
import sys
sys.modules["pyfuse3"] = None  # an import of it fails
import fsspec
fs, path = fsspec.core.url_to_fs("dmfs://" + sys.argv[1])
print(len(fs.find(path)), [name for name in sys.modules if name.startswith("dmfs.fuse")])
"""


def run(program: str, emulator: EmulatorProcess, directory: Path, *words: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *words], env=environment_of(emulator, directory),
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


def test_what_does_not_fit_into_memory_is_refused_before_a_byte_of_it(
    emulator: EmulatorProcess, open_fs: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dmfs.spec.room, "ALWAYS_BYTES", 0)
    monkeypatch.setattr(dmfs.spec.room, "memory_left_bytes", lambda: 1000)
    fs = open_fs()
    paths = fs.find(SMALL)
    emulator.reset()
    asks = [lambda: fs.cat(paths), lambda: fs.cat_ranges(paths, 0, 400), fs.open(paths[0]).read]
    for ask in asks:
        with pytest.raises(OSError, match=r"GiB in memory, and 0\.00 GiB are to be had") as caught:
            ask()
        assert caught.value.errno == errno.ENOMEM
    assert emulator.counts()["cdn_get"] == 0
    assert [len(each) for each in fs.cat_ranges(paths, 0, 300)] == [300] * len(paths)


def test_memory_is_limited_by_the_process_its_groups_and_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    def left() -> int:
        return memory_left_bytes(tmp_path / "proc", tmp_path / "cgroup")

    put("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:   8388608 kB\nSwapFree:  1024 kB\n")
    assert left() == 8193 * MIB
    put("proc/self/cgroup", "5:devices:/\n0::/pod/worker\n")
    put("cgroup/pod/worker/memory.max", "max\n")
    put("cgroup/pod/worker/memory.current", "5000\n")
    assert left() == 8193 * MIB
    put("cgroup/pod/memory.max", f"{100 * MIB}\n")
    put("cgroup/pod/memory.current", f"{60 * MIB}\n")
    put("cgroup/pod/memory.stat", f"anon 7\ninactive_file {20 * MIB}\n")
    assert left() == 60 * MIB
    put("proc/self/status", "VmSize:\t  1024 kB\n")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (11 * MIB, -1))
    assert left() == 10 * MIB
    put("proc/self/status", "VmSize:\t  99999 kB\n")
    assert left() == 0


def test_a_fork_while_a_read_is_on_its_way_harms_neither(
    emulator: EmulatorProcess, tmp_path: Path, fs: DmfsFileSystem
) -> None:
    first, second, _ = fs.find(SMALL)
    expected = [emulator.sha256(fs.info(each)["storage_id"])[0] for each in (first, second)]
    emulator.settings(cdn_latency_ms=600)
    said = run(FORK, emulator, tmp_path / "other", SMALL)
    assert [each.split() for each in said] == [expected, expected]


def test_nothing_of_a_mount_is_needed(emulator: EmulatorProcess, tmp_path: Path) -> None:
    assert run(WITHOUT_FUSE, emulator, tmp_path / "other", SMALL) == ["3 []"]
