"""What a person does about files that wait: send them again, elsewhere, or not at all.

``Writing`` finds the file; each remedy is one transaction of the journal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dmfs.errors import DriveError, InUseError, NotFoundError
from dmfs.model import Directory, Listing
from dmfs.names import printable
from dmfs.system.clock import local_now
from dmfs.write.care.report import path_of_step, report_of
from dmfs.write.care.rows import DELETE, FILE, Row, find
from dmfs.write.drafts import KIND
from dmfs.write.live import LiveFile
from dmfs.write.overlay.view import FolderView
from dmfs.write.records import Change, DraftId, State
from dmfs.write.settle.conflict_names import conflict_name
from dmfs.write.settle.nouns import DeleteItem
from dmfs.write.writing import Writing


class Remedies:
    """Of one drive that writes."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing

    def rows(self, given: str) -> list[Row]:
        """What a path names. NotFoundError if nothing of it waits."""
        found = find(report_of(self._writing).rows, given)
        if not found:
            raise NotFoundError(
                f"nothing waits under {printable(given)!r}", hint="dmfs uploads lists what does"
            )
        return found

    def failed(self) -> list[Row]:
        """All that waits for a person."""
        rows = report_of(self._writing).rows
        return [row for row in rows if row.state is State.FAILED]

    async def retry(self, row: Row) -> None:
        """Try again at once, as it is. DriveError for what is at the service."""
        writing = self._writing
        if row.state is State.CONFLICT:
            raise DriveError(
                f"{printable(row.path)!r} is at the service already",
                hint="dmfs uploads --wait tells of it once more, and then no more",
            )
        if row.what == FILE and row.draft_id:
            live = self._live(row)
            assert live.draft is not None
            if live.draft.state is State.FAILED:
                writing.drafts.set_state(live, State.WAITING, "")
                await writing.drafts.note(live)
        writing.settler.try_again()

    async def retry_elsewhere(
        self, row: Row, directory: Directory | None, name: str, *, beside: bool
    ) -> str:
        """Send a file as a new one: to another directory, under another name, or beside what is
        there now, under the name of a conflict copy. Returns its path."""
        writing, live = self._writing, self._live(row)
        assert live.place is not None
        source = writing.overlay.of(live.place)
        goal = source if directory is None else writing.overlay.view(directory)
        name = name or live.place.name
        listing = await writing.raw(goal.directory)
        if beside:
            taken = set(goal.shown(listing).entries)
            name = conflict_name(name, writing.tools.person(), local_now(), taken)
        if goal is not source or name != live.place.name:
            await writing.rights.require_place(goal.directory, name, is_file=True)
        self._must_not_be_posted(live)
        await self._move(live, goal, name, listing)
        writing.settler.try_again()
        return path_of_step(writing, goal, name)

    async def _move(self, live: LiveFile, goal: FolderView, name: str, listing: Listing) -> None:
        """The draft is a new file of that name; what it would have replaced is seen again."""
        writing, draft, place = self._writing, live.draft, live.place
        assert draft is not None
        assert place is not None
        source, before = writing.overlay.of(place), live.shown()
        source.discard(draft.id)
        goal.create(name, live, listing)
        # another inode than that of the version beneath, which is seen again
        key = f"draft {draft.id}"
        writing.drafts.give_key(before, key)
        live.place = goal.place(name)
        live.draft = replace(
            draft, key=key, place=live.place, base=None, state=State.WAITING, reason="",
            uploaded_generation=0,
        )  # fmt: skip
        changes = [*source.rows(), *(goal.rows() if goal is not source else ())]
        await writing.spool.commit(
            [*changes, Change(KIND, draft.id, live.draft.as_row())], durable=True
        )
        writing.settler.orders.show_anew(source, [place.name])
        writing.settler.orders.show_anew(goal, [name])
        writing.settler.touched(goal.folder_id)

    async def discard(self, row: Row) -> None:
        """Never send it: bytes go to the discarded ones for a week, a deletion is taken back."""
        writing = self._writing
        if row.what == DELETE:
            await self._undelete(row)
            return
        if not row.draft_id:
            raise DriveError(
                f"a {row.what} cannot be discarded", hint="rename the file once more instead"
            )
        live = self._live(row)
        if row.state is State.CONFLICT:
            raise DriveError(
                f"{printable(row.path)!r} is at the service already", hint="dmfs rm deletes it"
            )
        if live.handles:
            raise InUseError(
                f"a program has {printable(row.path)!r} open", hint="close it there first"
            )
        self._must_not_be_posted(live)
        assert live.draft is not None
        assert live.place is not None
        view, place, draft_id = writing.overlay.of(live.place), live.place, live.draft.id
        view.discard(draft_id)
        live.place = None
        writing.drafts.by_id.pop(draft_id, None)
        if writing.drafts.by_key.get(live.key) is live:
            del writing.drafts.by_key[live.key]
        await writing.spool.discard(draft_id, [*view.rows(), Change(KIND, draft_id, None)])
        writing.settler.orders.show_anew(view, [place.name])
        writing.settler.touched(view.folder_id)

    async def _undelete(self, row: Row) -> None:
        writing = self._writing
        for pending in writing.settler.pending_names():
            view, step = pending.view, pending.step
            if isinstance(step, DeleteItem) and step.item.item_id == row.item_id:
                view.revive(step.item.item_id)
                await writing.spool.commit(view.rows())
                writing.settler.orders.show_anew(view, [step.place, step.item.name])

    async def saw(self, draft_ids: Iterable[DraftId]) -> None:
        """A person knows of these conflicts."""
        for draft_id in draft_ids:
            live = self._writing.drafts.by_id.get(draft_id)
            if live is None or live.draft is None or live.draft.state is not State.CONFLICT:
                continue
            self._writing.drafts.set_state(live, State.CLEAN, "")
            await self._writing.drafts.note(live)

    def _live(self, row: Row) -> LiveFile:
        live = self._writing.drafts.by_id.get(DraftId(row.draft_id))
        if live is None or live.draft is None or live.place is None:
            raise NotFoundError(f"{printable(row.path)!r} does not wait any more")
        return live

    def _must_not_be_posted(self, live: LiveFile) -> None:
        assert live.draft is not None
        if not self._writing.settler.orders.uploader.cancel(live.draft.id):
            raise InUseError(
                f"{printable(live.draft.place.name)!r} is at the service already, or may be",
                hint="wait until its upload is over",
            )
