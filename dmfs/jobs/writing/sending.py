"""``wait``: until all that was saved is at the service, with what it does meanwhile."""

from __future__ import annotations

from typing import Any

import trio

from dmfs.drive import Drive
from dmfs.errors import UsageError
from dmfs.jobs.job import Parameters, Tell, flag_of
from dmfs.jobs.reports import Reports
from dmfs.jobs.writing.place import fresh_after, writing_of
from dmfs.write.care.remedies import Remedies
from dmfs.write.care.report import report_of
from dmfs.write.care.rows import FILE, OPEN, Row, counts, is_bad
from dmfs.write.records import DraftId, State
from dmfs.write.writing import Writing

LOOK_S = 0.1
LOOK_SHARE = 0.05
"""Of the loop's time: a look at thousands of files takes a tenth of a second."""
TIMEOUT_MAX_S = 365 * 86400.0


async def wait(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"timeout_s"?, "seen"?}``. Nothing waits for its delay meanwhile. ``seen``: a person reads
    the end of it, so that conflicts are no news any more.

    Events: ``progress`` (``files_done``, ``files``, ``bytes_done``, ``bytes``, ``rate``,
    ``left_s``: until all is up, 0: nobody knows, ``reason``: why the next one waits), ``done``
    (``late``: the time was over; ``left``: rows that have not gone up or need a person; the counts
    of the status).
    """
    writing, reports = writing_of(drive), Reports(tell)
    is_seen = flag_of(parameters, "seen")
    folders = {
        view.folder_id: view.directory for view in writing.overlay.views() if view.names
    }  # fmt: skip
    with trio.move_on_after(_timeout(parameters)) as scope:
        writing.settler.hurry(True)
        try:
            await _all_gone(writing, reports)
        finally:
            writing.settler.hurry(False)
    await fresh_after(drive, folders.values())
    rows = [row for row in report_of(writing).rows if row.state in OPEN or is_bad([row])]
    await reports.tell(
        "done", late=scope.cancelled_caught, left=[row.as_json() for row in rows], **counts(rows)
    )
    if is_seen:
        conflicts = [DraftId(row.draft_id) for row in rows if row.state is State.CONFLICT]
        await Remedies(writing).saw(conflicts)


def _timeout(parameters: Parameters) -> float:
    timeout_s = parameters.get("timeout_s")
    if timeout_s is None:
        return TIMEOUT_MAX_S
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or timeout_s < 0:
        raise UsageError("timeout_s is no number of seconds")
    return min(float(timeout_s), TIMEOUT_MAX_S)


async def _all_gone(writing: Writing, reports: Reports) -> None:
    total = _Total()
    quiet = False
    while True:
        began_at = trio.current_time()
        report = report_of(writing)
        going = [row for row in report.rows if row.state in OPEN]
        pause_s = max(LOOK_S, (trio.current_time() - began_at) / LOOK_SHARE)
        if not going and quiet:
            return
        quiet = not going  # twice: between two steps nothing may seem to wait
        total.look(going)
        if going:
            await reports.progress(**total.facts(going), left_s=round(report.left_s, 1))
        await trio.sleep(pause_s)


class _Total:
    """What is done of all that was ever seen to wait."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}

    def look(self, rows: list[Row]) -> None:
        for row in rows:
            self._sizes[row.draft_id or f"{row.what} {row.item_id}"] = row.size_bytes

    def facts(self, rows: list[Row]) -> dict[str, Any]:
        left = sum(row.size_bytes - row.done_bytes for row in rows)
        whole = sum(self._sizes.values())
        waiting = [row for row in rows if row.reason]
        return {
            "files_done": len(self._sizes) - len(rows),
            "files": len(self._sizes),
            "bytes_done": max(0, whole - left),
            "bytes": whole,
            "rate": round(sum(row.rate for row in rows if row.what == FILE)),
            "reason": waiting[0].reason if len(waiting) == len(rows) else "",
        }
