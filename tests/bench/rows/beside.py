"""What uploads cost others: memory, a reader's rate, a person's ``ls`` beside 1000 new files."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.context import Bench
from tests.bench.drives import Drive
from tests.bench.measure import MIB, dd
from tests.bench.processes import CommandFailed, memory_bytes, run, timed
from tests.bench.registry import row
from tests.bench.results import Result, Series
from tests.bench.savers import AT_ONCE, TIMEOUT_S, saving, source, state_of, until_clean
from tests.bench.service import EMULATED, Service

_BUDGET_MIB = 192
"""dmfs's default ``memory_budget``."""
_ALLOWANCE_MIB = 100
_UPLOADS = 20
_SAMPLE_S = 0.1


@row("upload-memory", f"{_UPLOADS} files of 48 MiB saved and sent at once, link emulated")
def upload_memory(bench: Bench, result: Result) -> None:
    size = (12 if bench.quick else 48) * MIB
    before, peak = Series("dmfs, before", "MiB"), Series("dmfs, peak", "MiB")
    at_once = Series("sent at once", "files")
    given = source(bench, size)
    # versions of files that are there: of new files ten at most go up at the same time
    world = f"big:size={size},count={_UPLOADS}"
    settings = AT_ONCE | {"uploads": str(_UPLOADS)}
    for _ in range(min(bench.rounds, 3)):
        with saving(bench, EMULATED, settings, world) as (drive, service):
            # so slow that none is up before the last one begins
            service.emulator.settings(cdn_put_bytes_per_s=5e6)
            drive.list("big")
            before.values.append(memory_bytes(drive.pid) / MIB)
            paths = [drive.path / f"big/big-{number:02d}.bin" for number in range(_UPLOADS)]
            with _watching(drive, paths) as seen:
                _copy_all(given, paths)
                until_clean(paths)
            peak.values.append(seen["bytes"] / MIB)
            at_once.values.append(seen["at once"])
            bench.say(f"{peak.values[-1]:.0f} MiB, {seen['at once']} at once")
    result.series += [before, peak, at_once]
    most_mib = _BUDGET_MIB + _ALLOWANCE_MIB
    result.limit(f"RSS ≤ budget + 100 MiB = {most_mib} MiB", max(peak.values), most_mib, "MiB")
    if not bench.quick:
        result.floor("all of them at once", min(at_once.values), _UPLOADS, "files")


def _copy_all(given: Path, paths: Sequence[Path]) -> None:
    """All at the same time."""
    words = [f"cp -- {shlex.quote(str(given))} {shlex.quote(str(path))} &" for path in paths]
    run(["sh", "-c", "\n".join([*words, "wait"])], TIMEOUT_S)
    for path in paths:
        if path.stat().st_size != given.stat().st_size:
            raise CommandFailed(f"{path.name} was not copied")


@contextmanager
def _watching(drive: Drive, paths: Sequence[Path]) -> Iterator[dict[str, int]]:
    """The most memory of all processes, and the most files that were going up."""
    seen, over = {"bytes": 0, "at once": 0}, threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE_S):
            seen["bytes"] = max(seen["bytes"], memory_bytes(drive.pid))
            if seen["at once"] < len(paths):
                going = sum(state_of(path) == "uploading" for path in paths)
                seen["at once"] = max(seen["at once"], going)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


_LINE_BYTES_PER_S = 25e6
"""Less than the machine can do, or the reader would be measured against the emulator's one thread
and not against the uploads."""


