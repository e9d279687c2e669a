"""The matrix's column *stall × n calls*, of the bytes: over a real mount, how many deadlines do n
calls cost, whatever the program?

Each cell would cost a deadline for each call (or page) without a memory of stalls; the limits are
far from that, so that no busy machine breaks them.
"""

from __future__ import annotations

import errno
import itertools
import re
import sys
import time
from collections.abc import Iterator

import pytest

from tests.support.mounts import Drive, wait_until

pytestmark = pytest.mark.mount

LIMIT_S = 1.0
FILES = 24
WORLD = f"big:size=40000000,count=14+small:files={FILES},min=20000,max=40960"
FOLDER = "Bench/Bench Project/Project Files"
SILENT = {"origin": "cdn", "times": None, "seconds": None}
QUERY = {"contains": "ignature"}
"""Only what is signed: the host answers otherwise, so it is not offline."""
PROGRAMS: dict[str, list[str]] = {
    "cat": ["cat", "{path}"],
    "cp": ["cp", "{path}", "/dev/null"],
    "dd": ["dd", "if={path}", "of=/dev/null", "bs=1M", "count=1"],
    "mmap": [
        sys.executable, "-c",
        "import mmap;f=open('{path}','rb');m=mmap.mmap(f.fileno(),0,prot=1);print(m[3<<20])",
    ],
}  # fmt: skip
CELLS = [
    *((program, "stall_before_headers") for program in PROGRAMS),
    ("cat", "stall_mid_body"), ("dd", "stall_mid_body"),
]  # fmt: skip
OFFSETS = itertools.count(1_000_000, 1_000_000)
CONFIG = {
    "data_timeout": f"{LIMIT_S:g}s", "metadata_timeout": "20s", "ttl": "10m", "hub_ttl": "10m",
}  # fmt: skip


@pytest.fixture(scope="module")
def world_spec() -> str:
    return WORLD


@pytest.fixture(scope="module")
def mounted(emulator, tmp_path_factory) -> Iterator[Drive]:
    directory = tmp_path_factory.mktemp("stalls")
    with Drive(directory, emulator, config=CONFIG) as made:
        for folder in ("big", "small"):
            made.call("listdir", made.path(FOLDER, folder))
        yield made


@pytest.fixture
def drive(calm, mounted: Drive) -> Iterator[Drive]:
    """Healthy before each test; each reads files of its own."""
    yield mounted
    calm.clear_faults()
    offset = next(OFFSETS)  # of bytes that nobody has: others say nothing of the storage
    path = mounted.path(FOLDER, "big", "big-08.bin")
    wait_until(lambda: mounted.call("errno_of", "read", path, offset, 4096) == 0)


def deadlines(began: float) -> float:
    return (time.monotonic() - began) / LIMIT_S


@pytest.mark.parametrize(("program", "kind"), CELLS)
def test_a_program_waits_for_one_deadline(calm, drive: Drive, program: str, kind: str) -> None:
    path = drive.path(FOLDER, "big", f"big-{CELLS.index((program, kind)):02d}.bin")
    calm.fault(kind, **SILENT, **QUERY)
    # that of another program may have been the first to stall: this one is to wait
    said = len(drive.log())
    words = [word.format(path=path) for word in PROGRAMS[program]]
    done = drive.tool(*words, timeout_s=60)
    if (program, kind) != ("dd", "stall_mid_body"):  # a short read is none of its errors
        assert done.returncode != 0
    reads = list(failed_reads(drive.log()[said:]))
    assert len(reads) >= 2, "the kernel did not ask again"
    long = [(began, ended) for began, ended in reads if ended - began > LIMIT_S / 2]
    assert long, "none waited for an answer"
    # Two to four reads of the kernel, each a deadline before, one after the other. The machine may
    # be as slow as it likes: who asks once a deadline is used up has an answer at once
    assert max(began for began, _ in long) < min(ended for _, ended in long), reads


def failed_reads(log: str) -> Iterator[tuple[float, float]]:
    """When each began and ended, in seconds of the hour."""
    for line in re.finditer(r"(\d\d):(\d\d),(\d{3}) .*op=read errno=[A-Z]+ .* ms=(\d+) ", log):
        minutes, seconds, millis, ms = map(int, line.groups())
        ended = minutes * 60 + seconds + millis / 1000
        yield ended - ms / 1000, ended


def test_n_reads_of_one_stalled_object_cost_two_deadlines(calm, drive: Drive) -> None:
    handle = drive.call("open", drive.path(FOLDER, "big", "big-10.bin"))
    calm.fault("stall_before_headers", **SILENT, **QUERY)
    began = time.monotonic()
    for number in range(60):
        code = drive.call("errno_of", "pread", handle, number * 500_000, 4096)
        assert code == errno.ETIMEDOUT
    assert deadlines(began) < 8
    assert drive.counts()["sign"] <= 1, "probes sign nothing"


def test_n_stalled_files_cost_two_deadlines_and_a_moment_each(calm, drive: Drive) -> None:
    calm.fault("stall_before_headers", **SILENT, **QUERY)
    began = time.monotonic()
    for name in drive.call("listdir", drive.path(FOLDER, "small")):
        code = drive.call("errno_of", "read", drive.path(FOLDER, "small", name))
        assert code in (errno.ETIMEDOUT, errno.EIO)
    assert deadlines(began) < FILES / 3
    assert drive.counts()["sign"] <= FILES, "one each, as for any open"
    calm.clear_faults()
    name = drive.path(FOLDER, "small", "small-00003.txt")
    wait_until(lambda: drive.call("errno_of", "read", name) == 0)


def test_a_silent_host_is_offline_as_one_that_refuses(calm, drive: Drive) -> None:
    first, second = (drive.path(FOLDER, "big", f"big-{number}.bin") for number in (11, 12))
    known = drive.call("open", second)
    drive.call("open", first)
    said = len(drive.log())
    calm.fault("stall_before_headers", **SILENT)  # its front page as well
    assert drive.call("errno_of", "read", first, 0, 4096) == errno.ETIMEDOUT
    wait_until(lambda: drive.call("errno_of", "pread", known, 0, 4096) == errno.EIO, 20)
    began = time.monotonic()
    for number in range(100):
        assert drive.call("errno_of", "pread", known, number * 100_000, 4096) == errno.EIO
    assert deadlines(began) < 8
    assert "OfflineError" in drive.log()[said:]
    calm.clear_faults()
    wait_until(lambda: drive.call("errno_of", "pread", known, 0, 4096) == 0, 20)


def test_one_stalled_object_takes_nothing_else_away(calm, drive: Drive) -> None:
    name = "big-13.bin"
    stalled = drive.call("open", drive.path(FOLDER, "big", name))
    well = drive.call("open", drive.path(FOLDER, "big", "big-09.bin"))
    calm.fault("stall_before_headers", **SILENT, contains=_key(drive, name))
    said = len(drive.log())
    began = time.monotonic()
    for number in range(20):
        code = drive.call("errno_of", "pread", stalled, number * 1_000_000, 4096)
        assert code == errno.ETIMEDOUT
        assert len(drive.call("pread", well, number * 1_000_000, 4096)) == 4096
    assert deadlines(began) < 8
    assert "OfflineError" not in drive.log()[said:]


def _key(drive: Drive, name: str) -> str:
    """What stands in the URL of that object and in no other."""
    urn = drive.call("getxattr", drive.path(FOLDER, "big", name), "user.dmfs.storage_id").decode()
    return urn.rpartition("/")[2].rpartition(":")[2]
