"""What a process is: its executable, its arguments and its terminal, as /proc tells them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from dmfs.neighbours.decision import OPEN
from dmfs.neighbours.table import Kind, Table, names_in

KindOf = Callable[[int, str], Kind | None]
"""What the process of a pid and a name (as /proc/PID/comm has it) is."""
_TTY = 4
"""Place of the controlling terminal among the fields behind the name in /proc/PID/stat."""


class Lists(Protocol):
    """Of the settings, what says who is gated."""

    @property
    def neighbours(self) -> str: ...

    @property
    def neighbour_indexers(self) -> str: ...

    @property
    def neighbour_thumbnailers(self) -> str: ...


def kinds(settings: Lists) -> KindOf:
    """What a drive of these settings takes each process for."""
    if settings.neighbours == OPEN:
        return nobody_is_gated
    more = settings.neighbour_indexers, settings.neighbour_thumbnailers
    return kind_in(Table(*map(names_in, more)))


def kind_in(table: Table) -> KindOf:
    """Asked once for each process: one readlink."""

    def kind_of(pid: int, comm: str) -> Kind | None:
        return table.kind(comm, executable_of(pid), partial(arguments_of, pid))

    return kind_of


def nobody_is_gated(_pid: int, _comm: str) -> None:
    """Of a drive that is open to all."""


def executable_of(pid: int) -> str:
    """The file name of a process's executable; '' where that is not for this user to read, as of
    root's processes, and of a process that is gone."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name.removesuffix(" (deleted)")
    except OSError:
        return ""


def arguments_of(pid: int) -> list[str]:
    """The command line of a process; empty if it is gone."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(each) for each in line.split(b"\0") if each]


def has_terminal(pid: int) -> bool:
    """Whether a process has a controlling terminal. False if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return int(stat[stat.rindex(b")") + 1 :].split()[_TTY]) != 0
    except (OSError, ValueError, IndexError):
        return False
