"""Figures, goals and verdicts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass
class Series:
    """One contestant's figures of all rounds."""

    name: str
    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def spread(self) -> str:
        """From the lowest to the highest; shared machines are noisy, and this shows how much."""
        return f"{short(min(self.values))}–{short(max(self.values))}"

    def as_dict(self) -> dict[str, Any]:
        return {"unit": self.unit, "median": self.median, "values": self.values}


@dataclass
class Verdict:
    """A goal of the table, the figure for it, and whether that is enough (None: not measured)."""

    goal: str
    figure: str
    met: bool | None


@dataclass
class Result:
    """All that a row has found out."""

    row: str
    workload: str
    series: list[Series] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""

    def note(self, text: str) -> None:
        self.notes.append(text)

    def at_least(self, ours: float | None, factor: float, theirs: Series | None, what: str) -> None:
        """The goal ``ours ≥ factor × theirs``."""
        goal = f"≥ {factor:g} × {what}"
        if theirs is None or not theirs.values or ours is None or not theirs.median:
            self.verdicts.append(Verdict(goal, "not measured", None))
            return
        ratio = ours / theirs.median
        self.verdicts.append(Verdict(goal, f"{ratio:.2f} ×", ratio >= factor))

    def at_most(self, ours: Series, factor: float, theirs: Series | None, what: str) -> None:
        """The goal ``ours ≤ factor × theirs``."""
        goal = f"≤ {factor:g} × {what}"
        if theirs is None or not theirs.values or not ours.values or not theirs.median:
            self.verdicts.append(Verdict(goal, "not measured", None))
            return
        ratio = ours.median / theirs.median
        self.verdicts.append(Verdict(goal, f"{ratio:.2f} ×", ratio <= factor))

    def limit(self, goal: str, figure: float, most: float, unit: str) -> None:
        """The goal ``figure ≤ most``."""
        self.verdicts.append(Verdict(goal, f"{short(figure)} {unit}".strip(), figure <= most))

    def floor(self, goal: str, figure: float, least: float, unit: str) -> None:
        """The goal ``figure ≥ least``."""
        self.verdicts.append(Verdict(goal, f"{short(figure)} {unit}".strip(), figure >= least))

    def check(self, goal: str, figure: str, *, met: bool) -> None:
        self.verdicts.append(Verdict(goal, figure, met))

    @classmethod
    def of_dict(cls, told: dict[str, Any]) -> Result:
        """The other way round: the rows of a pass come as JSON."""
        return cls(
            told["row"], told["workload"],
            [Series(name, each["unit"], each["values"]) for name, each in told["series"].items()],
            [Verdict(**each) for each in told["verdicts"]],
            told["notes"], told["seconds"], told["error"],
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        return {
            "row": self.row,
            "workload": self.workload,
            "seconds": round(self.seconds, 1),
            "error": self.error,
            "series": {series.name: series.as_dict() for series in self.series},
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "notes": self.notes,
        }


def short(value: float) -> str:
    """Three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
