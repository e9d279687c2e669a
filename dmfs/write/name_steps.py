"""Renames, copies and deletions that settling has decided, carried out one by one, and those that
failed: when they are tried again, and why they wait."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import trio

from dmfs.errors import DriveError, NameTakenError
from dmfs.model import File, FolderId
from dmfs.namespace.listings import Listings
from dmfs.write.calls.name_calls import NameCalls
from dmfs.write.drafts import Drafts
from dmfs.write.overlay.view import FolderView
from dmfs.write.records import Change
from dmfs.write.settle.nouns import CopyItem, DeleteItem, MakeDraft, RenameItem, Step
from dmfs.write.spool.spool import Spool
from dmfs.write.upload_orders import OnEvent, UploadOrders

log = logging.getLogger(__name__)

NEVER = float("inf")
RETRY_S = 30.0
HELD_MAX = 10_000
"""Steps that failed; of more of them the oldest are tried again."""
StillDue = Callable[[FolderView, Step], bool]
PendingStep = RenameItem | CopyItem | DeleteItem | MakeDraft


class Held(NamedTuple):
    """A step that failed. False: it did not."""

    until: float
    """Not before that time; trio's clock; infinity: only a person can help."""
    reason: str

    def __bool__(self) -> bool:
        return bool(self.reason)


FREE = Held(0.0, "")


class PendingName(NamedTuple):
    """A change of a name that the service has not seen."""

    view: FolderView
    step: PendingStep
    next_try_at: float
    """trio's clock; infinity: only a person can help."""
    reason: str
    """Why it failed last, '' if it was not tried."""


class NameSteps:
    """See above. At most one step of a folder is carried out at a time: ``Settler`` sees to it."""

    def __init__(
        self, spool: Spool, names: NameCalls, drafts: Drafts, listings: Listings,
        orders: UploadOrders, on_event: OnEvent, still_due: StillDue,
    ) -> None:  # fmt: skip
        """``still_due``: whether a step would be planned now."""
        self._spool = spool
        self._names = names
        self._drafts = drafts
        self._listings = listings
        self._orders = orders
        self._on_event = on_event
        self._still_due = still_due
        self._held: dict[tuple[FolderId, Step], Held] = {}

    def held(self, view: FolderView, step: Step) -> Held:
        """What is known of a step that failed."""
        return self._held.get((view.folder_id, step), FREE)

    def retry(self) -> None:
        """What failed need not wait any longer."""
        self._held.clear()

    def forget(self, view: FolderView) -> None:
        """Nothing of a folder waits."""
        for key in [key for key in self._held if key[0] == view.folder_id]:
            del self._held[key]

    async def carry_out(self, view: FolderView, step: Any) -> float:
        """A rename, a copy or a deletion; when to look again."""
        began_at = trio.current_time()
        self._held.pop((view.folder_id, step), None)
        try:
            done, file = await self._names.carry_out(
                view, step, lambda: self._still_due(view, step)
            )
        except NameTakenError as error:
            return await self._name_taken(view, step, error)
        except DriveError as error:
            return self._hold(view, step, error, final=self._names.is_final(error))
        changes: list[Change] = []
        if done:
            if file is not None and isinstance(step, RenameItem):
                changes = self._goes_on(view, step, file)
            view.done(step, began_at, file)
        else:  # it is planned no more; were it all the same, it would be without end
            self._keep(view, step, Held(began_at + RETRY_S, "it has changed meanwhile"))
        await self._spool.commit([*changes, *view.rows()])
        self._orders.show_anew(view, [step.place, getattr(step, "name", "")])
        return trio.current_time()

    def _goes_on(self, view: FolderView, step: RenameItem, file: File) -> list[Change]:
        """In ``b.`` projects a rename is the next version, of the same bytes."""
        before = view.file_of(step.item)
        if before is None or file.version_number != (before.version_number or 0) + 1:
            return []
        return self._drafts.renamed_there(before, file)

    def _hold(self, view: FolderView, step: Any, error: DriveError, *, final: bool) -> float:
        until = NEVER if final else trio.current_time() + RETRY_S
        self._keep(view, step, Held(until, error.message))
        log.warning("%s", error.message)
        self._on_event("failed", {"name": step.place, "reason": error.message})
        return until

    def _keep(self, view: FolderView, step: Step, held: Held) -> None:
        while len(self._held) >= HELD_MAX:
            del self._held[next(iter(self._held))]
        self._held[view.folder_id, step] = held

    async def _name_taken(self, view: FolderView, step: Any, error: NameTakenError) -> float:
        """Somebody else was quicker with the name that a file is to have: theirs keeps it, and ours
        goes beside."""
        await self._listings.list_again(view.directory)
        listing = await self._listings.recall(view.directory)
        other, own = (
            ("", False) if listing is None else self._names.name_beside(view, step, listing)
        )
        if not other:
            return self._hold(view, step, error, final=not own)
        view.goes_beside(step, step.place, other)
        live = view.live_at(other)
        if live is not None:
            live.place = view.place(other)
        await self._spool.commit(view.rows())
        reason = f"somebody else has a {step.name!r}"
        self._on_event("conflict", {"name": step.place, "beside": other, "reason": reason})
        self._orders.show_anew(view, [step.place, other])
        return trio.current_time()
