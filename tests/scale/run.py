"""The model against a run: python -m tests.scale.run [--workers 10] [--files 100000] [--rate 250].

Ten workers that share a log of calls (as machines do by a server) read every file once from an
emulator that keeps to the same rates; each has a cache of its own. Exits with 1 if a prediction is
wrong by more than a tenth, or a call was answered with 429.
"""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dmfs.emulator.process import EmulatorProcess
from dmfs.ratelimit.limits import MARGIN_S
from tests.scale.model import Cost, Job, Rates, cost_of
from tests.spec.conftest import BENCH, environment_of

WINDOW_S = 6.0
TOLERANCE = 0.1
ABOVE = 1
"""Listings on the way to the tree: Project Files."""
TREE = f"{BENCH}/tree"
LIST = """
import json, pickle, sys, time
from dmfs.spec.filesystem import DmfsFileSystem
fs = DmfsFileSystem(settings=json.loads(sys.argv[2]))
fs.ls("/")  # the drive is open, before the clock starts
began_s = time.time()
found = fs.find(sys.argv[1], detail=True)
took_s, size_bytes = time.time() - began_s, sum(each["size"] for each in found.values())
paths, workers = list(found), int(sys.argv[3])
bounds = [len(paths) * number // workers for number in range(workers + 1)]
shares = [paths[start:stop] for start, stop in zip(bounds, bounds[1:])]
given = [pickle.dumps((fs.knowing(share), share)) for share in shares]
sys.stdout.buffer.write(pickle.dumps((given, size_bytes, took_s)))
"""
READ = """
import pickle, sys, time
fs, paths = pickle.load(sys.stdin.buffer)
fs.info(paths[0])  # the drive is open, before the clock starts
print("ready", flush=True)
time.sleep(max(0, float(sys.argv[1]) - time.time()))
steps = range(0, len(paths), 500)
print(sum(len(data) for at in steps for data in fs.cat(paths[at : at + 500]).values()))
"""


def environment(emulator: EmulatorProcess, directory: Path, cache: str) -> dict[str, str]:
    return environment_of(emulator, directory) | {"DMFS_CACHE_DIR": str(directory / cache)}


def settings_of(rates: Rates) -> dict[str, str]:
    """They travel with the filesystem object."""
    return {
        "rates": f"contents={rates.listings},oss={rates.signings}",
        "rate_window": f"{WINDOW_S:g}s",
        "metadata_timeout": "600", "data_timeout": "600",
    }  # fmt: skip


def read_all(
    emulator: EmulatorProcess, directory: Path, shares: list[bytes], size_bytes: int
) -> float:
    """Seconds until each worker has read its share."""
    start_at = time.time() + 3 + len(shares) * 0.8
    children = []
    for number, given in enumerate(shares):
        child = subprocess.Popen(
            [sys.executable, "-c", READ, str(start_at)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env=environment(emulator, directory, f"of {number}"),
        )  # fmt: skip
        assert child.stdin is not None
        child.stdin.write(given)
        child.stdin.close()
        child.stdin = None
        children.append(child)
    total = 0
    for child in children:
        output, _ = child.communicate(timeout=900)
        assert child.returncode == 0
        total += int(output.split()[-1])
    assert total == size_bytes, (total, size_bytes)
    return time.time() - start_at


def compared(name: str, predicted: float, measured: float, failed: list[str]) -> None:
    error = measured / predicted - 1 if predicted else float(measured != 0)
    print(f"{name:28} predicted {predicted:10.1f}  measured {measured:10.1f}  {error:+7.1%}")
    if abs(error) > TOLERANCE:
        failed.append(name)


def run(workers: int, files: int, rate: int) -> list[str]:
    """What was wrong by more than a tenth."""
    rates = Rates(max(1, int(rate * WINDOW_S / 10)), int(rate * WINDOW_S), WINDOW_S, MARGIN_S)
    job = Job(workers, files, 100, rates=rates)
    predicted: Cost = cost_of(job, listers=1)
    failed: list[str] = []
    world = f"tree:folders={job.folders},files={files},depth=3"
    with (
        EmulatorProcess(world=world, start_timeout_s=120) as emulator,
        tempfile.TemporaryDirectory() as name,
    ):
        directory = Path(name)
        listed = subprocess.run(
            [sys.executable, "-c", LIST, TREE, json.dumps(settings_of(rates)), str(workers)],
            capture_output=True, check=True, timeout=900,
            env=environment(emulator, directory, "driver"),
        )  # fmt: skip
        shares, size_bytes, listed_s = pickle.loads(listed.stdout)
        compared("listing, s", predicted.listing_s, listed_s, failed)
        counts = emulator.counts()
        compared("listings", predicted.listings + ABOVE, counts["contents"], failed)
        emulator.reset()
        took_s = read_all(emulator, directory, shares, size_bytes)
        counts = emulator.counts()
        compared("signing and reading, s", predicted.signing_s, took_s, failed)
        compared("signings", predicted.signings, counts["sign"], failed)
        compared("listings by workers", 0, counts["contents"], failed)
        compared("each byte", 1, emulator.calls()["cdn_bytes"] / size_bytes, failed)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=250, help="signings a second")
    words = parser.parse_args()
    failed = run(words.workers, words.files, words.rate)
    print("\n".join(f"wrong: {each}" for each in failed) or "all within a tenth")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
