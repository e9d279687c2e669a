"""What a drive keeps in memory: many known inodes, many files read at once, with the settings that
a user gets. ``scripts/nightly --only memory`` measures 100 000 inodes and 64 files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hostile import streams
from tests.hostile.measure import gauges, peak_while, report, rss_bytes
from tests.support.mounts import wait_until

pytestmark = pytest.mark.mount

FOLDER = "Bench/Bench Project/Project Files"
INODES = int(os.environ.get("DMFS_MEMORY_INODES", "10000"))
FILES = int(os.environ.get("DMFS_MEMORY_FILES", "64"))
SECONDS = float(os.environ.get("DMFS_MEMORY_S", "8"))
BIG = 40_000_000
PER_FOLDER = 50
BASE_BYTES = 76 << 20
"""The interpreter and its libraries: 53 MiB at the start; the fetching process has 24 more, 14 of
them libraries that the drive has too, counted for both."""
BUDGET_BYTES = 192 << 20
"""The default memory_budget; 64 readers fill it."""
PER_INODE_BYTES = 1600
"""A version's names, ids, times; its row; its share of the listing: 1467 measured at 100 000."""
FIRST_USE_BYTES = 16 << 20
"""What the first walk takes whatever its length: 10 MiB of 24 at 10 000."""
SLACK_BYTES = 32 << 20


@pytest.fixture(scope="module")
def world_spec() -> str:
    folders = INODES // PER_FOLDER
    return f"tree:folders={folders},files={INODES - folders},depth=6+big:size={BIG},count={FILES}"


@pytest.mark.timeout(120 + INODES // 100 + 4 * SECONDS)
def test_memory_of_many_inodes_and_many_readers(calm, make_drive):
    drive = make_drive(name="memory", log_level="info", config={"ttl": "1h", "hub_ttl": "1h"})
    assert drive.process is not None
    names = [drive.path(FOLDER, "big", f"big-{n:02}.bin") for n in range(FILES)]
    drive.call("listdir", drive.path(FOLDER, "big"))
    began, at_start = time.monotonic(), rss_bytes(drive.process.pid)
    found = subprocess.run(
        ["find", drive.path(FOLDER, "tree"), "-printf", "%s\\n"],
        stdout=subprocess.PIPE, check=True, timeout=60 + INODES / 100,
    )  # fmt: skip
    walk_s = time.monotonic() - began
    assert found.stdout.count(b"\n") >= INODES
    for _ in range(3):  # the kernel forgets some when others want its memory: 8454 were left once
        if gauges(drive)["inodes"] < INODES:
            subprocess.run(["find", drive.path(FOLDER, "tree"), "-printf", ""], check=True)
    assert gauges(drive)["inodes"] >= INODES
    with_inodes = rss_bytes(drive.process.pid)
    words = [sys.executable, "-IS", streams.__file__, str(SECONDS), *names]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as readers:
        peak = peak_while(drive.process.pid, lambda: readers.poll() is None)
        assert readers.stdout is not None
        told = json.loads(readers.stdout.read())
    wait_until(lambda: gauges(drive)["files"] == 0, 20, "files closed")
    after = rss_bytes(drive.process.pid)
    per_inode = (with_inodes - at_start) / INODES
    print("memory", gauges(drive), told, f"walk {walk_s:.1f} s")
    print(f"RSS at start {at_start >> 20}, with inodes {with_inodes >> 20}, peak {peak >> 20},"
          f" after {after >> 20} MiB; {per_inode:.0f} bytes an inode")  # fmt: skip
    report(
        memory_inodes=INODES, memory_files=FILES, memory_start_mib=at_start >> 20,
        memory_inodes_mib=with_inodes >> 20, memory_peak_mib=peak >> 20,
        memory_after_mib=after >> 20, memory_per_inode=round(per_inode),
        memory_gib=round(told["bytes"] / (1 << 30), 2),
    )  # fmt: skip
    assert told["errors"] == 0
    assert told["bytes"] > FILES << 20
    assert with_inodes - at_start < FIRST_USE_BYTES + INODES * PER_INODE_BYTES
    # inodes and bytes share the budget, however many there are: 300 MiB
    assert peak < BASE_BYTES + BUDGET_BYTES + SLACK_BYTES
    assert drive.stop() == 0
    assert "Traceback" not in drive.log()


def test_the_peak_is_seen(tmp_path: Path) -> None:
    """The measure itself: a process that takes 64 MiB and gives them back is caught in the act."""
    code = "x = b'x' * (64 << 20); import time; time.sleep(0.3); del x; time.sleep(0.3)"
    with subprocess.Popen([sys.executable, "-IS", "-c", code]) as child:
        assert peak_while(child.pid, lambda: child.poll() is None) > 64 << 20
