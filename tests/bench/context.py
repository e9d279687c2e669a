"""What every row is handed: places, programs, how often to measure, and where to say things."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console

from tests.bench import drives
from tests.bench.places import Places
from tests.bench.processes import CommandFailed
from tests.bench.results import Result, Series, short
from tests.bench.service import Link, Service, service
from tests.bench.tools import Tools

_QUICK_TRIALS = 2


@dataclass
class Bench:
    """One run of the benchmark."""

    places: Places
    tools: Tools
    rounds: int
    quick: bool
    console: Console
    started: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.console.print(f"  {text}", style="dim", highlight=False)

    @contextmanager
    def service(
        self, world: str, link: Link, *, rate_limits: str = "off", shelf: bool = True
    ) -> Iterator[Service]:
        log = self.places.fresh("service") / "shelf.log"
        with service(world, link, log, rate_limits=rate_limits, shelf=shelf) as running:
            yield running

    @contextmanager
    def dmfs(self, running: Service, **settings: str) -> Iterator[drives.Drive]:
        with drives.dmfs(self.places, running, settings) as drive:
            yield drive

    @contextmanager
    def rclone(self, url: str, flags: Sequence[str]) -> Iterator[drives.Drive]:
        with drives.rclone(self.places, self.tools["rclone"], url, flags) as drive:
            yield drive

    def alternate(
        self, result: Result, unit: str, contestants: Mapping[str, Callable[[], float]],
        rounds: int | None = None,
    ) -> dict[str, Series]:  # fmt: skip
        """Everybody's turn in every round, in alternating order: noise hits all alike."""
        series = {name: Series(name, unit) for name in contestants}
        order = list(contestants)
        for number in range(rounds or self.rounds):
            for name in order if number % 2 == 0 else reversed(order):
                series[name].values.append(contestants[name]())
            self.say(
                f"round {number + 1}: "
                + ", ".join(f"{name} {short(series[name].values[-1])}" for name in order)
                + f" {unit}"
            )
        result.series += series.values()
        return series

    def best(
        self, result: Result, candidates: Mapping[str, Sequence[str]],
        trial: Callable[[Sequence[str]], float], *, lower_is_better: bool = False,
    ) -> tuple[str, Sequence[str]]:  # fmt: skip
        """rclone's best configuration for a row, by one short trial of each."""
        figures: dict[str, float] = {}
        for name, flags in list(candidates.items())[: _QUICK_TRIALS if self.quick else None]:
            try:
                figures[name] = trial(flags)
            except CommandFailed as error:
                self.say(f"rclone {name}: {error}")
        if not figures:
            raise CommandFailed("rclone worked in none of its configurations")
        name = (min if lower_is_better else max)(figures, key=lambda key: figures[key])
        said = ", ".join(f"{key} {short(value)}" for key, value in figures.items())
        result.note(f"rclone's best of a short trial is `{name}` ({said})")
        self.say(result.notes[-1])
        return name, candidates[name]
