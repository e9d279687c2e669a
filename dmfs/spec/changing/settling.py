"""The wait until the service has what was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dmfs.drive import Drive
from dmfs.errors import DeadlineError, DriveError
from dmfs.jobs.writing.sending import wait
from dmfs.names import printable


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
