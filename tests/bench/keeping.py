"""Contests of the same keeping: who keeps nothing on disk against who keeps nothing, and so on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.bench.context import Bench
from tests.bench.measure import GIB
from tests.bench.processes import cpu_s
from tests.bench.results import Result, Series


@dataclass(frozen=True)
class Keeping:
    """What stays on disk of what was read. ``settings`` are dmfs's, ``mode`` is rclone's."""

    name: str
    settings: Mapping[str, str]
    mode: str

    def of(self, candidates: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        """rclone's configurations that keep as much."""
        flag = f"--vfs-cache-mode={self.mode}"
        return {name: flags for name, flags in candidates.items() if flag in flags}


NOTHING = Keeping("nothing kept", {"cache_size": "0"}, "off")
EVERYTHING = Keeping("everything kept", {}, "full")
KEEPINGS = (NOTHING, EVERYTHING)

Ours = Callable[[Keeping, "Meter"], float]
Theirs = Callable[[Sequence[str], "Meter"], float]


@dataclass
class Meter:
    """CPU-s a GiB of a drive's processes, around each reading."""

    series: Series

    def reading(self, pid: int, size_bytes: int, read: Callable[[], float]) -> float:
        before_s = cpu_s(pid)
        figure = read()
        self.series.values.append((cpu_s(pid) - before_s) / (size_bytes / GIB))
        return figure


@dataclass
class Contest:
    """dmfs and rclone's best in both keepings; ``judge`` after the rounds."""

    result: Result
    contestants: dict[str, Callable[[], float]] = field(default_factory=dict)
    cpu: dict[str, Series] = field(default_factory=dict)

    def enter(self, name: str, measure: Callable[[Meter], float]) -> None:
        self.cpu[name] = Series(f"{name}, CPU", "CPU-s/GiB")
        self.contestants[name] = partial(measure, Meter(self.cpu[name]))

    def judge(self, series: Mapping[str, Series], factor: float) -> None:
        """At least ``factor`` × rclone's speed, at most its CPU, in each keeping."""
        self.result.series += [each for each in self.cpu.values() if each.values]
        for keeping in KEEPINGS:
            ours, theirs = f"dmfs, {keeping.name}", f"rclone best, {keeping.name}"
            what = f"rclone's best, {keeping.name}"
            self.result.at_least(series[ours].median, factor, series.get(theirs), what)
            self.result.at_most(self.cpu[ours], 1, self.cpu.get(theirs), f"the CPU of {what}")


def contest(
    bench: Bench, result: Result, candidates: Mapping[str, Sequence[str]], ours: Ours,
    theirs: Theirs, trial: Callable[[Sequence[str]], float],
) -> Contest:  # fmt: skip
    """rclone's best of ``candidates`` is found anew for each keeping."""
    found = Contest(result)
    for keeping in KEEPINGS:
        found.enter(f"dmfs, {keeping.name}", partial(ours, keeping))
        if bench.tools.has("rclone"):
            _, flags = bench.best(result, keeping.of(candidates), trial)
            found.enter(f"rclone best, {keeping.name}", partial(theirs, flags))
    return found
