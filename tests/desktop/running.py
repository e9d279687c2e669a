"""The two harnesses of the desktop (``neighbours``, ``tools``) run and judge alike."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from tests.support.mounts import leftovers

IMPOSSIBLE = 77
"""The exit status where nothing of it can be run."""
Row = TypeVar("Row")


class Subject(Protocol):
    """A program of the table."""

    @property
    def name(self) -> str: ...
    @property
    def packages(self) -> str: ...
    @property
    def missing(self) -> bool: ...


One = TypeVar("One", bound=Subject)


def chosen(subjects: Iterable[One], only: str) -> list[One]:
    """Those whose names have one of the words, which have commas between them; '': all."""
    wanted = [word for word in only.split(",") if word]
    return [each for each in subjects if not wanted or any(w in each.name for w in wanted)]


def run_each(
    subjects: Iterable[One],
    run: Callable[[One], Row],
    missing: Callable[[One], bool] = lambda subject: subject.missing,
) -> tuple[list[Row], int]:
    """Their rows, and how many of them failed. What cannot be had here is left out, and told."""
    rows, failed = [], 0
    for each in subjects:
        if missing(each):
            print(f"left out: {each.name} ({each.packages} cannot be installed)", flush=True)
            continue
        print(f"{each.name} …", flush=True)
        try:
            rows.append(run(each))
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            print(f"FAILED {each.name}: {error!r}", flush=True)
            failed += 1
    return rows, failed


def judged(
    rows: Iterable[Row],
    failed: int,
    name: Callable[[Row], str],
    wrong: Callable[[Row], Iterable[str]],
) -> int:
    """Prints what broke a bound or was left behind, and how many did not; an exit status. After
    the emulator has ended: all that still runs is left over."""
    for words in leftovers():
        print(f"LEFT BEHIND: {words}", flush=True)
        failed += 1
    good = bad = 0
    for row in rows:
        found = list(wrong(row))
        bad += bool(found)
        good += not found
        for words in found:
            print(f"WRONG {name(row)}: {words}", flush=True)
    print(f"{good} passed, {bad + failed} failed", flush=True)
    if not (good or bad or failed):
        print("none of them can be installed here")
        return IMPOSSIBLE
    return int(bool(bad + failed))
