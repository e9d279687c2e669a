"""Folders as an overlay sees them, without a drive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import trio
from trio.testing import MockClock

from dmfs.model import (
    Child,
    Directory,
    File,
    Folder,
    FolderId,
    HubId,
    Listing,
    ProjectId,
    WrittenFile,
)
from dmfs.write.overlay.adopted import AdoptedVersions
from dmfs.write.overlay.overlay import Overlay
from dmfs.write.overlay.view import FolderView
from dmfs.write.records import Draft, DraftId, Place, new_draft_id, place_of
from dmfs.write.settle.nouns import UploadNewItem
from tests.support.helpers import a_file


def pass_by(seconds: float) -> None:
    """Time, at once."""
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, MockClock)
    clock.jump(seconds)


def a_folder(identifier: str = "folder") -> Folder:
    return Folder(FolderId(identifier), ProjectId("b.project"), HubId("b.hub"), identifier)


def a_listing(directory: Directory, children: Iterable[Child]) -> Listing:
    """Requested now."""
    entries = {child.name: child for child in children}
    return Listing(directory, dict(sorted(entries.items())), trio.current_time())


def file_in(directory: Folder, name: str, number: int = 1) -> File:
    item = f"{directory.id}.{name}"
    return a_file(
        name, item_id=f"urn:adsk.wipprod:dm.lineage:{item}", folder_id=directory.id,
        version=f"urn:adsk.wipprod:fs.file:vf.{item}?version={number}", version_number=number,
    )  # fmt: skip


@dataclass
class Content:
    """What an overlay asks of a live file."""

    draft: Draft
    place: Place

    def shown(self) -> File:
        at = self.place
        return WrittenFile(
            **{name: getattr(self.draft.as_file(), name) for name in File.__slots__}
            | {"name": at.name, "folder_id": at.folder},
            key=self.draft.key, draft_id=self.draft.id,
        )  # fmt: skip


class Folders:
    """An overlay and what it is asked with."""

    def __init__(self) -> None:
        self.adopted = AdoptedVersions(None)  # type: ignore[arg-type]
        self.overlay = Overlay(self.adopted, "owner")
        self.drafts: dict[DraftId, Content] = {}
        self.overlay.live_by_id = self.drafts.get  # type: ignore[assignment]

    def save(self, directory: Folder, name: str, listing: Listing) -> DraftId:
        """A new file of that name."""
        draft_id, place = new_draft_id(), place_of(directory, name)
        assert place is not None
        content = Content(Draft(draft_id, place, f"draft {draft_id}", "me"), place)
        self.drafts[draft_id] = content
        self.overlay.view(directory).create(name, content, listing)  # type: ignore[arg-type]
        return draft_id

    def goes_up(self, directory: Folder, name: str, draft_id: DraftId) -> File:
        """Its item, as the service has it now."""
        file = file_in(directory, name)
        step = UploadNewItem(draft_id, name, name)
        self.view(directory).done(step, trio.current_time(), file)
        return file

    def view(self, directory: Folder) -> FolderView:
        return self.overlay.view(directory)
