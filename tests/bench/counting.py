"""What a read from memory costs the daemon's processor: for changes that count something with each.

``python -m tests.bench.counting [--src DIR]``: 4 KiB at random and 128 KiB in a row, past the page
cache, of a file that is in memory; µs of the daemon's CPU a read. Of several checkouts in turns.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support import mounts
from tests.support.fixtures import running_emulator

FILE_BYTES = 32 * 1024 * 1024
SMALL, LARGE = 4096, 128 * 1024
SMALL_READS, PASSES = 40_000, 40
FILE = "Bench/Bench Project/Project Files/big/big-00.bin"


def measured() -> tuple[float, float]:
    """µs of CPU a read of each size."""
    world = f"big:size={FILE_BYTES},count=1"
    with running_emulator(world=world) as emulator, tempfile.TemporaryDirectory() as at:
        config = {"cache_size": 0}
        with mounts.Drive(Path(at), emulator, config=config, log_level="info") as drive:
            assert drive.process is not None
            pid = drive.process.pid
            descriptor = os.open(drive.path(FILE), os.O_RDONLY | os.O_DIRECT)
            buffer = memoryview(mmap.mmap(-1, LARGE))

            def stream(passes: int) -> None:
                for _ in range(passes):
                    for offset in range(0, FILE_BYTES, LARGE):
                        os.preadv(descriptor, [buffer], offset)

            stream(2)  # from here on it is in memory
            chosen = random.Random(1)
            pages = [chosen.randrange(FILE_BYTES // SMALL) for _ in range(SMALL_READS)]
            before = cpu_s(pid)
            for page in pages:
                os.preadv(descriptor, [buffer[:SMALL]], page * SMALL)
            between = cpu_s(pid)
            stream(PASSES)
            after = cpu_s(pid)
            os.close(descriptor)
    reads = PASSES * FILE_BYTES // LARGE
    return (between - before) / SMALL_READS * 1e6, (after - between) / reads * 1e6


def cpu_s(pid: int) -> float:
    """Of a process, so far."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """One measurement, or rounds of several checkouts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--src", action="append", default=[], metavar="DIR")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    if len(given.src) <= 1 and given.rounds == 1:
        mounts.OTHER_SOURCE = given.src[0] if given.src else ""
        print(*(f"{each:.1f}" for each in measured()))
        return
    found: dict[str, list[list[float]]] = {src: [] for src in given.src}
    for number in range(given.rounds):
        for src in given.src if number % 2 else reversed(given.src):
            words = [sys.executable, "-m", "tests.bench.counting", "--src", src]
            line = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            found[src].append([float(word) for word in line.split()])
    for src, rows in found.items():
        small, large = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{src}: 4 KiB {small:.1f} µs, 128 KiB {large:.1f} µs (medians of {len(rows)})")


if __name__ == "__main__":
    main()
