"""seq-many: eight files at once, and a ninth that somebody opens meanwhile."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence

from tests.bench import rivals
from tests.bench.context import Bench
from tests.bench.drives import Drive
from tests.bench.keeping import KEEPINGS, Keeping, Meter, contest
from tests.bench.measure import MIB, dd, expect_sha256, give_up_s, mb_per_s
from tests.bench.processes import CommandFailed, timed
from tests.bench.registry import row
from tests.bench.results import Result, Series
from tests.bench.rows.cold import aria2c_arguments
from tests.bench.service import EMULATED, Service

_COUNT = 8
_SIZE = 256 * MIB
_NINTH_AFTER_S = 0.7
"""When the streams are at full speed."""
_HEAD = ["head", "-c4096", "--"]


def _name(number: int) -> str:
    return f"big/big-{number:02d}.bin"


@row("seq-many", "8 files of 256 MiB at once, head -c4096 of a ninth, link emulated")
def seq_many(bench: Bench, result: Result) -> None:
    ninth = Series("dmfs, ninth file", "ms")
    ninth_limit = Series("server, ninth file", "ms")
    with bench.service(f"big:size={_SIZE},count={_COUNT + 1}", EMULATED) as service:
        found = contest(
            bench, result, rivals.SEQUENTIAL,
            lambda keeping, meter: _dmfs(bench, service, keeping, meter, ninth),
            lambda flags, meter: _rclone(bench, service, flags, meter),
            lambda flags: _rclone(bench, service, flags),
        )  # fmt: skip
        more = found.contestants
        if bench.tools.has("aria2c", "curl"):
            more["limit: aria2c -x4"] = lambda: _aria2c(bench, service, 4, ninth_limit)
            more["limit: aria2c -x16"] = lambda: _aria2c(bench, service, 16, None)
        series = bench.alternate(result, "MB/s", more)
    found.judge(series, 1)
    limits = [each for name, each in series.items() if name.startswith("limit")]
    limit = max(limits, key=lambda each: each.median) if limits else None
    kept = series["dmfs, everything kept"].median
    result.at_least(kept, 0.85, limit, "the limit (aria2c on 8 files)")
    result.series += [each for each in (ninth, ninth_limit) if each.values]
    most_ms = EMULATED.api_ms + 2 * EMULATED.cdn_ms
    goal = f"ninth file within 3 round trips (an API call and two of the CDN: {most_ms:.0f} ms)"
    result.limit(goal, ninth.median, most_ms, "ms")


def _dmfs(bench: Bench, service: Service, keeping: Keeping, meter: Meter, ninth: Series) -> float:
    with bench.dmfs(service, **keeping.settings) as drive:
        drive.list("big")
        figure = meter.reading(drive.pid, _COUNT * _SIZE, lambda: _together(drive, ninth))
        if len(ninth.values) <= len(KEEPINGS):
            expect_sha256(drive.file(_name(1)), _SIZE, service.sha256(_name(1)))
    return figure


def _rclone(
    bench: Bench, service: Service, flags: Sequence[str], meter: Meter | None = None
) -> float:
    with bench.rclone(service.shelf_url, flags) as drive:
        drive.list("big")
        if meter is None:
            return dd(drive.file(_name(0)), _SIZE)
        return meter.reading(drive.pid, _COUNT * _SIZE, lambda: _together(drive, None))


def _together(drive: Drive, ninth: Series | None) -> float:
    commands = [
        ["dd", f"if={drive.file(_name(number))}", "of=/dev/null", "bs=1M", "status=none"]
        for number in range(_COUNT)
    ]
    return _all_at_once(commands, ninth, [*_HEAD, drive.file(_name(_COUNT))])


def _aria2c(bench: Bench, service: Service, connections: int, ninth: Series | None) -> float:
    """An aria2c a file, to memory."""
    target = bench.places.memory / "aria2c"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    commands = [
        aria2c_arguments(bench, service.url(_name(number)), target, connections)
        for number in range(_COUNT)
    ]
    url = service.url(_name(_COUNT))
    probe = [bench.tools["curl"], "--silent", "--range", "0-4095", "-o", "/dev/null", url]
    try:
        return _all_at_once(commands, ninth, probe)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _all_at_once(commands: list[list[str]], ninth: Series | None, probe: list[str]) -> float:
    """MB/s of all together; the probe's milliseconds are entered meanwhile."""
    began = time.perf_counter()
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    try:
        if ninth is not None:
            time.sleep(_NINTH_AFTER_S)
            ninth.values.append(1000 * timed(probe, 60))
        statuses = [each.wait(give_up_s(_COUNT * _SIZE)) for each in running]
    except subprocess.TimeoutExpired:
        raise CommandFailed("eight readers at once: not done in time") from None
    finally:
        for each in running:
            each.kill()
    if any(statuses):
        raise CommandFailed(f"a reader failed: {statuses}")
    return mb_per_s(_COUNT * _SIZE, time.perf_counter() - began)
