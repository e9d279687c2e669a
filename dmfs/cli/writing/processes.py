"""What Python processes have saved that write without a mount, each in a spool of its own.

It goes up with them. What an ended one has left goes up with the next one that writes, or when a
person says so: by a drive of the command that takes its spool over.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dmfs.cli.control.runner import Show
from dmfs.cli.control.words import plural
from dmfs.cli.settings import Invocation, read_settings
from dmfs.cli.writing.owner import journal_of, run_writing_job, sign_in_of
from dmfs.cli.writing.table import FILE, OPEN
from dmfs.errors import SetupError, SpoolError, SpoolTakenError
from dmfs.names import printable
from dmfs.system.clock import boot_time_s
from dmfs.write.spool.owner import holder_of, spools_of_processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dmfs.write.care.journalled import Journalled

LOOK_S = 0.5
TAKEN_TIMES = 5
"""So often a process that begins may be quicker to take a spool over: it sends what is there."""
ENDED = "its process has ended: dmfs uploads --wait sends it"
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OfProcess:
    """A spool of theirs, as of one moment."""

    directory: Path
    pid: int
    """Of the process that has it; 0: that one has ended."""
    journal: Journalled | None
    damaged: str
    look_again: Callable[[], OfProcess]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """As ``dmfs uploads --json`` has them."""
        rows = self.journal.report.rows if self.journal is not None else ()
        return [row.as_json() | {"process": self.pid} for row in rows]

    @property
    def waiting(self) -> list[dict[str, Any]]:
        """Without what never goes up."""
        return [row for row in self.rows if row["state"] != "local"]

    def has(self, path: str, *, exactly: bool = False) -> bool:
        """Whether a row is of this path of the drive; ``exactly``: whose whole path is known."""
        from dmfs.write.care.rows import find, is_exact

        rows = [] if self.journal is None else find(self.journal.report.rows, path)
        return is_exact(rows) if exactly else bool(rows)


def of_processes(call: Invocation) -> list[OfProcess]:
    """All of this profile, of the present sign-in."""
    settings = read_settings(call)
    directories = spools_of_processes(settings.state_dir, settings.profile)
    if not directories:
        return []
    owner = sign_in_of(call)
    found = [_look(each, settings.spool_size, owner) for each in directories]
    return [each for each in found if each.journal is not None or each.damaged]


def _look(directory: Path, limit_bytes: int, owner: str | None) -> OfProcess:
    from dmfs.write.care.journalled import Journalled

    again = partial(_look, directory, limit_bytes, owner)
    pid = holder_of(directory)
    waits_for = f"process {pid} sends it" if pid else ENDED
    try:
        journal = Journalled.look(directory, limit_bytes, owner=owner, waits_for=waits_for)
    except SpoolError as error:
        return OfProcess(directory, pid, None, error.message, again)
    return OfProcess(directory, pid, journal, "", again)


def add_to(report: dict[str, Any], found: list[OfProcess]) -> None:
    """Theirs to the report of the profile's mount."""
    for each in found:
        report["uploads"] = [*report["uploads"], *each.rows]
        if each.journal is not None:
            report["others"] = report.get("others", 0) + each.journal.report.others
        words = filter(None, (report.get("damaged"), each.damaged))
        report["damaged"] = "; ".join(words)


def places_of(
    call: Invocation, found: list[OfProcess], path: str
) -> tuple[list[Path | None], SetupError | None]:
    """The spools that have a path and can be changed from here, None for that of the mount, which
    is also who tells that nobody has it; and what to say of one that cannot, as its process
    runs. SetupError where nobody can tell which file is meant."""
    from dmfs.write.care.rows import find, is_exact

    having = [each for each in found if each.has(path)]
    own = None
    if having:
        with suppress(SpoolError):  # the mount's: it keeps nobody from a process's
            own = journal_of(call)
    mine = [] if own is None else find(own.report.rows, path)
    if any(each.has(path, exactly=True) for each in having) or is_exact(mine):
        # the same name in a folder of which nobody knows the way is another file
        having = [each for each in having if each.has(path, exactly=True)]
        mine = mine if is_exact(mine) else []
    elif len(having) + bool(mine) > 1:
        raise SetupError(
            f"several files are named like {printable(path)!r}, of folders that nobody knows",
            hint="name one by its draft_id, which dmfs uploads --json tells",
        )
    places: list[Path | None] = [each.directory for each in having if not each.pid]
    refusal = next((_refusal(path, each.pid) for each in having if each.pid), None)
    if mine or not having:
        places.insert(0, None)
    return places, refusal


def _refusal(path: str, pid: int) -> SetupError:
    return SetupError(
        f"process {pid} has {printable(path)!r}, and sends it itself",
        hint="dmfs uploads --wait waits for it; what it leaves at its end is yours to change",
    )


def send(call: Invocation, spool: OfProcess, timeout_s: float | None, show: Show) -> Event:
    """Wait until all of a spool has gone up; what an ended process has left, this one sends, unless
    another one takes it over first. The last event, which is that of the job ``wait``.
    ``timeout_s`` may have passed already. SpoolError, SpoolTakenError: of this spool alone."""
    began_at = boot_time_s()

    def left_s() -> float:
        return math.inf if timeout_s is None else timeout_s - (boot_time_s() - began_at)

    tried = 0
    while True:
        spool = _waited_for(spool.look_again(), left_s)
        if spool.pid or not spool.waiting or left_s() <= 0:
            late = any(row["state"] in OPEN for row in spool.waiting)
            last = {"event": "done", "late": late, "left": spool.waiting, "process": spool.pid}
            show(last)
            return last
        parameters: dict[str, Any] = {"seen": not call.options.json}
        if timeout_s is not None:
            parameters["timeout_s"] = max(0.0, left_s())
        try:
            return run_writing_job(
                call, "wait", parameters, lambda event: show({**event, "process": 0}),
                spool.directory,
            )  # fmt: skip
        except SpoolTakenError:
            tried += 1
            if tried > TAKEN_TIMES:
                raise


def _waited_for(spool: OfProcess, left_s: Callable[[], float]) -> OfProcess:
    """As soon as its process has ended, has sent all, or the time is over."""
    named = 0
    while spool.pid and left_s() > 0:
        going = [row for row in spool.waiting if row["state"] in OPEN]
        if not going:
            break
        if spool.pid != named:
            named, files = spool.pid, all(row["what"] == FILE for row in going)
            words = plural(len(going), "file" if files else "change")
            sys.stderr.write(f"dmfs: process {named} has {words} to send: waiting for it\n")
        time.sleep(max(0.0, min(LOOK_S, left_s())))
        spool = spool.look_again()
    return spool
