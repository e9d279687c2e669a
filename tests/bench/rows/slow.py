"""slow-disk: the cache lies on a disk that takes less than the network brings."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import drives
from tests.bench.context import Bench
from tests.bench.drives import Drive
from tests.bench.measure import MIB, dd, expect_sha256, give_up_s, mb_per_s
from tests.bench.places import Places
from tests.bench.processes import CommandFailed, timed
from tests.bench.registry import row
from tests.bench.results import Result, Series
from tests.bench.service import LOCAL, Service
from tests.support.baddisk import BadDisk

_STREAM, _OTHER = "big/big-00.bin", "big/big-01.bin"
_SIZE = 512 * MIB
_RATES_MB_PER_S = (100, 30, 3)
_NONE = "no disk cache"
_LEAST_SHARE, _HEAD_FACTOR, _UMOUNT_MAX_S = 0.9, 1.2, 3.0
_GAUGES_S = 2.0
_NOT_KEPT = re.compile(r"gauge disk\.dropped_bytes=(\d+)")


@dataclass
class _Figures:
    """Of one contestant, in all rounds."""

    stream: Series
    head: Series
    umount: Series
    not_kept: Series

    def all(self) -> list[Series]:
        return [each for each in vars(self).values() if each.values]


@row("slow-disk", "512 MiB, dd bs=1M, no emulated link, cache on a disk of 100, 30 and 3 MB/s")
def slow_disk(bench: Bench, result: Result) -> None:
    """The disk is a passthrough that counts bytes a second (``tests/support/baddisk``): the block
    layer's own throttle does not see what is written back later on every kernel."""
    names = [_NONE, *(f"disk {rate} MB/s" for rate in _RATES_MB_PER_S)]
    found = {name: _figures(name) for name in names}
    with bench.service(f"big:size={_SIZE},count=2", LOCAL, shelf=False) as service:
        for number in range(bench.rounds):
            for name in names if number % 2 == 0 else reversed(names):
                _measure(bench, service, name, found[name], check=number == 0)
            said = ", ".join(f"{name} {found[name].stream.values[-1]:.0f}" for name in names)
            bench.say(f"round {number + 1}: {said} MB/s")
    for figures in found.values():
        result.series += figures.all()
    usual = found[_NONE]
    for name in names[1:]:
        ours = found[name]
        what = f"without a disk cache ({name})"
        result.at_least(ours.stream.median, _LEAST_SHARE, usual.stream, f"the stream {what}")
        result.at_most(ours.head, _HEAD_FACTOR, usual.head, f"head of another file {what}")
        result.limit(f"umount ≤ 3 s ({name})", max(ours.umount.values), _UMOUNT_MAX_S, "s")
        if not ours.not_kept.values:
            result.note(f"{name}: this dmfs does not count what it did not keep")


def _figures(name: str) -> _Figures:
    return _Figures(
        Series(name, "MB/s"), Series(f"{name}, head -c1", "ms"),
        Series(f"{name}, umount", "s"), Series(f"{name}, not kept", "MiB"),
    )  # fmt: skip


def _measure(bench: Bench, service: Service, name: str, figures: _Figures, *, check: bool) -> None:
    rate = 0 if name == _NONE else int(name.split()[1])
    with _cache_disk(bench, rate) as places:
        settings: Mapping[str, str] = {"cache_size": "0"} if not rate else {}
        with drives.dmfs(places, service, settings) as drive:
            drive.list("big")
            figures.stream.values.append(_stream(bench, name, drive))
            head = ["head", "-c1", "--", drive.file(_OTHER)]
            figures.head.values.append(1000 * timed(head, 60))
            if check:
                expect_sha256(drive.file(_STREAM), _SIZE, service.sha256(_STREAM))
            figures.not_kept.values += [lost / MIB for lost in _not_kept(drive)]
            began = time.perf_counter()
            drive.child.stop()
            figures.umount.values.append(time.perf_counter() - began)


def _stream(bench: Bench, name: str, drive: Drive) -> float:
    """MB/s; of one that was given up, what it had at most. It is a figure, not the row's end."""
    try:
        return dd(drive.file(_STREAM), _SIZE)
    except CommandFailed as error:
        bench.say(f"{name}: {error}")
        return mb_per_s(_SIZE, give_up_s(_SIZE))


def _not_kept(drive: Drive) -> list[int]:
    """What was not put on disk, by the drive's own gauge; nothing where it has none."""
    os.kill(drive.pid, signal.SIGUSR2)
    give_up = time.monotonic() + _GAUGES_S
    while time.monotonic() < give_up:
        text = drive.child.log.read_text(errors="replace")
        if "gauge threads=" in text:  # sorted by name, so the other one has come
            break
        time.sleep(0.05)
    return [int(found) for found in _NOT_KEPT.findall(text)[-1:]]


@contextmanager
def _cache_disk(bench: Bench, mb_per_s: int) -> Iterator[Places]:
    """Places whose disk takes so many MB a second; 0: the real one as it is."""
    if not mb_per_s:
        yield bench.places
        return
    with BadDisk(bench.places.fresh("slow-disk")) as disk:
        disk.turn(f"slow:{mb_per_s * 1_000_000}")
        yield bench.places.on(Path(disk.directory))