@row("read-beside-upload", "a file read cold, alone and beside 4 files going up the same line")
def read_beside_upload(bench: Bench, result: Result) -> None:
    size = (64 if bench.quick else 256) * MIB
    given = source(bench, size // 2)
    world = f"big:size={size},count=1"
    parts = Series("parts sent meanwhile", "parts")

    def read(*, beside: bool) -> float:
        """A new mount each time; MB/s of one reader, front to back."""
        with saving(bench, EMULATED, AT_ONCE, world) as (drive, service):
            service.emulator.settings(line_bytes_per_s=_LINE_BYTES_PER_S)
            drive.list("big")
            targets = [drive.path / f"up {number}.bin" for number in range(4)]
            if beside:
                _copy_all(given, targets)
                _until(lambda: _puts(service) > 0, "no upload began")
            begun = _puts(service)
            figure = dd(drive.file("big/big-00.bin"), size)
            if beside:
                parts.values.append(_puts(service) - begun)
                if all(state_of(path) == "clean" for path in targets):
                    raise CommandFailed("all was up before the reader was done")
            return figure

    series = bench.alternate(
        result, "MB/s",
        {"alone": lambda: read(beside=False), "beside": lambda: read(beside=True)},
    )  # fmt: skip
    result.series.append(parts)
    line = f"{_LINE_BYTES_PER_S / 1e6:.0f} MB/s"
    result.note(f"a line of {line} for all connections and both directions, each the same share")
    result.note("16 parts of 8 MiB are on their way when the reader comes; then 4 at a time go")
    result.at_least(series["beside"].median, 0.6, series["alone"], "its rate alone")


def _puts(service: Service) -> int:
    counts: dict[str, int] = service.emulator.counts()
    return counts.get("cdn_put", 0)


def _until(done: Any, what: str, timeout_s: float = 60.0) -> None:
    give_up = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > give_up:
            raise CommandFailed(what)
        time.sleep(0.02)


_NEW_FILES, _NEW_FOLDERS = 1000, 10
_PEOPLE, _ALONE = 160, 40
"""Folders that nobody has looked into yet, one a look; and how many looks are alone."""
_PAUSE_S = 1.5
_LOOKS_S = 100.0
_A_MINUTE = 50


@row("ls-beside-copy", f"a cold ls, alone and beside cp -r of {_NEW_FILES} new files, real limits")
def ls_beside_copy(bench: Bench, result: Result) -> None:
    alone, beside = Series("ls, alone", "ms"), Series("ls, beside", "ms")
    arrived, said = Series("arrived", "files/min"), Series("dmfs uploads says", "s left")
    given = _tree(bench)
    settings = AT_ONCE | {"rates": "", "walk_ahead": "0"}
    world = f"tree:folders={_PEOPLE},files={2 * _PEOPLE},depth=1"
    with saving(bench, EMULATED, settings, world, rate_limits="published") as (drive, service):
        folders = iter([each for each in (drive.path / "tree").iterdir() if each.is_dir()])
        alone.values = [_look(next(folders)) for _ in range(_ALONE)]
        run(["cp", "-r", "--", str(given), drive.file("copy")], TIMEOUT_S)
        _until(lambda: bool(_posted(service)), "nothing arrives")
        first_s = _posted(service)[0]
        end_s = first_s + _whole_minutes_s(
            time.time() - first_s + (20 if bench.quick else _LOOKS_S)
        )
        while time.time() < end_s:
            beside.values.append(_look(next(folders)))
            time.sleep(_PAUSE_S)
        said.values.append(_told_s(drive))
        count = len(_posted(service))
        arrived.values.append(60 * count / (end_s - first_s))
        least_s = 60 * ((_NEW_FILES - count) / _A_MINUTE - 1)
        refused = service.emulator.calls()["status_429"]
    result.series += [alone, beside, arrived, said]
    result.note(
        "an ls of a folder that nobody has looked into, walk-ahead off: one call of the API"
    )
    result.at_most(beside, 1.5, alone, "the usual time of an ls")
    result.floor("≥ 45 files a minute from the first one on", arrived.values[-1], 45, "files/min")
    fits = least_s <= said.values[-1] <= least_s + 120
    result.check("dmfs uploads says how long it takes", f"{said.values[-1]:.0f} s", met=fits)
    result.check("no 429", f"{refused}", met=not refused)


def _tree(bench: Bench) -> Path:
    """The files in their folders, each of other bytes."""
    top = bench.places.fresh("new") / "tree"
    for number in range(_NEW_FILES):
        folder = top / f"folder {number % _NEW_FOLDERS}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.bin").write_bytes(os.urandom(20_000))
    return top


def _look(folder: Path) -> float:
    """Milliseconds of a person's ls."""
    return 1000 * timed(["ls", "-l", "--", str(folder)], 60)


def _whole_minutes_s(least_s: float) -> float:
    """So many minutes, and a bit less: 50 files go at the begin of each, and it is counted what has
    arrived just before the next ones do."""
    return 60 * math.ceil((least_s + 2) / 60) - 2.0


def _posted(service: Service) -> list[float]:
    """When each new file was posted, in seconds of the wall clock."""
    log = service.emulator.calls()["log"]
    return [entry["t"] for entry in log if entry["route"] == "items_post"]


def _told_s(drive: Drive) -> float:
    """What ``dmfs uploads`` says of all that waits, in words and in JSON."""
    words = drive.told("uploads").splitlines()[-1]
    if not re.search(r"about \d+ (s|min) left$", words):
        raise CommandFailed(f"dmfs uploads does not say how long: {words}")
    return float(json.loads(drive.told("uploads", "--json"))["left_s"])
