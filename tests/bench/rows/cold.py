"""seq-cold: one big file, front to back, over the emulated link."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.bench import rivals
from tests.bench.context import Bench
from tests.bench.growth import trace_of
from tests.bench.keeping import KEEPINGS, Keeping, Meter, contest
from tests.bench.measure import GIB, MIB, dd, expect_sha256, give_up_s, mb_per_s
from tests.bench.processes import timed
from tests.bench.registry import row
from tests.bench.results import Result
from tests.bench.service import EMULATED, Service

_FILE = "big/big-00.bin"
_SIZE = GIB
_SHORT = 128 * MIB
"""What rclone reads in a trial, and by its defaults: at 50 MB/s a whole GiB takes 20 s."""


@row("seq-cold", "1 GiB file, dd bs=1M, link emulated")
def seq_cold(bench: Bench, result: Result) -> None:
    with bench.service(f"big:size={_SIZE},count=1", EMULATED) as service:
        url = service.shelf_url
        found = contest(
            bench, result, rivals.SEQUENTIAL, _Dmfs(bench, service, result),
            lambda flags, meter: _rclone(bench, url, flags, _SIZE, meter),
            lambda flags: _rclone(bench, url, flags, 4 * _SHORT),
        )  # fmt: skip
        more = found.contestants
        if bench.tools.has("rclone"):
            more["rclone defaults"] = lambda: _rclone(bench, url, rivals.DEFAULTS, _SHORT)
        if bench.tools.has("aria2c"):
            more["limit: aria2c -x16"] = lambda: aria2c(bench, service.url(_FILE), _SIZE)
        series = bench.alternate(result, "MB/s", more)
    alone = trace_of("planner", "front", _SIZE // (128 * 1024)).mb_per_s
    result.note(
        f"the planner's plans on a link and a machine without other costs: {alone:.0f} MB/s"
    )
    found.judge(series, 1.1)
    limit = series.get("limit: aria2c -x16")
    for keeping in KEEPINGS:
        ours = series[f"dmfs, {keeping.name}"].median
        result.at_least(ours, 0.85, limit, f"aria2c with 16 connections, {keeping.name}")
    kept = series["dmfs, everything kept"].median
    result.at_least(kept, 6, series.get("rclone defaults"), "rclone's defaults")


class _Dmfs:
    """A cold mount, one read; the first time the bytes are checked."""

    def __init__(self, bench: Bench, service: Service, result: Result) -> None:
        self._bench, self._service, self._result = bench, service, result
        self._checked: set[str] = set()

    def __call__(self, keeping: Keeping, meter: Meter) -> float:
        with self._bench.dmfs(self._service, **keeping.settings) as drive:
            drive.list("big")
            self._service.emulator.reset()
            figure = meter.reading(drive.pid, _SIZE, lambda: dd(drive.file(_FILE), _SIZE))
            if keeping.name not in self._checked:
                self._checked.add(keeping.name)
                signs, gets, fetched = self._service.counts()
                self._result.note(
                    f"dmfs, {keeping.name}: {signs} signing, {gets} GETs, "
                    f"{fetched / _SIZE:.3f} × the bytes"
                )
                expect_sha256(drive.file(_FILE), _SIZE, self._service.sha256(_FILE))
        return figure


def _rclone(
    bench: Bench, url: str, flags: Sequence[str], length: int, meter: Meter | None = None
) -> float:
    with bench.rclone(url, flags) as drive:
        drive.list("big")
        path = drive.file(_FILE)
        if meter is None:
            return dd(path, length)
        return meter.reading(drive.pid, length, lambda: dd(path, length))


def aria2c(bench: Bench, url: str, length: int, *more: str, connections: int = 16) -> float:
    """MB/s of aria2c with parallel connections, to memory."""
    target = bench.places.memory / "aria2c"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    try:
        return mb_per_s(length, timed(aria2c_arguments(bench, url, target, connections, *more),
                                      give_up_s(length)))  # fmt: skip
    finally:
        shutil.rmtree(target, ignore_errors=True)


def aria2c_arguments(
    bench: Bench, url: str, target: Path, connections: int, *more: str
) -> list[str]:
    return [
        bench.tools["aria2c"], "--no-conf", "--quiet", f"--dir={target}", f"-x{connections}",
        f"-s{connections}", "-k1M", "--file-allocation=none", *more, url,
    ]  # fmt: skip
