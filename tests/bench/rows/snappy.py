"""snappy: does a shell stay quick while a reader streams at full speed over TLS?"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.bench import drives
from tests.bench.context import Bench
from tests.bench.measure import GIB, percentile, reader
from tests.bench.processes import Child, CommandFailed
from tests.bench.registry import row
from tests.bench.results import Result, Series
from tests.bench.service import LOCAL
from tests.bench.webserver import nginx

_FILE = "big/big-00.bin"
_NAMES = 3000
_PAUSE_S = 0.002
_MOST_MS = 10.0


@row("snappy", "stat of an absent and of a present name while a reader streams over TLS")
def snappy(bench: Bench, result: Result) -> None:
    if not bench.tools.has("nginx", "curl"):
        raise CommandFailed("needs nginx and curl")
    at = bench.places.memory / "nginx"
    shutil.rmtree(at, ignore_errors=True)
    log = bench.places.fresh("nginx") / "log"
    big = f"big:size={2 * GIB},count=1"
    with (
        bench.service(big, LOCAL, shelf=False) as bytes_only,
        nginx(bench.tools["nginx"], bytes_only, at, log) as web,
        bench.service(f"{big}+small:files={_NAMES}", LOCAL, shelf=False) as service,
    ):
        service.emulator.settings(cdn_base=f"{web.https_url}/objects")
        plain = _plain_names(bench, service.files)
        ours = {kind: Series(f"dmfs, {kind}, p99", "ms") for kind in ("present", "absent")}
        idle = {kind: Series(f"machine, {kind}, p99", "ms") for kind in ("present", "absent")}
        speeds = Series("dmfs, the stream meanwhile", "MB/s")
        for number in range(bench.rounds):
            with drives.dmfs(bench.places, service, ca_file=web.ca_file) as drive:
                drive.list("big")
                drive.list("small")
                with _streaming(drive.file(_FILE), speeds):
                    _ask(ours, drive.file("small"), service.files)
            url = f"{web.https_url}/{_FILE}"
            curl = [bench.tools["curl"], "-s", "--cacert", str(web.ca_file), "-o", os.devnull, url]
            with Child(curl, bench.places.disk / "curl.log"):
                _ask(idle, plain, service.files)
            bench.say(f"round {number + 1}: absent {ours['absent'].values[-1]:.1f} ms p99")
    shutil.rmtree(at, ignore_errors=True)
    result.series += [*ours.values(), *idle.values(), speeds]
    result.note("machine: the same of a plain directory while curl streams over TLS")
    for kind, series in ours.items():
        result.limit(f"p99 of {kind} names ≤ 10 ms", series.median, _MOST_MS, "ms")


def _ask(series: dict[str, Series], folder: str, files: Iterable[str]) -> None:
    names = [name.partition("/")[2] for name in files if name.startswith("small/")]
    found = reader(
        "asking", 60, present=[f"{folder}/{name}" for name in names], absent=f"{folder}/absent",
        seconds=2.0, pause_s=_PAUSE_S,
    )  # fmt: skip
    for kind, each in series.items():
        each.values.append(1000 * percentile(found[kind], 0.99))


@contextmanager
def _streaming(path: str, speeds: Series) -> Iterator[None]:
    """A reader of the file, from before the first question until after the last."""
    found: dict[str, float] = {}
    thread = threading.Thread(
        target=lambda: found.update(reader("streaming", 90, paths=[path], seconds=3.0))
    )
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if not found.get("bytes"):
        raise CommandFailed("the stream beside the questions did not run")
    speeds.values.append(found["bytes"] / 1e6 / found["seconds"])


def _plain_names(bench: Bench, files: Iterable[str]) -> str:
    folder = bench.places.fresh("plain")
    for name in files:
        if name.startswith("small/"):
            (folder / name.partition("/")[2]).touch()
    return str(folder)
