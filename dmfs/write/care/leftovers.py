"""Which spool a process takes that writes beside others: first what an ended one has left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from dmfs.errors import SetupError, SpoolError, SpoolTakenError
from dmfs.write.care.journalled import Journalled
from dmfs.write.care.rows import OPEN
from dmfs.write.spool.owner import holder_of
from dmfs.write.spool.spool import Spool

SPOOLS_MAX = 256
"""Of processes that write at the same time without a mount."""


def first_free(place: Path, open_spool: Callable[[Path], Spool], owner: str) -> Spool:
    """A spool below ``place`` that no process has: the first in which something of ``owner`` waits,
    else the first. (By number alone, what the sixth of six processes left waited until six ran at
    once again.) Blocks. SetupError."""
    for directory in _in_order(place, owner):
        with suppress(SpoolTakenError):
            return open_spool(directory)
    raise SetupError(
        f"{SPOOLS_MAX} processes of this profile write on this machine already",
        hint="give each some workers a state_dir of their own",
    )


def _in_order(place: Path, owner: str) -> Iterator[Path]:
    others = []
    for number in range(SPOOLS_MAX):
        directory = place / str(number)
        if _was_left(directory, owner):
            yield directory
        else:
            others.append(directory)
    yield from others


def _was_left(directory: Path, owner: str) -> bool:
    if holder_of(directory):
        return False
    try:
        journal = Journalled.look(directory, owner=owner)
    except SpoolError:
        return False
    return journal is not None and any(row.state in OPEN for row in journal.report.rows)
