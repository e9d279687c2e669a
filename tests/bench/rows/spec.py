"""fsspec: a large file by open().read() and by a thousand ranges, beside dmfs cat."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping

from tests.bench.context import Bench
from tests.bench.measure import GIB, mb_per_s
from tests.bench.processes import CommandFailed, run
from tests.bench.python import environment_of_dmfs
from tests.bench.registry import row
from tests.bench.results import Result, Series
from tests.bench.rows.start import command_of_dmfs
from tests.bench.service import LOCAL, SOURCE, Service

_SIZE = GIB
_FILE = f"{SOURCE}/big/big-00.bin"
_SMALL = f"{SOURCE}/small"
_RANGES = 1000
_READ_SHARE, _RANGES_SHARE = 0.9, 0.8
_WORKER_MIB = 80
_TIMEOUT_S = 120
_PROGRAM = """
import json, random, resource, sys, time
import fsspec
kind, path, size, count = json.loads(sys.argv[1])
fs = fsspec.filesystem("dmfs", settings={"rates": "off"})
fs.info(path)
step = size // count
starts = [step * number for number in range(count)]
random.Random(1).shuffle(starts)
began = time.perf_counter()
if kind == "read":
    with fs.open(path) as file:
        done = len(file.read())
elif kind == "ranges":
    done = sum(map(len, fs.cat_ranges([path] * count, starts, [at + step for at in starts])))
else:
    done = sum(map(len, fs.cat(fs.find(path)).values()))
took = time.perf_counter() - began
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([took, done, memory]))
"""


@row("fsspec", "1 GiB by open().read() and 1000 ranges in any order; dmfs cat; a worker's memory")
def spec(bench: Bench, result: Result) -> None:
    world = f"big:size={_SIZE},count=1+small:files=200,min=100000,max=100000"
    with bench.service(world, LOCAL, shelf=False) as service:
        series = bench.alternate(
            result, "MB/s",
            {
                "dmfs cat": lambda: _cat(bench, service),
                "open().read()": _python(bench, service, "read"),
                "cat_ranges": _python(bench, service, "ranges"),
            },
        )  # fmt: skip
        worker = Series("a worker, 200 files", "MiB", [_worker(bench, service)])
    result.series.append(worker)
    result.at_least(series["open().read()"].median, _READ_SHARE, series["dmfs cat"], "dmfs cat")
    result.at_least(series["cat_ranges"].median, _RANGES_SHARE, series["dmfs cat"], "dmfs cat")
    result.limit(f"a worker ≤ {_WORKER_MIB} MiB", max(worker.values), _WORKER_MIB, "MiB")


def _environment(bench: Bench, service: Service) -> Mapping[str, str]:
    """With a cold cache."""
    own = bench.places.fresh("fsspec")
    (own / "config.toml").write_text('rates = "off"\n')
    return environment_of_dmfs(
        DMFS_API_URL=service.emulator.api_url,
        DMFS_CLIENT_ID=service.emulator.client_id,
        DMFS_CLIENT_SECRET=service.emulator.client_secret,
        DMFS_CONFIG=str(own / "config.toml"),
        DMFS_CACHE_DIR=str(own / "cache"),
        DMFS_STATE_DIR=str(own / "state"),
    )


def _cat(bench: Bench, service: Service) -> float:
    """Without its start, which a cat of one small file shows."""
    env = _environment(bench, service)
    small = f"{_SMALL}/" + run([*command_of_dmfs(), "ls", _SMALL], _TIMEOUT_S, env).stdout.decode(
    ).split("\n")[0]  # fmt: skip
    seconds = [_seconds([*command_of_dmfs(), "cat", path], env) for path in (small, _FILE)]
    shutil.rmtree(env["DMFS_CACHE_DIR"])
    return mb_per_s(_SIZE, seconds[1] - seconds[0])


def _seconds(command: list[str], env: Mapping[str, str]) -> float:
    began = time.perf_counter()
    run(["sh", "-c", '"$@" > /dev/null', "sh", *command], _TIMEOUT_S, env)
    return time.perf_counter() - began


def _python(bench: Bench, service: Service, kind: str) -> Callable[[], float]:
    def once() -> float:
        took_s, done, _ = _run(bench, service, kind, _FILE)
        if done < _SIZE - _RANGES:
            raise CommandFailed(f"only {done} bytes came")
        return mb_per_s(int(done), took_s)

    return once


def _worker(bench: Bench, service: Service) -> float:
    return _run(bench, service, "files", _SMALL)[2]


def _run(bench: Bench, service: Service, kind: str, path: str) -> tuple[float, float, float]:
    """Seconds, bytes, and the most memory in MiB."""
    env = _environment(bench, service)
    given = json.dumps([kind, path, _SIZE, _RANGES])
    done = run([sys.executable, "-c", _PROGRAM, given], _TIMEOUT_S, env)
    shutil.rmtree(env["DMFS_CACHE_DIR"])
    took_s, size_bytes, memory_mib = json.loads(done.stdout)
    return took_s, size_bytes, memory_mib
