"""A drive on a machine that runs out of threads or of memory under it: files are read all the same,
nothing of it is told as the service's fault, and it ends with the shortage."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.mounts import Drive

SIZE = 3_000_000
FOLDER = ("Bench", "Bench Project", "Project Files", "small")
ROOM_BYTES = 4 << 20
"""For Python's own objects, and a few requests: not for one more thread, nor for many buffers."""
PIDS = Path("/sys/fs/cgroup/pids")


@pytest.fixture(scope="module")
def world_spec() -> str:
    return f"small:files=24,min={SIZE},max={SIZE}"


def pid_of(drive: Drive) -> int:
    assert drive.process is not None
    return drive.process.pid


@contextmanager
def no_threads(drive: Drive) -> Iterator[None]:
    """The drive's process can make no thread and no process. (Root may, whatever RLIMIT_NPROC
    says: for root it is a control group.)"""
    if os.getuid():
        before = resource.prlimit(pid_of(drive), resource.RLIMIT_NPROC, (1, resource.RLIM_INFINITY))
        try:
            yield
        finally:
            resource.prlimit(pid_of(drive), resource.RLIMIT_NPROC, before)
        return
    group = PIDS / f"dmfs-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("no control group for numbers of threads here")
    try:
        (group / "cgroup.procs").write_text(str(pid_of(drive)))
        (group / "pids.max").write_text((group / "pids.current").read_text())
        yield
    finally:
        (group / "pids.max").write_text("max")
        (PIDS / "cgroup.procs").write_text(str(pid_of(drive)))
        for left in (group / "cgroup.procs").read_text().split():
            (PIDS / "cgroup.procs").write_text(left)
        group.rmdir()


@contextmanager
def no_address_space(drive: Drive) -> Iterator[None]:
    """The drive's process can map next to nothing more."""
    pid = pid_of(drive)
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(
        pid, resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM_BYTES, before[1])
    )
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_AS, before)


def size_read(path: str) -> int:
    return len(Path(path).read_bytes())


@pytest.mark.parametrize("shortage", [no_threads, no_address_space])
def test_a_drive_goes_on_without_threads_or_memory(make_drive, shortage):
    drive = make_drive(log_level="info")
    files = [drive.path(*FOLDER, f"small-{number:05}.txt") for number in range(24)]
    with shortage(drive), ThreadPoolExecutor(8) as several:
        assert [*several.map(size_read, files[:12])] == [SIZE] * 12
    assert [size_read(path) for path in files[8:]] == [SIZE] * 16
    assert drive.stop() == 0
    log = drive.log()
    assert "Traceback" not in log
    for told in ("cannot be reached", "network", "offline"):
        assert told not in log
