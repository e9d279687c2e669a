"""What a mounted drive's operations cost with a large folder, many open files, many mounts.

Real mounts over the emulator. The figures are CPU-seconds of the drive's process, user and system:
the emulator and the machine's other work do not count.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support import mounts

Row = tuple[str, int, float]
"""Operation, how many there are, CPU-seconds of one operation (of all: see ``WHOLE``)."""
FOLDER = "Bench/Bench Project/Project Files"
SAMPLES = 100
FILE_BYTES = 1000
OPENS_MAX_S = 100.0
"""Wall-clock for opening files: on a slow machine the largest count is left out."""
_AFTER_S = 0.3
_AFTER_MAX = 50
"""The kernel sends forgets and releases when it likes, 100 000 of them for seconds; an idle drive
uses next to nothing."""
_CONFIG = {"ttl": "1h", "hub_ttl": "1h", "metadata_timeout": "600s"}
_WRITES: Mapping[str, object] = {
    "scopes": "data:read data:create data:write", "any_spool_disk": "true", "upload_delay": "1h",
}  # fmt: skip
SAVES = 20
"""Each new name is put into the order of all: this is the one cost that grows with the folder."""
_ROOT = Path(__file__).resolve().parents[2]


def cpu_s(pid: int) -> float:
    """What a process has used so far, all threads, to the nanosecond (clock_getcpuclockid(3))."""
    return time.clock_gettime(~pid << 3 | 2)


@contextmanager
def drive_over(
    world: str, directory: Path, options: Sequence[str] = (), **config: object
) -> Iterator[mounts.Drive]:
    """A mounted drive of its own; emulator and mount end with the block."""
    emulator = mounts.start_emulator(world=world, start_timeout_s=120)
    try:
        with mounts.Drive(
            directory, emulator, log_level="warning", options=options, config=_CONFIG | config
        ) as drive:
            yield drive
    finally:
        mounts.stop_emulator(emulator)


def spent(drive: mounts.Drive, work: Callable[[], Any]) -> float:
    """CPU-seconds of the drive during ``work`` and what the kernel sends after it."""
    assert drive.process is not None
    began = cpu_s(drive.process.pid)
    work()
    used = cpu_s(drive.process.pid)
    for _ in range(_AFTER_MAX):
        time.sleep(_AFTER_S)
        before, used = used, cpu_s(drive.process.pid)
        if used - before < _AFTER_S / 10:
            break
    return used - began


def names_in(folder: str) -> list[str]:
    """As ``ls`` has them."""
    return [each.name for each in Path(folder).iterdir()]


def measure_folder(counts: Sequence[int]) -> list[Row]:
    """One folder of so many entries."""
    rows: list[Row] = []
    for count in counts:
        with (
            tempfile.TemporaryDirectory(prefix="dmfs-growth-") as place,
            drive_over(f"wide:items={count}", Path(place)) as drive,
        ):
            names_in(drive.path(FOLDER))
            found = _of_folder(drive, drive.path(FOLDER, "wide"), count)
        rows += [(name, count, seconds) for name, seconds in found.items()]
    return rows


def _of_folder(drive: mounts.Drive, folder: str, count: int) -> dict[str, float]:
    absent = [Path(f"{folder}/absent {number}") for number in range(SAMPLES)]
    there = [
        Path(f"{folder}/item-{number * count // SAMPLES:06d}.dwg") for number in range(SAMPLES)
    ]
    return {
        "folder: list it, cold": spent(drive, lambda: names_in(folder)),
        "folder: list it again": spent(drive, lambda: names_in(folder)),
        "folder: list it, with attributes": spent(
            drive, lambda: [each.stat() for each in os.scandir(folder)]
        ),
        "folder: forget it": spent(drive, drop_names),
        "look up a name": spent(drive, lambda: [each.stat() for each in there]) / SAMPLES,
        "look up an absent name": spent(drive, lambda: [each.exists() for each in absent])
        / SAMPLES,
    }


def measure_draft(counts: Sequence[int]) -> list[Row]:
    """One folder of so many entries, of which a program has changed one and another saves."""
    rows: list[Row] = []
    for count in counts:
        with (
            tempfile.TemporaryDirectory(prefix="dmfs-growth-") as place,
            drive_over(f"wide:items={count}", Path(place), ["rw"], **_WRITES) as drive,
        ):
            names_in(drive.path(FOLDER))
            found = _with_draft(drive, drive.path(FOLDER, "wide"))
        rows += [(name, count, seconds) for name, seconds in found.items()]
    return rows


def _with_draft(drive: mounts.Drive, folder: str) -> dict[str, float]:
    names_in(folder)
    plain_s = spent(drive, lambda: names_in(folder))
    plain_stats_s = spent(drive, lambda: [each.stat() for each in os.scandir(folder)])
    with Path(f"{folder}/item-000001.dwg").open("ab") as draft:
        draft.write(b"more")
    names_in(folder)
    return {
        "folder: list it again, all clean": plain_s,
        "folder: list it again, a draft in it": spent(drive, lambda: names_in(folder)),
        "folder: with attributes, all clean": plain_stats_s,
        "folder: with attributes, a draft in it": spent(
            drive, lambda: [each.stat() for each in os.scandir(folder)]
        ),
        "folder: make a lock file in it": spent(drive, lambda: _make_locks(folder)) / SAVES,
        "write to a file in it": spent(drive, lambda: _append_to(f"{folder}/item-000001.dwg"))
        / SAMPLES,
    }


def _make_locks(folder: str) -> None:
    """As office programs do: names that the listing has not."""
    for number in range(SAVES):
        Path(f"{folder}/.~lock.item-{number:06d}.dwg#").write_bytes(b"x" * FILE_BYTES)


def _append_to(path: str) -> None:
    for _ in range(SAMPLES):
        with Path(path).open("ab") as file:
            file.write(b"y" * FILE_BYTES)


def drop_names() -> None:
    """Let the kernel forget names and inodes, as far as this user may."""
    with suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("2")


def measure_open_files(counts: Sequence[int]) -> list[Row]:
    """So many files open at once; the figures are of one more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # the drive inherits it, and has a descriptor for each file that it keeps
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = max((each for each in counts if hard < 0 or each + 500 < hard), default=0)
    more = SAMPLES * len(counts)
    rows: list[Row] = []
    held: list[int] = []
    try:
        with (
            tempfile.TemporaryDirectory(prefix="dmfs-growth-") as place,
            drive_over(f"small:files={most + more},min={FILE_BYTES},max={FILE_BYTES}", Path(place))
            as drive,
        ):  # fmt: skip
            folder = drive.path(FOLDER, "small")
            paths = iter([f"{folder}/{name}" for name in sorted(names_in(folder))])
            began = time.monotonic()
            for count in (each for each in counts if each <= most):
                while len(held) < count and time.monotonic() < began + OPENS_MAX_S:
                    held.append(os.open(next(paths), os.O_RDONLY))
                if len(held) < count:
                    break
                rows += _one_more(drive, count, [next(paths) for _ in range(SAMPLES)])
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return rows


