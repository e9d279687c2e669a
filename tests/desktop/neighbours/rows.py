"""What a neighbour cost, whether that is too much, and how it is told. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.support import markdown

SIGNINGS_MAX = 10
"""Of 10 000 models: some small picture may be worth one."""
SHOWN = 4
"""Programs named in a cell."""


@dataclass
class Person:
    """What a person's own programs did beside it."""

    reads: int = 0
    """Whole files, their SHA-256 compared."""
    lists: int = 0
    errors: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


@dataclass
class Row:
    """One neighbour's run. Counts are the emulator's, without what the person's reads cost."""

    neighbour: str
    known: bool
    """The folders had been listed before it came."""
    seconds: float
    ended: bool
    """By itself; else it was cut, or is a service that never ends."""
    listings: int
    signings: int
    gets: int
    bytes: int
    thumbnails: int = 0
    """Calls for the service's own pictures."""
    limited: int = 0
    """Answers 429."""
    opened: dict[str, int] = field(default_factory=dict)
    """Opens of files that the drive allowed, by program."""
    refused: dict[str, int] = field(default_factory=dict)
    """Opens of files that it did not, by program."""
    walked: dict[str, int] = field(default_factory=dict)
    """Directories read, by program."""
    person: Person = field(default_factory=Person)
    note: str = ""
    allowed: int = SIGNINGS_MAX
    """Signings that it may cost."""
    persons: bool = False
    """Somebody started it in a terminal: it gets what it wants."""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Row:
        """As ``as_dict`` gave it."""
        return cls(**{**facts, "person": Person(**facts["person"])})

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def wrong(row: Row, folders: int) -> Iterator[str]:
    """Each bound that it broke, in words. ``folders``: how many there are in the world."""
    if row.persons:
        if row.refused or not row.opened:
            yield f"what a person started was kept away: {named(row.refused)}"
    elif row.signings > row.allowed:
        yield f"{row.signings} signings, {row.allowed} are allowed"
    if row.listings > folders:
        yield f"{row.listings} listings of {folders} folders"
    if row.limited:
        yield f"the service answered 429 {row.limited} times"
    for error in row.person.errors[:3]:
        yield f"a person's program failed: {error}"
    if not (row.person.reads and row.person.lists):
        yield "nothing was read or listed beside it: the run says nothing"
    if not (row.opened or row.refused or row.walked):
        yield "it never looked at the drive: the run says nothing"


HEAD = (
    "neighbour", "folders known", "s", "listings", "signings", "GETs", "MB", "opens allowed",
    "opens refused", "person: reads, errors",
)  # fmt: skip


def table(rows: Iterable[Row]) -> str:
    """As Markdown."""
    return markdown.table(HEAD, map(_cells, rows))


def _cells(row: Row) -> Sequence[str]:
    return (
        row.neighbour + (f" ({row.note})" if row.note else ""),
        "yes" if row.known else "no",
        f"{row.seconds:.0f}" + ("" if row.ended else ", cut"),
        str(row.listings), str(row.signings), str(row.gets), f"{row.bytes / 1e6:.1f}",
        named(row.opened), named(row.refused), f"{row.person.reads}, {len(row.person.errors)}",
    )  # fmt: skip


BOTH = (
    "neighbour", "folders known", "listings", "signings", "GETs", "MB", "pictures, now",
    "refused, now", "a person's errors, now",
)  # fmt: skip


def both(before: Sequence[Row], after: Sequence[Row]) -> str:
    """The two side by side, as Markdown: each cell is ``before → after``."""
    old = {row.neighbour: row for row in before}
    lines = []
    for row in after:
        was = old.get(row.neighbour)
        pairs = [
            f"{'–' if was is None else told(was)} → {told(row)}"
            for told in (_listings, _signings, _gets, _megabytes)
        ]
        lines.append([row.neighbour, "yes" if row.known else "no", *pairs, str(row.thumbnails),
                      named(row.refused), str(len(row.person.errors))])  # fmt: skip
    return markdown.table(BOTH, lines)


def _listings(row: Row) -> str:
    return str(row.listings)


def _signings(row: Row) -> str:
    return str(row.signings)


def _gets(row: Row) -> str:
    return str(row.gets)


def _megabytes(row: Row) -> str:
    return f"{row.bytes / 1e6:.1f}"


def named(counts: Mapping[str, int]) -> str:
    """``tumblerd 12, thunar 3``, the most first; what does not fit is summed up."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{name} {count}" for name, count in ordered[:SHOWN]]
    rest = sum(count for _, count in ordered[SHOWN:])
    return ", ".join([*shown, *([f"others {rest}"] if rest else [])]) or "–"
