"""small-one, small, small-limited: many small files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from tests.bench import rivals
from tests.bench.context import Bench
from tests.bench.drives import Drive
from tests.bench.processes import CommandFailed, run, timed
from tests.bench.registry import row
from tests.bench.results import Result, Series
from tests.bench.service import EMULATED, Service

_FILES = 1000
_ONE_READER = 200
_TRIAL = 60
_WORLD = f"small:files={_FILES},min=1024,max=40960"
_LIMITED_FILES = 2000
"""Twice what a minute allows: the first thousand may go at once, the second has to wait."""
_TIMEOUT_S = 120.0
_RG_TIMEOUT_S = 200.0
_PER_MINUTE = 1000
"""Signings that the service allows (all of OSS together)."""

Workload = Callable[[Drive, Service], float]


@row("small-one", "one reader, cat of 200 small files in listing order, cold, link emulated")
def small_one(bench: Bench, result: Result) -> None:
    with bench.service(_WORLD, EMULATED) as service:
        series = _contest(bench, result, service, _cat)
    _faster(result, series)


@row("small", "rg over 1000 files of 1–40 KiB, cold, limits off, link emulated")
def small(bench: Bench, result: Result) -> None:
    counted: list[tuple[int, int, int]] = []
    with bench.service(_WORLD, EMULATED) as service:
        series = _contest(bench, result, service, lambda *given: _rg(bench, *given), counted)
    _faster(result, series)
    signs, gets, listings = max(counted)
    figure = f"{listings} listings + {signs} signings, {gets} GETs"
    met = signs == _FILES and gets == _FILES
    result.check("calls = listings + 1000 signings, GETs = 1000", figure, met=met)


@row("small-limited", "the same over 2000 files with the published limits on, once")
def small_limited(bench: Bench, result: Result) -> None:
    if bench.quick:
        result.note("left out of --quick: it takes a minute by its nature")
        return
    took = Series("dmfs", "s")
    world = f"small:files={_LIMITED_FILES},min=1024,max=40960"
    with bench.service(world, EMULATED, rate_limits="published", shelf=False) as service:
        with bench.dmfs(service, rates="") as drive:  # the published ones
            drive.list("small")
            try:
                took.values.append(_rg(bench, drive, service))
            except CommandFailed as error:
                result.note(f"not every file could be read: {str(error)[-120:]}")
        calls = service.emulator.calls()
    goal = f"≥ 0.9 × what {_PER_MINUTE} signings a minute allow"
    if took.values:
        result.series.append(took)
        a_minute = _LIMITED_FILES / took.median * 60
        result.floor(goal, a_minute, 0.9 * _PER_MINUTE, "files/min")
    else:
        signed = calls["counts"]["sign"]
        result.check(goal, f"errors after {signed} signings", met=False)
    result.check("no 429", f"{calls['status_429']} of them", met=calls["status_429"] == 0)


def _contest(
    bench: Bench, result: Result, service: Service, work: Workload,
    counted: list[tuple[int, int, int]] | None = None,
) -> dict[str, Series]:  # fmt: skip
    """Cold mounts that know the folder; rclone signs nothing, which is to its advantage."""
    checked: set[str] = set()

    def ours() -> float:
        service.emulator.reset()
        with bench.dmfs(service) as drive:
            drive.list("small")
            took_s = work(drive, service)
            calls = service.emulator.calls()["counts"]
            if counted is not None:
                listings = calls["contents"] + calls["topFolders"]
                counted.append((calls["sign"], calls["cdn_get"], listings))
            if "dmfs" not in checked:
                checked.add("dmfs")
                _check(drive, service)
        return took_s

    def theirs(flags: Sequence[str]) -> float:
        with bench.rclone(service.shelf_url, flags) as drive:
            drive.list("small")
            return work(drive, service)

    def trial(flags: Sequence[str]) -> float:
        with bench.rclone(service.shelf_url, flags) as drive:
            drive.list("small")
            return _cat(drive, service, _TRIAL)

    contestants = {"dmfs": ours}
    if bench.tools.has("rclone"):
        _, best = bench.best(result, rivals.SMALL, trial, lower_is_better=True)
        contestants["rclone best"] = lambda: theirs(best)
    return bench.alternate(result, "s", contestants)


def _faster(result: Result, series: dict[str, Series]) -> None:
    """Times, not speeds: the ratio the other way round."""
    rival = series.get("rclone best")
    speed = Series("", "1/s", [1 / value for value in rival.values]) if rival else None
    result.at_least(1 / series["dmfs"].median, 4, speed, "rclone's best")


def _names(service: Service) -> list[str]:
    return sorted(name for name in service.files if name.startswith("small/"))


def _cat(drive: Drive, service: Service, count: int = _ONE_READER) -> float:
    names = _names(service)[:count]
    return timed(["cat", "--", *(drive.file(name) for name in names)], _TIMEOUT_S)


def _rg(bench: Bench, drive: Drive, service: Service) -> float:
    """Every byte of every file is searched for what none has."""
    del service
    command = [bench.tools["rg"], "-a", "--no-ignore", "--count-matches", "no such words"]
    found = ["bash", "-c", '"$@"; [ $? -le 1 ]', "bash", *command, drive.file("small")]
    return timed(found, _RG_TIMEOUT_S)


def _check(drive: Drive, service: Service) -> None:
    """The bytes of the first files, now from the caches."""
    names = _names(service)[:_ONE_READER]
    got = run(["cat", "--", *(drive.file(name) for name in names)], _TIMEOUT_S).stdout
    expected = hashlib.sha256()
    for name in names:
        expected.update(service.emulator.bytes(service.files[name].storage))
    if hashlib.sha256(got).digest() != expected.digest():
        raise CommandFailed("WRONG BYTES in small files")
