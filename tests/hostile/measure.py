"""What a mounted drive says of itself, what the kernel says of its process, and where a night's
figures go (``DMFS_HOSTILE_REPORT``)."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.mounts import Drive, wait_until

REPORT = os.environ.get("DMFS_HOSTILE_REPORT", "")


def report(**numbers: float) -> None:
    """For the table of the night."""
    if REPORT:
        with Path(REPORT).open("a") as file:
            file.write(json.dumps(numbers) + "\n")


def gauges(drive: Drive) -> dict[str, int]:
    """What the drive says of itself on SIGUSR2."""
    assert drive.process is not None
    before = drive.log().count("gauges {")
    drive.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: drive.log().count("gauges {") > before, 20, "gauges")
    lines = [line for line in drive.log().splitlines() if "gauges {" in line]
    found: dict[str, int] = json.loads(lines[-1].partition("gauges ")[2])
    return found


def rss_bytes(pid: int) -> int:
    """Resident now; 0 once the process is gone."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def peak_while(pid: int, busy: Callable[[], bool]) -> int:
    """The largest resident size while ``busy``, looked at ten times a second."""
    peak = 0
    while busy():
        peak = max(peak, rss_bytes(pid))
        time.sleep(0.1)
    return peak
