"""``find``: entries below a folder. What is known and fresh comes first and costs no call; then the
rest, walked or searched, whichever is cheaper."""

from __future__ import annotations

from dmfs.drive import Drive
from dmfs.errors import DriveError, NotADirectory
from dmfs.jobs.find.criteria import criteria_of
from dmfs.jobs.find.looking import Looking
from dmfs.jobs.find.searching import Searching
from dmfs.jobs.job import Parameters, Tell, flag_of, text_of
from dmfs.jobs.reports import Reports
from dmfs.jobs.tree import DirectoryPlace, Walk
from dmfs.jobs.tree import find as find_path
from dmfs.model import File, Shortcut
from dmfs.names import printable
from dmfs.ratelimit.call_tally import calls_in, tallying
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.system.clock import iso_seconds, wall_time_s


async def find(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"path", "name", "iname", "type", "newer", "size", "known"}``; all but the first may be
    missing; ``known``: no call.

    Events: ``found`` (``entries``: see ``entries.entry``), ``listing`` (``done``, ``known``:
    folders), ``note`` (``message``: what the answer goes by), ``failed`` and ``waiting`` at any
    time, and ``done`` (``found``, ``folders``, ``unknown``: folders that nobody looked into,
    ``as_of``: ISO 8601, ``searched``, ``calls``, ``failed``). DriveError at the end if a folder
    could not be looked at.
    """
    criteria = criteria_of(parameters, wall_time_s())
    known_only = flag_of(parameters, "known")
    reports = Reports(tell)
    looking = Looking(drive, criteria, reports, known_only=known_only)
    with at_priority(RequestPriority(Priority.WALK)), tallying() as tally:
        path = text_of(parameters, "path")
        here, _ = await find_path(drive, path, None if known_only else looking.ask)
        if isinstance(here.node, File | Shortcut):
            raise not_a_directory(here.path)
        top = DirectoryPlace(here.node, here.path)
        await looking.take_top(top)
        await Walk([top]).run(looking.visit_known)
        searching = Searching(drive, looking)
        if not known_only:
            await searching.run(looking.left)
    await reports.tell(
        "done", found=looking.found, folders=looking.folders, unknown=looking.unknown,
        as_of=iso_seconds(wall_time_s() - looking.oldest_s), searched=searching.searched,
        calls=calls_in(tally), failed=reports.failures,
    )  # fmt: skip
    if reports.first is not None:
        what = "1 folder" if reports.failures == 1 else f"{reports.failures} folders"
        raise DriveError(
            f"{what} could not be looked at: {reports.first.message}", hint=reports.first.hint
        )


def not_a_directory(path: str) -> NotADirectory:
    """Of a path that leads to a file."""
    return NotADirectory(
        f"{printable(path)!r} is a file, so there is nothing to find in it",
        hint="name the folder that it is in",
    )
