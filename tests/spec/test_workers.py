"""Many processes of one machine over what one of them had listed."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from dmfs.spec.filesystem import DmfsFileSystem
from tests.spec.conftest import BENCH, Open, environment_of
from tests.support.fixtures import running_emulator

WORKERS = int(os.environ.get("DMFS_SPEC_WORKERS", "4"))
FILES_EACH = int(os.environ.get("DMFS_SPEC_FILES", "60")) // WORKERS + 1
"""The night has 16 workers and 500 files."""
MEMORY_MAX_BYTES = 80 * 1024 * 1024
LISTINGS = ("hubs", "projects", "topFolders", "contents", "item", "tip", "versions")
READ = """
import hashlib, json, pickle, re, sys
fs, paths = pickle.load(sys.stdin.buffer)
found = {path: hashlib.sha256(data).hexdigest() for path, data in fs.cat(paths).items()}
status = open("/proc/self/status").read()  # getrusage shows what the parent had before the exec
print(json.dumps([found, int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])]))
"""


def test_workers_over_a_pickled_list_list_nothing_and_sign_each_file_once(
    open_fs: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker holds little, too."""
    count = WORKERS * FILES_EACH
    with running_emulator(world=f"small:files={count},min=1024,max=200000") as emulator:
        environment = environment_of(emulator, tmp_path)
        for key, text in environment.items():
            monkeypatch.setenv(key, text)
        fs = open_fs()
        expected = facts_of(emulator, fs)
        assert len(expected) == count
        emulator.reset()
        paths = list(expected)
        workers = [start(environment, fs, paths[at::WORKERS]) for at in range(WORKERS)]
        found: dict[str, str] = {}
        for worker in workers:
            output, _ = worker.communicate(timeout=120)
            assert worker.returncode == 0
            read, peak_kib = json.loads(output)
            found |= read
            assert peak_kib * 1024 <= MEMORY_MAX_BYTES, peak_kib
        assert found == expected
        counts = emulator.counts()
        assert {counts[each] for each in LISTINGS} == {0}
        assert (counts["sign"], counts["cdn_get"]) == (count, count)


def facts_of(emulator: EmulatorProcess, fs: DmfsFileSystem) -> dict[str, str]:
    """SHA-256 by path, of all files."""
    found = fs.find(f"{BENCH}/small", detail=True)
    return {path: emulator.sha256(facts["storage_id"])[0] for path, facts in found.items()}


def start(
    environment: dict[str, str], fs: DmfsFileSystem, paths: list[str]
) -> subprocess.Popen[bytes]:
    """A worker that reads some files, of a process that knows nothing else."""
    worker = subprocess.Popen(
        [sys.executable, "-c", READ], env=environment, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert worker.stdin is not None
    worker.stdin.write(pickle.dumps((fs, paths)))
    worker.stdin.close()
    worker.stdin = None
    return worker
