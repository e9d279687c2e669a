"""Saving: write(2) and close(2) against the disk beneath, and the way up against curl's."""

from __future__ import annotations

import json
import os
import time
from functools import partial
from pathlib import Path

from tests.bench.context import Bench
from tests.bench.measure import MIB
from tests.bench.processes import run
from tests.bench.registry import row
from tests.bench.results import Result, Series
from tests.bench.savers import AT_ONCE, NEVER, TIMEOUT_S, check, saving, source, until_clean
from tests.bench.service import EMULATED, LOCAL, Service
from tests.emulator.writer import Writer

_PART = 8 * MIB
"""What dmfs makes of a file of this size, too."""
_SMALL_FILES = 200


def _dd(source: Path, target: Path, block: str) -> float:
    """MB/s of a copy that ends with an fsync."""
    began = time.perf_counter()
    run(["dd", f"if={source}", f"of={target}", f"bs={block}", "conv=fsync", "status=none"],
        TIMEOUT_S)  # fmt: skip
    return source.stat().st_size / (time.perf_counter() - began) / 1e6


@row("save-seq", "dd of 512 MiB with an fsync at its end, in blocks of 1 MiB, onto the drive")
def save_sequentially(bench: Bench, result: Result) -> None:
    given = source(bench, (64 if bench.quick else 512) * MIB)
    disk = bench.places.fresh("disk")
    with saving(bench, LOCAL, NEVER) as (drive, _):
        numbers = iter(range(1000))

        def copy(folder: Path) -> float:
            """A new file each time: memory and blocks that nobody had yet cost more."""
            path = folder / f"copy {next(numbers)}.bin"
            speed = _dd(given, path, "1M")
            path.unlink()
            return speed

        ours = partial(copy, drive.path)
        ours()
        series = bench.alternate(result, "MB/s", {"dmfs": ours, "disk": partial(copy, disk)})
    result.at_least(series["dmfs"].median, 0.7, series["disk"], "the disk beneath")


@row("save-4k", "close(2) after a change of 4 KiB in a file of 1 GiB")
def save_a_little(bench: Bench, result: Result) -> None:
    given = source(bench, (64 if bench.quick else 1024) * MIB)
    took, stored = Series("close", "ms"), Series("stored", "KiB")
    with saving(bench, LOCAL, NEVER) as (drive, _):
        path = Path(drive.file("large.bin"))
        _dd(given, path, "1M")
        for number in range(max(bench.rounds, 5)):
            free = os.statvfs(path).f_bfree * 4096
            handle = os.open(path, os.O_RDWR)
            os.pwrite(handle, os.urandom(4096), 1_234_567 * (number + 1))
            began = time.perf_counter()
            os.close(handle)
            took.values.append((time.perf_counter() - began) * 1000)
            stored.values.append((free - os.statvfs(path).f_bfree * 4096) / 1024)
    result.series += [took, stored]
    result.limit("close < 50 ms", took.median, 50, "ms")


@row("upload", "1 GiB up, link emulated: parts of 8 MiB, against curl with the same ones")
def upload(bench: Bench, result: Result) -> None:
    _up(bench, result, line_bytes_per_s=0)
    result.note("nothing but the processors limits it: the emulator hashes, too, on one of them")


@row("upload-line", "the same over a line of 1 Gbit/s that all connections share")
def upload_over_a_line(bench: Bench, result: Result) -> None:
    _up(bench, result, line_bytes_per_s=125_000_000)


def _up(bench: Bench, result: Result, line_bytes_per_s: int) -> None:
    given = source(bench, (64 if bench.quick else 1024) * MIB)
    with saving(bench, EMULATED, AT_ONCE) as (drive, service):
        service.emulator.settings(line_bytes_per_s=line_bytes_per_s)
        numbers = iter(range(1000))

        def ours() -> float:
            """From the close until the drive says that the service has it."""
            path = Path(drive.file(f"up {next(numbers)}.bin"))
            _dd(given, path, "1M")
            began = time.perf_counter()
            until_clean([path])
            return given.stat().st_size / (time.perf_counter() - began) / 1e6

        def curl() -> float:
            return _by_curl(bench, service, given)

        series = bench.alternate(result, "MB/s", {"dmfs": ours, "curl": curl}, bench.rounds)
        check(service, given, len(series["dmfs"].values))
    result.note("dmfs includes the delay of 100 ms, all calls, checksums and the version")
    result.at_least(series["dmfs"].median, 0.85, series["curl"], "parallel PUTs by curl")


@row("upload-small", f"{_SMALL_FILES} files of 20 KiB up, link emulated, no rate limits")
def upload_small(bench: Bench, result: Result) -> None:
    count = 40 if bench.quick else _SMALL_FILES
    together, alone = Series("together", "files/s"), Series("one by one", "files/s")
    for series, settings in ((together, {"uploads": "16"}), (alone, {"uploads": "1"})):
        with saving(bench, EMULATED, AT_ONCE | settings) as (drive, service):
            began = time.perf_counter()
            for number in range(count):
                Path(drive.file(f"small {number}.bin")).write_bytes(os.urandom(20_000))
            give_up = time.monotonic() + TIMEOUT_S
            while _there(service, "small ") < count and time.monotonic() < give_up:
                time.sleep(0.1)
            series.values.append(count / (time.perf_counter() - began))
            bench.say(f"{series.name}: {series.values[-1]:.1f} files/s")
    result.series += [together, alone]
    result.at_least(together.median, 3, alone, "one after the other")


def _there(service: Service, start: str) -> int:
    return sum(item["name"].startswith(start) for item in service.emulator.writes()["items"])


def _by_curl(bench: Bench, service: Service, source: Path) -> float:
    """The same parts by one curl with 16 connections; the API's calls are made before."""
    project = service.emulator.world()["hubs"][0]["projects"][0]
    writer = Writer(service.emulator, project["id"])
    folder = project["top_folders"][0]
    storage = json.loads(writer.storage("curl.bin", folder).body)["data"]["id"]
    count = -(-source.stat().st_size // _PART)
    parts = bench.places.fresh("parts")
    run(["split", f"--bytes={_PART}", "-d", "-a", "4", str(source), f"{parts}/"], TIMEOUT_S)
    urls: list[str] = []
    key = ""
    while len(urls) < count:
        query = (
            f"?parts={min(25, count - len(urls))}&firstPart={len(urls) + 1}&minutesExpiration=60"
        )
        answer = json.loads(writer.urls(storage, query + (f"&uploadKey={key}" if key else "")).body)
        key, urls = answer["uploadKey"], urls + answer["urls"]
    config = parts / "config"
    lines = [
        f'upload-file = "{parts}/{number:04d}"\nurl = "{url}"\noutput = /dev/null\n'
        for number, url in enumerate(urls)
    ]
    config.write_text("".join(lines))
    began = time.perf_counter()
    run(["curl", "-sS", "--fail", "--parallel", "--parallel-immediate", "--parallel-max", "16",
         "-K", str(config)], TIMEOUT_S)  # fmt: skip
    return source.stat().st_size / (time.perf_counter() - began) / 1e6