def _one_more(drive: mounts.Drive, count: int, paths: list[str]) -> list[Row]:
    opened: list[int] = []

    def open_all() -> None:
        opened.extend(os.open(each, os.O_RDONLY) for each in paths)

    def read_all() -> None:
        for each in opened:
            os.posix_fadvise(each, 0, 0, os.POSIX_FADV_DONTNEED)
            os.pread(each, FILE_BYTES, 0)

    def close_all() -> None:
        for each in opened:
            os.close(each)

    steps = {
        "open one more file": open_all, "read it": read_all, "read it again": read_all,
        "close it": close_all,
    }  # fmt: skip
    return [(name, count, spent(drive, work) / len(paths)) for name, work in steps.items()]


def measure_mounts(counts: Sequence[int]) -> list[Row]:
    """So many mounts in the kernel's table, and their logs in the state directory."""
    rows: list[Row] = []
    for count in counts:
        # a table of its own, which ends with the process
        words = ["unshare", "--mount", "--propagation", "private", sys.executable]
        done = subprocess.run(
            [*words, "-m", "tests.bench.growth_mount", str(count)],
            cwd=_ROOT, stdout=subprocess.PIPE, timeout=300, check=False,
            env=os.environ | {"PYTHONPATH": str(_ROOT)},
        )  # fmt: skip
        if done.returncode:
            return rows  # only root may
        rows += [(name, count, seconds) for name, seconds in json.loads(done.stdout).items()]
    return rows


def _among_mounts(count: int) -> dict[str, float]:
    """Inside: CPU-seconds of commands."""
    with tempfile.TemporaryDirectory(prefix="dmfs-growth-") as name:
        place = Path(name)
        for number in range(count):
            (place / f"mount {number}").mkdir()
            words = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", f"{place}/mount {number}"]
            subprocess.run(words, check=True)
        emulator = mounts.start_emulator()
        try:
            home = mounts.Home(place / "home", emulator, _CONFIG)
            logs = home.state / "log"
            logs.mkdir(parents=True)
            for number in range(count):
                (logs / f"mount-{number}.log").write_text("2026-01-01 12:00 INFO a line\n" * 100)
            point = place / "point"
            point.mkdir()
            return {
                "mounts: start and end another": _children_s(
                    lambda: home.run("mount", "/", str(point), timeout_s=120),
                    lambda: home.run("umount", str(point), timeout_s=120),
                ),
                "mounts: doctor": _children_s(lambda: home.run("doctor", timeout_s=120)),
                "mounts: whoami": _children_s(lambda: home.run("whoami", timeout_s=120)),
            }
        finally:
            mounts.stop_emulator(emulator)
            for number in range(count):
                subprocess.run(["umount", f"{place}/mount {number}"], check=True)


def _children_s(*steps: Callable[[], Any]) -> float:
    def used() -> float:
        told = resource.getrusage(resource.RUSAGE_CHILDREN)
        return told.ru_utime + told.ru_stime

    began = used()
    for step in steps:
        step()
    return used() - began


if __name__ == "__main__":
    print(json.dumps(_among_mounts(int(sys.argv[1]))))
