"""seq-raw and seq-tls: the bytes come from nginx at full speed; the emulator only signs."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.bench import drives, rivals
from tests.bench.context import Bench
from tests.bench.keeping import Keeping, Meter, contest
from tests.bench.measure import GIB, dd, expect_sha256, give_up_s, mb_per_s
from tests.bench.processes import CommandFailed
from tests.bench.registry import row
from tests.bench.results import Result, Series
from tests.bench.service import LOCAL, Service
from tests.bench.webserver import Web, fetch_range, nginx

_FILE = "big/big-00.bin"
_CURL_RANGES = 4
_FACTOR = 1.1
"""Times rclone's best of the same keeping."""


@row("seq-raw", "2 GiB file, dd bs=1M, plain HTTP from nginx, no emulation")
def seq_raw(bench: Bench, result: Result) -> None:
    with _nginx(bench) as (service, web):
        _contest(bench, result, service, web, tls=False)


@row("seq-tls", "the same over TLS")
def seq_tls(bench: Bench, result: Result) -> None:
    with _nginx(bench) as (service, web):
        series = _contest(bench, result, service, web, tls=True)
    ours = series["dmfs, nothing kept"].median
    result.at_least(ours, 0.6, series["limit: curl, 4 ranges"], "curl with 4 ranges to /dev/null")


@contextmanager
def _nginx(bench: Bench) -> Iterator[tuple[Service, Web]]:
    if not bench.tools.has("nginx", "curl"):
        raise CommandFailed("needs nginx and curl")
    size = GIB if bench.quick else 2 * GIB
    at = bench.places.memory / "nginx"
    shutil.rmtree(at, ignore_errors=True)
    log = bench.places.fresh("nginx") / "log"
    with (
        bench.service(f"big:size={size},count=1", LOCAL, shelf=False) as service,
        nginx(bench.tools["nginx"], service, at, log) as web,
    ):
        yield service, web
    shutil.rmtree(at, ignore_errors=True)


def _contest(
    bench: Bench, result: Result, service: Service, web: Web, *, tls: bool
) -> dict[str, Series]:
    url = web.https_url if tls else web.http_url
    size = service.files[_FILE].size
    service.emulator.settings(cdn_base=f"{url}/objects")
    found = contest(
        bench, result, rivals.LOCAL, _Dmfs(bench, service, web),
        lambda flags, meter: _rclone(bench, web, url, flags, size, meter),
        lambda flags: _rclone(bench, web, url, flags, size // 2),
    )  # fmt: skip
    found.contestants["limit: curl, 4 ranges"] = lambda: _curl(bench, f"{url}/{_FILE}", size, web)
    series = bench.alternate(result, "MB/s", found.contestants)
    found.judge(series, _FACTOR)
    return series


class _Dmfs:
    """A cold mount, one read; the first time the bytes are checked."""

    def __init__(self, bench: Bench, service: Service, web: Web) -> None:
        self._bench, self._service, self._web = bench, service, web
        self._checked: set[str] = set()

    def __call__(self, keeping: Keeping, meter: Meter) -> float:
        size = self._service.files[_FILE].size
        with drives.dmfs(
            self._bench.places, self._service, keeping.settings, ca_file=self._web.ca_file
        ) as drive:
            drive.list("big")
            figure = meter.reading(drive.pid, size, lambda: dd(drive.file(_FILE), size))
            if keeping.name not in self._checked:
                self._checked.add(keeping.name)
                expect_sha256(drive.file(_FILE), size, self._service.sha256(_FILE))
        return figure


def _rclone(
    bench: Bench, web: Web, url: str, flags: Sequence[str], length: int, meter: Meter | None = None
) -> float:
    program = bench.tools["rclone"]
    with drives.rclone(bench.places, program, url, flags, ca_file=web.ca_file) as drive:
        drive.list("big")
        path = drive.file(_FILE)
        if meter is None:
            return dd(path, length)
        return meter.reading(drive.pid, length, lambda: dd(path, length))


def _curl(bench: Bench, url: str, size: int, web: Web) -> float:
    """Parallel ranges, each by a curl of its own, to /dev/null."""
    step = -(-size // _CURL_RANGES)
    began = time.perf_counter()
    running = [
        subprocess.Popen(
            [bench.tools["curl"], *fetch_range(url, at, min(at + step, size), web.ca_file)]
        )
        for at in range(0, size, step)
    ]
    try:
        statuses = [each.wait(give_up_s(size)) for each in running]
    finally:
        for each in running:
            each.kill()
    if any(statuses):
        raise CommandFailed(f"curl failed: {statuses}")
    return mb_per_s(size, time.perf_counter() - began)
