"""The rows of scripts/bench-walk: programs that walk a tree, on real mounts over the emulator.

Each takes a directory of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Drive, start_emulator, stop_emulator, wait_until
from tests.support.slowindex import serve_slowly

LATENCY_S = 0.5
PROJECT = "/Bench/Bench Project"
FOLDER = "Bench/Bench Project/Project Files"
TREE = "tree:folders=265,files=3000,depth=6"
LONG_S = 900.0


@dataclass
class Result:
    """What one round showed: figures by name, and goals with what was seen instead."""

    figures: dict[str, float] = field(default_factory=dict)
    checks: list[tuple[str, str, bool]] = field(default_factory=list)

    def check(self, goal: str, seen: str, met: bool) -> None:
        self.checks.append((goal, seen, met))

    def within(self, goal: str, took_s: float, allowed_s: float) -> None:
        self.check(goal, f"{took_s:.2f} s of {allowed_s:.2f} s", took_s <= allowed_s)

    def calls(self, goal: str, emulator: EmulatorProcess, most: int, *routes: str) -> None:
        counts = {route: n for route, n in emulator.counts().items()
                  if n and (not routes or route in routes)}  # fmt: skip
        seen = ", ".join(f"{n} {route}" for route, n in counts.items()) or "none"
        self.check(goal, seen, sum(counts.values()) <= most)


Row = Callable[[Path], Result]
ROWS: dict[str, tuple[str, Row]] = {}
ONCE = {"walk-limited", "walk-limited-quick", "change", "offline", "known", "rival"}


def row(what: str) -> Callable[[Row], Row]:
    def keep(function: Row) -> Row:
        ROWS[function.__name__.replace("_", "-")] = what, function
        return function

    return keep


@contextmanager
def service(world: str, latency_s: float = LATENCY_S, **options: Any) -> Iterator[EmulatorProcess]:
    emulator = start_emulator(world=world, **options)
    try:
        emulator.settings(api_latency_ms=latency_s * 1000)
        yield emulator
    finally:
        stop_emulator(emulator)


def timed(*words: str) -> tuple[float, int]:
    """Seconds, and lines told."""
    began = time.perf_counter()
    done = subprocess.run(words, capture_output=True, check=False, timeout=LONG_S)
    took_s = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{words}: {done.stderr[-500:].decode(errors='replace')}")
    return took_s, done.stdout.count(b"\n")


def mounted(place: Path, emulator: EmulatorProcess, **options: Any) -> Drive:
    options.setdefault("log_level", "info")
    return Drive(place, emulator, source=PROJECT, **options)


def p95(values: list[float]) -> float:
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)] if values else float("inf")


@row("`find` over 265 folders, 3000 files, 6 levels, cold")
def walk_cold(place: Path) -> Result:
    told = Result()
    with service(TREE) as emulator, mounted(place, emulator) as drive:
        emulator.reset()
        took_s, files = timed("find", drive.path("Project Files"), "-type", "f")
        told.figures = {"s": took_s, "files": files}
        speedup = 266 * LATENCY_S / took_s
        told.check("≥ 8 × one call after the other", f"{speedup:.1f} ×", speedup >= 8)
        told.calls("one call a folder, ≤ 2 % in vain", emulator, int(266 * 1.02))
    return told


@row("`find` over 1500 folders, published limits on; `ls` elsewhere meanwhile")
def walk_limited(place: Path) -> Result:
    return _walk_limited(place, 60.0, LATENCY_S)


@row("the same with a minute of 12 s and calls of 100 ms")
def walk_limited_quick(place: Path) -> Result:
    return _walk_limited(place, 12.0, LATENCY_S / 5)


def _walk_limited(place: Path, window_s: float, latency_s: float) -> Result:
    told, people = Result(), 30
    world = "tree:folders=1500,files=1500,depth=6"
    with service(world, latency_s, rate_limits="published") as emulator:
        emulator.settings(rate_window_s=window_s)
        emulator.change("add_folder", path=FOLDER, name="elsewhere")
        for number in range(people):
            emulator.change("add_folder", path=f"{FOLDER}/elsewhere", name=f"{number}")
        config = {"rates": "", "rate_window": f"{window_s:g}s", "ttl": "30m"}
        with mounted(place, emulator, config=config) as drive:
            timed("ls", drive.path("Project Files", "elsewhere"))
            emulator.reset()
            waits: list[float] = []
            walking = threading.Event()

            def person() -> None:
                for number in range(people):
                    if walking.wait(5 * window_s / people):
                        return
                    waits.append(timed("ls", drive.path("Project Files", f"elsewhere/{number}"))[0])

            thread = threading.Thread(target=person)
            thread.start()
            took_s, _ = timed("find", drive.path("Project Files", "tree"), "-type", "f")
            walking.set()
            thread.join()
            calls = emulator.counts()["contents"]
            allowed = calls / 300 * window_s
            told.figures = {"s": took_s, "calls": calls, "ls p95 s": p95(waits)}
            told.check("≥ 0.95 × what 300 calls a minute allow", f"{allowed / took_s:.2f} ×"
                       f" ({window_s:g} s windows)", allowed / took_s >= 0.95)  # fmt: skip
            refused = emulator.calls()["status_429"]
            told.check("no 429", f"{refused}", refused == 0)
            told.check("p95 of `ls` elsewhere ≤ 2 calls' time",
                       f"{p95(waits):.2f} s of {2 * latency_s:.1f} s ({len(waits)} times)",
                       p95(waits) <= 2 * latency_s)  # fmt: skip
    return told


@row("remount, `find` over 50 000 known entries")
def walk_restart(place: Path) -> Result:
    told = Result()
    with service("tree:folders=500,files=49500,depth=6", 0.0) as emulator:
        config = {"ttl": "1h", "hub_ttl": "1h"}
        with mounted(place, emulator, config=config) as drive:
            timed("find", drive.path())
        emulator.reset()
        with mounted(place / "again", emulator, home=drive.home) as again:
            took_s, entries = timed("find", again.path())
            told.figures = {"s": took_s, "entries/s": entries / took_s}
            told.check("≥ 25 000 entries/s", f"{entries / took_s:,.0f}", entries / took_s >= 25_000)
            told.calls("no call", emulator, 0)
    return told


@row("`find` again after the ttl")
def walk_again(place: Path) -> Result:
    told = Result()
    with service(TREE, 0.0) as emulator, mounted(place, emulator, config={"ttl": "8s"}) as drive:
        timed("find", drive.path())
        time.sleep(8.2)
        emulator.settings(api_latency_ms=LATENCY_S * 1000)
        emulator.reset()
        took_s, _ = timed("find", drive.path("Project Files"))
        told.figures = {"s": took_s}
        told.calls("nothing changed: 1 call", emulator, 1)
        found = subprocess.run(["find", drive.path("Project Files"), "-type", "f"],
                               capture_output=True, check=True).stdout.splitlines()  # fmt: skip
        deepest = max(found, key=lambda line: line.count(b"/")).decode()
        inside = deepest.removeprefix(drive.path("Project Files") + "/")
        emulator.change("new_version", path=f"{FOLDER}/{inside}", text="new")
        levels = inside.count("/") + 1
        time.sleep(8.2)
        emulator.reset()
        timed("find", drive.path("Project Files"))
        told.calls(f"one file changed, {levels} folders above it: 1 + {levels} calls", emulator,
                   1 + levels)  # fmt: skip
    return told


@row("`ls -l` of one folder of 10 000 items, cold, then again")
def wide(place: Path) -> Result:
    told = Result()
    with service("wide:items=10000") as emulator, mounted(place, emulator) as drive:
        timed("ls", drive.path("Project Files"))
        emulator.reset()
        took_s, _ = timed("ls", "-l", drive.path("Project Files", "wide"))
        told.within("≤ (50 pages / 8) calls' time + 1 s", took_s, 50 / 8 * LATENCY_S + 1)
        told.calls("50 calls", emulator, 50)
        emulator.reset()
        again_s, _ = timed("ls", "-l", drive.path("Project Files", "wide"))
        told.within("again ≤ 0.3 s", again_s, 0.3)
        told.calls("again: no call", emulator, 0)
        told.figures = {"s": took_s, "again s": again_s}
    return told


@row("`rsync -a` of the 3000-file project, second time")
def rsync_again(place: Path) -> Result:
    told = Result()
    with service(TREE, 0.0) as emulator, mounted(place, emulator, config={"ttl": "5s"}) as drive:
        words = ("rsync", "-a", drive.path("Project Files", "tree") + "/", f"{place}/copy/")
        first_s, _ = timed(*words)
        time.sleep(5.2)
        emulator.settings(api_latency_ms=LATENCY_S * 1000)
        emulator.reset()
        took_s, _ = timed(*words)
        told.figures = {"first s": first_s, "s": took_s}
        told.calls("no signing, no GET", emulator, 0, "sign", "cdn_get")
        told.calls("calls as walk-again: 1", emulator, 1)
    return told


@row("a new version in a folder that somebody looked at")
def change(place: Path) -> Result:
    told = Result()
    config = {"poll": "30s", "ttl": "10m"}
    with service("wide:items=10") as emulator:
        emulator.change("add_folder", path=FOLDER, name="watched")
        for name in ("a.txt", "b.txt", "c.txt"):
            emulator.change("add_item", path=f"{FOLDER}/watched", name=name, text="old")
        with mounted(place, emulator, config=config, log_level="debug") as drive:
            path = drive.path("Project Files", "watched")
            timed("ls", "-l", path)
            emulator.change("new_version", path=f"{FOLDER}/watched/a.txt", text="newer")
            began = time.perf_counter()
            file = Path(path) / "a.txt"
            wait_until(lambda: file.stat().st_size == 5, 120)
            took_s = time.perf_counter() - began
            told.figures = {"s": took_s}
            told.within("seen by `stat` within the poll and its calls", took_s, 30 + 5 * LATENCY_S)
            pushed = drive.log().count("changed: /")
            told.check("one entry invalidated", f"{pushed}", pushed == 1)
    return told


@row("service killed, then a walk and reads of all that is cached")
def offline(place: Path) -> Result:
    told = Result()
    away_s = 40.0
    with service(f"{TREE}+wide:items=10", 0.0) as emulator:
        for number in range(20):
            emulator.change("add_folder", path=FOLDER, name=f"unlisted {number}")
        with mounted(place, emulator, config={"ttl": "1s"}) as drive:
            tree = drive.path("Project Files", "tree")
            files = subprocess.run(["find", tree, "-type", "f"], capture_output=True, check=True)
            paths = sorted(files.stdout.decode().splitlines())
            cached, uncached = paths[:100], paths[200::140]  # apart: nothing is read ahead
            timed("ls", drive.path("Project Files"))
            time.sleep(1.5)  # or the next find is the walk of whoever listed what is above it
            timed("cat", *cached)
            signed = [os.open(path, os.O_RDONLY) for path in uncached[:10]]
            local_s = timed("find", tree)[0] + timed("cat", *cached)[0]
            emulator.refuse("cdn", away_s)
            emulator.refuse("api", away_s)
            gone = time.perf_counter()
            time.sleep(1.1)
            failed = time.perf_counter()
            timed("ls", drive.path("Project Files"))  # somebody notices
            wait_until(lambda: "going on with what is cached" in drive.log(), 10)
            told.within("known within 2 s", time.perf_counter() - failed, 2.0)
            time.sleep(2)
            took_s = timed("find", tree)[0] + timed("cat", *cached)[0]
            told.within("a walk and 100 files at local speed", took_s, max(3 * local_s, 1.0))
            slowest = 0.0
            unlisted = [drive.path("Project Files", f"unlisted {n}") for n in range(20)]
            attempts: list[tuple[Callable[[Any], object], Any]] = [
                *((os.scandir, path) for path in unlisted),
                *((_first_bytes, fd) for fd in signed),
                *((_all_bytes, path) for path in uncached[10:]),
            ]
            for attempt, argument in attempts:
                began = time.perf_counter()
                try:
                    attempt(argument)
                except OSError:
                    slowest = max(slowest, time.perf_counter() - began)
                else:
                    slowest = float("inf")
            told.check("40 uncached listings, opens and reads fail within 50 ms each",
                       f"slowest {slowest * 1000:.0f} ms", slowest <= 0.05)  # fmt: skip
            wait_until(lambda: "can be reached again" in drive.log(), away_s + 30)
            late_s = time.perf_counter() - gone - away_s
            told.within("back within one probe of its return", late_s, 10.0)
            for fd in signed:
                wait_until(partial(_reads, fd), 20)
                os.close(fd)
            told.figures = {"local s": local_s, "offline s": took_s, "back after s": late_s}
    return told


def _first_bytes(fd: int) -> bytes:
    return os.pread(fd, 100, 0)


def _all_bytes(path: str) -> bytes:
    return Path(path).read_bytes()


def _reads(fd: int) -> bool:
    try:
        return bool(_first_bytes(fd))
    except OSError:
        return False


@row("100 000 known inodes, after a cold `find` and after a restart")
def known(place: Path) -> Result:
    told = Result()
    with service("tree:folders=1000,files=99000,depth=6", 0.0) as emulator:
        config = {"ttl": "1h", "hub_ttl": "1h"}
        with mounted(place, emulator, config=config) as drive:
            timed("find", drive.path())
            told.figures["cold MiB"] = cold = _resident_mib(drive)
            told.check("RSS ≤ 150 MiB", f"{cold:.0f} MiB", cold <= 150)
            time.sleep(35)
            told.figures["half a minute later MiB"] = _resident_mib(drive)
        with mounted(place / "again", emulator, home=drive.home) as again:
            timed("find", again.path())
            told.figures["restarted MiB"] = warm = _resident_mib(again)
            told.check("after a restart ≤ 150 MiB", f"{warm:.0f} MiB", warm <= 150)
    return told


def _resident_mib(drive: Drive) -> float:
    assert drive.process is not None
    status = Path(f"/proc/{drive.process.pid}/status").read_text("ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@row("the walk of walk-cold by rclone over an HTTP index with the same latency")
def rival(place: Path) -> Result:
    told = Result()
    bin_ = Path(sys.executable).parent
    rclone = shutil.which("rclone", path=f"{bin_}:{os.environ['PATH']}")
    if rclone is None:
        told.check("ratio told", "skipped: rclone is not installed", False)
        return told
    with service(TREE, 0.0) as emulator, mounted(place, emulator) as drive:
        timed("cp", "-r", drive.path("Project Files", "tree"), f"{place}/tree")
    # its best: no HEAD for each file, so neither sizes nor times, which dmfs has
    with serve_slowly(place / "tree", LATENCY_S) as url:
        theirs_s, files = timed(rclone, "lsf", "-R", "--files-only", "--http-no-head",
                                f"--http-url={url}", ":http:")  # fmt: skip
    ours = walk_cold(place / "ours").figures
    told.figures = {"rclone s": theirs_s, "dmfs s": ours["s"]}
    same = files == ours["files"]
    told.check("ratio told", f"{theirs_s / ours['s']:.2f} × as fast as rclone ({files} files each)"
               if same else f"{files} files against {ours['files']:.0f}", same)  # fmt: skip
    return told
