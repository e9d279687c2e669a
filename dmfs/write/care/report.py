"""What waits in a drive that writes, as ``rows``. Never waits for anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import trio

from dmfs.write.care.rows import (
    COPY,
    DELETE,
    FILE,
    RENAME,
    Report,
    Row,
    in_order,
    path_in,
    row_of,
    time_left_s,
)
from dmfs.write.live import LiveFile
from dmfs.write.overlay import FolderView
from dmfs.write.records import DraftId, State
from dmfs.write.settle.nouns import CopyItem, DeleteItem, RenameItem
from dmfs.write.settler import NEVER, PendingName
from dmfs.write.upload.ports import Progress
from dmfs.write.writing import Writing

BEING_WRITTEN = "a program has it open"
ROWS_MAX = 100_000


def report_of(writing: Writing, mountpoint: str = "") -> Report:
    """Of the drive that has the spool."""
    uploader = writing.settler.orders.uploader
    progress = {each.draft_id: each for each in uploader.progress()}
    rows: list[Row] = list(_files(writing, progress))
    rows += [_name(writing, each) for each in writing.settler.pending_names()]
    room = writing.room()
    return Report(
        in_order(rows)[:ROWS_MAX], writing.spool.damaged, len(writing.drafts.others),
        writing.spool.used_bytes, room.total_bytes, mountpoint,
        time_left_s(rows, uploader.new_files_s),
    )  # fmt: skip


def _files(writing: Writing, progress: Mapping[DraftId, Progress]) -> Iterator[Row]:
    for live in list(writing.drafts.by_id.values()):
        draft = live.draft
        if draft is None or live.place is None or draft.state is State.CLEAN:
            continue
        view = writing.overlay.of(live.place)
        row = row_of(replace(draft, place=live.place), writing.overlay.find_path(view))
        row = replace(row, size_bytes=live.size_bytes)
        known = progress.get(draft.id)
        if draft.state not in (State.WAITING, State.UPLOADING):
            yield row
        elif known is not None:
            yield replace(
                row, state=known.state, reason=known.reason, done_bytes=known.done_bytes,
                size_bytes=known.size_bytes, rate=known.rate, next_try_s=known.next_try_s,
            )  # fmt: skip
        else:
            yield replace(row, state=State.WAITING, reason=_why(live))


def _why(live: LiveFile) -> str:
    assert live.draft is not None
    if live.writers and live.is_dirty:
        return BEING_WRITTEN
    return live.draft.reason


def _name(writing: Writing, pending: PendingName) -> Row:
    view, step = pending.view, pending.step
    what = {RenameItem: RENAME, DeleteItem: DELETE, CopyItem: COPY}.get(type(step), FILE)
    stuck = pending.next_try_at == NEVER and bool(pending.reason)
    wait_s = pending.next_try_at - trio.current_time()
    return Row(
        path_of_step(writing, view, step.place or step.item.name), what,
        State.FAILED if stuck else State.WAITING, pending.reason,
        next_try_s=max(0.0, wait_s) if not stuck else 0.0,
        item_id=step.item.item_id, base_version=step.item.number,
    )  # fmt: skip


def path_of_step(writing: Writing, view: FolderView, place: str) -> str:
    """Of a change of a name, in the whole drive."""
    return path_in(writing.overlay.find_path(view), place)
