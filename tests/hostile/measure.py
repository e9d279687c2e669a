"""What a mounted drive says of itself, what the kernel says of its process, and where a night's
figures go (``DMFS_HOSTILE_REPORT``)."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.processes import family
from tests.support.mounts import Drive, wait_until

REPORT = os.environ.get("DMFS_HOSTILE_REPORT", "")


def report(**numbers: float) -> None:
    """For the table of the night."""
    if REPORT:
        with Path(REPORT).open("a") as file:
            file.write(json.dumps(numbers) + "\n")


def gauges(drive: Drive) -> dict[str, int]:
    """The gauges of the drive's report on SIGUSR2; its first task stands after the last gauge."""
    assert drive.process is not None
    before = drive.log().count("task <init>")
    drive.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: drive.log().count("task <init>") > before, 20, "gauges")
    rows = re.findall(r" gauge (\S+)=(-?\d+)$", drive.log(), re.MULTILINE)
    return {name: int(value) for name, value in rows}  # the last report's


def rss_bytes(pid: int) -> int:
    """Resident now, of a process and its family; 0 once it is gone. Memory that they share as the
    arena is shared counts once, libraries for each of them."""
    return sum(_resident_bytes(member) for member in family(pid))


def _resident_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    own = [line.split()[1] for line in status.splitlines() if line[:8] in ("RssAnon:", "RssFile:")]
    shared = [line.split()[1] for line in rollup.splitlines() if line.startswith("Pss_Shmem:")]
    return sum(map(int, own + shared)) * 1024


def peak_while(pid: int, busy: Callable[[], bool]) -> int:
    """The largest resident size while ``busy``, looked at ten times a second."""
    peak = 0
    while busy():
        peak = max(peak, rss_bytes(pid))
        time.sleep(0.1)
    return peak
