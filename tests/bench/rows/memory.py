"""memory: fifty handles streaming."""

from __future__ import annotations

import threading

from tests.bench.context import Bench
from tests.bench.measure import MIB, reader
from tests.bench.processes import CommandFailed, memory_bytes
from tests.bench.registry import row
from tests.bench.results import Result, Series
from tests.bench.service import EMULATED

_HANDLES = 50
_SIZE = 256 * MIB
_BUDGET_MIB = 192
"""dmfs's default ``memory_budget``."""
_ALLOWANCE_MIB = 100
_SAMPLE_S = 0.2


@row("memory", "50 handles streaming, link emulated")
def memory(bench: Bench, result: Result) -> None:
    before, peak = Series("dmfs, before", "MiB"), Series("dmfs, peak", "MiB")
    speed = Series("all readers", "MB/s")
    world = f"big:size={_SIZE},count={_HANDLES}"
    with bench.service(world, EMULATED, shelf=False) as service:
        for _ in range(min(bench.rounds, 3)):
            with bench.dmfs(service) as drive:
                drive.list("big")
                before.values.append(memory_bytes(drive.pid) / MIB)
                paths = [drive.file(f"big/big-{number:02d}.bin") for number in range(_HANDLES)]
                found, most = _watch(drive.pid, paths, 5.0 if bench.quick else 10.0)
                peak.values.append(most / MIB)
                speed.values.append(found["bytes"] / 1e6 / found["seconds"])
    result.series += [before, peak, speed]
    most_mib = _BUDGET_MIB + _ALLOWANCE_MIB
    result.limit(f"RSS ≤ budget + 100 MiB = {most_mib} MiB", max(peak.values), most_mib, "MiB")


def _watch(pid: int, paths: list[str], seconds: float) -> tuple[dict[str, float], int]:
    """What the readers did, and the most memory of all our processes meanwhile."""
    found: dict[str, float] = {}
    thread = threading.Thread(
        target=lambda: found.update(reader("streaming", seconds + 90, paths=paths, seconds=seconds))
    )
    thread.start()
    most = 0
    while thread.is_alive():
        most = max(most, memory_bytes(pid))
        thread.join(_SAMPLE_S)
    if not found.get("least"):
        raise CommandFailed("not every reader got bytes")
    return found, most
