"""A spool without owning it: what its journal says waits, and the bytes of a draft.

For commands: it changes nothing, and does so beside a mount that writes as well as without one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from dmfs.errors import NotFoundError, SpoolError
from dmfs.model import FolderId
from dmfs.write.care.rows import (
    COPY,
    DELETE,
    RENAME,
    Report,
    Row,
    in_order,
    path_in,
    row_of,
    waiting_among,
)
from dmfs.write.overlay.rows import by_folder
from dmfs.write.records import Draft, DraftId, State
from dmfs.write.settle.nouns import CopyItem, DeleteItem, DraftState, RenameItem, Rules
from dmfs.write.settle.plan import settle
from dmfs.write.settle.recording.recorder import FolderNames
from dmfs.write.spool.data_file import Services
from dmfs.write.spool.disk import PATIENCE_S, Disk, OpenFiles
from dmfs.write.spool.journal import Contents, look_into
from dmfs.write.spool.recovery import generation_of
from dmfs.write.spool.room import RoomCount
from dmfs.write.spool.snapshot import KIND as CONTENT
from dmfs.write.spool.snapshot import Snapshot

log = logging.getLogger(__name__)

NOBODY = "no drive that writes is mounted"
AT_REST = Rules(
    upload_delay_s=0.0, empty_delay_s=0.0, unclear_delay_s=0.0, version_interval_s=0.0,
    bulk_hold_s=0.0,
)  # fmt: skip


class Journalled:
    """See above: as of one moment."""

    def __init__(
        self, directory: Path, found: Contents, limit_bytes: int, owner: str | None,
        waits_for: str,
    ) -> None:  # fmt: skip
        self._directory, self._found, self._limit_bytes = directory, found, limit_bytes
        self._owner, self._waits_for = owner, waits_for

    @classmethod
    def look(
        cls, directory: Path, limit_bytes: int = 0, *, owner: str | None, waits_for: str = NOBODY
    ) -> Self | None:
        """Blocks. None where nothing was ever written. SpoolError. ``owner``: the sign-in whose
        rows are told; None: everybody's. ``waits_for``: the reason of what waits."""
        found = look_into(directory)
        return None if found is None else cls(directory, found, limit_bytes, owner, waits_for)

    @cached_property
    def drafts(self) -> Mapping[DraftId, Draft]:
        """All that can be read."""
        drafts = {}
        for key, row in self._found.rows.get("draft", {}).items():
            try:
                draft = Draft.of_row(row.record)
            except (KeyError, TypeError, ValueError):
                log.warning("a draft of the journal cannot be read: %s", key)
                continue
            drafts[draft.id] = draft
        return drafts

    @property
    def report(self) -> Report:
        """What waits; of other sign-ins how many files."""
        own = {each.id for each in self.drafts.values() if self._owner in (None, each.owner)}
        rows = [
            self._row(draft)
            for draft in self.drafts.values()
            if draft.id in own and not draft.orphan and draft.state is not State.CLEAN
        ]
        used = sum(
            int(row.record.get("data_bytes", 0))
            for row in self._found.rows.get(CONTENT, {}).values()
        )
        others = [draft for draft in self.drafts.values() if draft.id not in own]
        return Report(
            in_order([*rows, *self._names()]), others=waiting_among(others),
            used_bytes=used, limit_bytes=self._limit_bytes,
        )  # fmt: skip

    def _row(self, draft: Draft) -> Row:
        row = row_of(draft, self._paths.get(draft.place.folder, ""))
        if row.state in (State.WAITING, State.UPLOADING):
            return replace(row, state=State.WAITING, reason=self._waits_for)
        return row

    @cached_property
    def _folders(self) -> Mapping[FolderId, Mapping[str, Mapping[str, Any]]]:
        return by_folder(self._found.rows.get("name", {}), self._owner)

    @cached_property
    def _paths(self) -> Mapping[FolderId, str]:
        return {
            folder_id: str(record["path"])
            for folder_id, records in self._folders.items()
            for record in records.values()
            if record.get("path")
        }

    def _names(self) -> Iterator[Row]:
        """Renames and deletions that the service has not seen."""
        states = {draft.id: _state(draft) for draft in self.drafts.values()}
        for folder_id, records in self._folders.items():
            try:
                names = FolderNames.of_rows(
                    {key: record["row"] for key, record in records.items()}, 0.0
                )
                for each in names.drafts():
                    if each not in states:  # its program was killed before it confirmed a byte
                        names.lose(each)
                kind: Any = "b" if "b." in str(next(iter(records.values()))["directory"]) else "a"
                plan = settle(names.state(kind, states), float("inf"), AT_REST)
            except (KeyError, TypeError, ValueError):
                log.warning("names of the folder %s cannot be read", folder_id)
                continue
            folder = self._paths.get(folder_id, "")
            for step in plan.steps:
                if isinstance(step, RenameItem | DeleteItem | CopyItem):
                    what = {RenameItem: RENAME, DeleteItem: DELETE, CopyItem: COPY}[type(step)]
                    path = path_in(folder, step.place or step.item.name)
                    yield Row(
                        path, what, State.WAITING, self._waits_for, item_id=step.item.item_id,
                        base_version=step.item.number,
                    )  # fmt: skip

    def snapshot(self, draft_id: DraftId) -> Snapshot:
        """The bytes that were confirmed last; to be read in an event loop. NotFoundError where
        nothing was, SpoolError."""
        row = self._found.rows.get(CONTENT, {}).get(draft_id)
        if row is None:
            raise NotFoundError("nothing of it was saved yet")
        disk = Disk(self._directory, PATIENCE_S)
        room = RoomCount(disk, self._limit_bytes, 0.0)
        files = OpenFiles(to_write=False)  # a disk that has become read-only gives its bytes
        services = Services(self._directory, disk, room, files, _never)
        try:
            return Snapshot(generation_of(draft_id, row.record, self._found, services))
        except (KeyError, TypeError, ValueError) as error:
            raise SpoolError(f"the journal's row of {draft_id} cannot be read: {error}") from None


async def _never(*_: object) -> None:
    raise AssertionError("nothing is committed here")


def _state(draft: Draft) -> DraftState:
    return DraftState(
        id=draft.id, size_bytes=draft.size_bytes, generation=draft.generation,
        uploaded_generation=draft.uploaded_generation,
    )  # fmt: skip
