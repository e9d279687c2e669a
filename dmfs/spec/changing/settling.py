"""What waits: until the service has it, and what a process before this one has left."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from dmfs.drive import Drive
from dmfs.errors import DeadlineError, DriveError
from dmfs.jobs.writing.place import writing_of
from dmfs.jobs.writing.sending import wait
from dmfs.names import is_aside, printable
from dmfs.write.care.remedies import Remedies
from dmfs.write.care.report import report_of
from dmfs.write.care.rows import FILE

log = logging.getLogger(__name__)


async def let_go(drive: Drive) -> None:
    """At the beginning: files that a killed process had not closed. Nobody can close them any more;
    their bytes lie in the spool's ``discarded`` for a week."""
    remedies = Remedies(writing_of(drive))
    for row in report_of(writing_of(drive)).rows:
        if row.what == FILE and not row.base_version and is_aside(row.path.rpartition("/")[2]):
            try:
                await remedies.discard(row)
            except DriveError as error:
                log.warning("%s stays: %s", printable(row.path), error.message)


async def settle(drive: Drive, timeout_s: float | None) -> list[str]:
    """Until nothing waits; the paths of files that are beside another's work by then. DeadlineError
    if the time is over first, DriveError for what the service refuses."""
    last: Mapping[str, Any] = {}

    async def tell(event: Mapping[str, Any]) -> None:
        nonlocal last
        last = event

    await wait(drive, {"timeout_s": timeout_s}, tell)
    left = last.get("left", [])
    failed = [row for row in left if row["state"] == "failed"]
    waiting = [row for row in left if row["state"] not in ("failed", "conflict")]
    for rows, kind, words in (
        (failed, DriveError, "not taken by the service"),
        (waiting, DeadlineError, "not at the service yet"),
    ):
        if rows:
            first = printable(str(rows[0]["path"]))
            reason = f": {rows[0]['reason']}" if rows[0].get("reason") else ""
            more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
            raise kind(f"{first!r}{more} {words}{reason}")
    return [str(row["path"]) for row in left]
