"""first-byte: how long until one byte of a cold file is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from statistics import median

from tests.bench import rivals
from tests.bench.context import Bench
from tests.bench.drives import Drive
from tests.bench.measure import MIB
from tests.bench.processes import timed
from tests.bench.registry import row
from tests.bench.results import Result
from tests.bench.service import EMULATED

_SIZE = 128 * MIB
"""More than 64 MiB: up to there the emulator computes a sha1 first, which takes its time."""
_FILES_A_ROUND = 5
_ALLOWANCE_MS = 15
_TIMEOUT_S = 30


@row("first-byte", "head -c1 of a cold file, listing known")
def first_byte(bench: Bench, result: Result) -> None:
    """Each file is read once only, so that every one is cold; the mounts stay."""
    count = _FILES_A_ROUND * bench.rounds
    with (
        bench.service(f"big:size={_SIZE},count={count}", EMULATED) as service,
        bench.dmfs(service) as drive,
    ):
        contestants = {"dmfs": _heads(drive, count)}
        if bench.tools.has("rclone"):
            streams = rivals.SEQUENTIAL["off, 16×8M"]
            with (
                bench.rclone(service.shelf_url, streams) as rival,
                bench.rclone(service.shelf_url, rivals.DEFAULTS) as plain_rival,
            ):
                contestants["rclone 16 streams"] = _heads(rival, count)
                contestants["rclone defaults"] = _heads(plain_rival, count)
                series = _alternate(bench, result, contestants)
        else:
            series = _alternate(bench, result, contestants)
    most_ms = EMULATED.api_ms + EMULATED.cdn_ms + _ALLOWANCE_MS
    result.limit(
        "one API call + one CDN round trip + 15 ms (rclone: no API call)", series, most_ms, "ms"
    )


def _alternate(
    bench: Bench, result: Result, contestants: Mapping[str, Callable[[], float]]
) -> float:
    return bench.alternate(result, "ms", contestants)["dmfs"].median


def _heads(drive: Drive, count: int) -> Callable[[], float]:
    """Milliseconds of the median of a few files."""
    drive.list("big")
    names: Iterator[str] = iter([f"big/big-{number:02d}.bin" for number in range(count)])

    def once() -> float:
        return 1000 * median(
            timed(["head", "-c1", "--", drive.file(next(names))], _TIMEOUT_S)
            for _ in range(_FILES_A_ROUND)
        )

    return once
