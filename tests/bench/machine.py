"""What the figures were taken on, and the knobs of the machine that a measurement turns."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.bench.tools import Tools

_PACKAGES = ("dmfs", "trio", "httpx", "pycurl", "pyfuse3")
_DISK_BLOCKS = 64
_STEPS = 200_000
_VERSION_FLAGS = {"nginx": "-v", "fusermount3": "--version"}


def drop_page_cache() -> bool:
    """Write back and drop the page cache; False where we may not."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def available_bytes() -> int:
    """Memory that can be had without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) * 1024
    return 0


def disk_mb_per_s(directory: Path) -> float:
    """What the disk takes past the page cache (``dd oflag=direct``); 0 where that is impossible."""
    target = directory / f"dmfs-bench-speed-{os.getpid()}"
    command = ["dd", "if=/dev/zero", f"of={target}", "bs=4M", f"count={_DISK_BLOCKS}"]
    try:
        began = time.perf_counter()
        done = subprocess.run(
            [*command, "oflag=direct"], capture_output=True, timeout=60, check=False
        )
        took_s = time.perf_counter() - began
    except (OSError, subprocess.TimeoutExpired):
        return 0.0
    finally:
        target.unlink(missing_ok=True)
    return 0.0 if done.returncode else _DISK_BLOCKS * 4 * 1.048576 / took_s


def python_ns_per_step() -> float:
    """What a step of a fixed loop takes (a call, an addition, a slot of a list): the best of five,
    so that it is the machine's speed and not its load."""
    numbers = [0]

    def step(by: int) -> None:
        numbers[0] += by

    best_s = float("inf")
    for _ in range(5):
        began = time.process_time()
        for number in range(_STEPS):
            step(number)
        best_s = min(best_s, time.process_time() - began)
    return best_s / _STEPS * 1e9


def describe(tools: Tools, disk: Path) -> dict[str, Any]:
    """Machine, kernel, versions, commit, date, load: what goes with every figure."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _first_line(["git", "describe", "--always", "--dirty"]),
        "machine": {
            "cpu": _cpu_model(),
            "cpus": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "kernel": platform.release(),
            "disk_mb_per_s": round(disk_mb_per_s(disk)),
            "python_ns_per_step": round(python_ns_per_step(), 1),
            "load_at_start": os.getloadavg()[0],
        },
        "versions": {
            "python": platform.python_version(),
            **{name: _package(name) for name in _PACKAGES},
            **{
                name: _first_line([path, _VERSION_FLAGS.get(name, "--version")])
                for name, path in tools.found.items()
            },
        },
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _first_line(command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
    )
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else ""
