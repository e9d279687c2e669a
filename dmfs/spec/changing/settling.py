"""Until all that was saved is at the service."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from dmfs.drive import Drive
from dmfs.jobs.writing.place import writing_of
from dmfs.names import printable
from dmfs.write.care.report import report_of
from dmfs.write.care.rows import OPEN, Row, is_bad

LOOK_S = 0.1
NAMED_MAX = 3


async def settle(
    drive: Drive, *, timeout_s: float = float("inf"), patience_s: float = float("inf")
) -> str:
    """Wait so long at most, and ``patience_s`` at most for the next step of anything. What has not
    gone up then, or needs a person, in words; '' for nothing."""
    writing = writing_of(drive)
    writing.settler.hurry(True)
    ends_at = trio.current_time() + timeout_s
    moved_at, seen, quiet = trio.current_time(), None, False
    try:
        while True:
            rows = report_of(writing).rows
            going = [row for row in rows if row.state in OPEN]
            if not going and quiet:
                break
            quiet = not going  # twice: between two steps nothing may seem to wait
            state = [(row.draft_id, row.item_id, row.state, row.done_bytes) for row in going]
            now = trio.current_time()
            if state != seen:
                moved_at, seen = now, state
            if now >= ends_at or now - moved_at >= patience_s:
                break
            await trio.sleep(LOOK_S)
    finally:
        writing.settler.hurry(False)
    return _in_words([row for row in rows if row.state in OPEN or is_bad([row])])


def _in_words(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    named = ", ".join(
        f"{printable(row.path)} ({row.state.value}{': ' + row.reason if row.reason else ''})"
        for row in rows[:NAMED_MAX]
    )
    more = f" and {len(rows) - NAMED_MAX} more" if len(rows) > NAMED_MAX else ""
    return (
        f"{len(rows)} {'change' if len(rows) == 1 else 'changes'} not at the service: {named}{more}"
    )
