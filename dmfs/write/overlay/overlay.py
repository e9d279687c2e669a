"""All folders in which a user sees something else than the service lists.

    at rest ──(anything is done there)──▶ FolderView ──(the service lists the same)──▶ at rest

A folder at rest costs nothing: its view goes, and comes again when something is done there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from weakref import WeakValueDictionary

import cachetools
import trio

from dmfs.model import Directory, Folder, FolderId, ItemId, Listing
from dmfs.write.live import LiveFile
from dmfs.write.overlay.adopted import AdoptedVersions
from dmfs.write.overlay.made import KIND as MADE
from dmfs.write.overlay.made import path_in_made
from dmfs.write.overlay.rows import by_folder, directory_of, if_readable, in_our_time, parts_of_key
from dmfs.write.overlay.view import KIND as NAME
from dmfs.write.overlay.view import FolderView, LiveById
from dmfs.write.records import Change, DraftId, Place, Row, folder_of
from dmfs.write.settle.recording.recorder import FolderNames

RESTED_MAX = 4096
"""Folders at rest of which it is known where they are and what went up last: 300 bytes each."""


class Rested(NamedTuple):
    """What is worth knowing of a folder whose view has gone."""

    directory: Directory
    path: str
    posted_at: Mapping[ItemId, float]


class Overlay:
    """See above.

    A folder has one view at a time, whoever works with it: what is done to a second one would be
    lost. Callers hold a view across awaits, and meanwhile it may come to rest. So all views are in
    ``_views``, which holds them weakly: a view lives as long as anybody has it. ``_awake`` holds
    those that differ from what is listed, or have rows that the journal has not: nothing else keeps
    a view, and each change of a view decides anew whether it is one of them.
    """

    def __init__(self, adopted: AdoptedVersions, owner: str) -> None:
        """Of the sign-in ``owner``: rows of others are left alone."""
        self._adopted, self._owner = adopted, owner
        self._views: WeakValueDictionary[FolderId, FolderView] = WeakValueDictionary()
        self._awake: dict[FolderId, FolderView] = {}
        self._rested: cachetools.LRUCache[FolderId, Rested] = cachetools.LRUCache(RESTED_MAX)
        self.live_by_id: LiveById = lambda _: None
        self.path_of: Callable[[Directory], str] = lambda _: ""
        """Where a directory is in the whole drive; '' if that is not known."""
        self.listed: Callable[[Directory], Listing | None] = lambda _: None
        """What the service shows in a directory, as far as it is in memory."""
        self.on_agreement: Callable[[FolderId], None] = lambda _: None
        """A listing has agreed with all that was done in a folder: its rows are to go."""

    # Views

    def view(self, directory: Directory) -> FolderView:
        """Of a directory in which files can be made."""
        folder_id = folder_of(directory)
        assert folder_id is not None
        found = self._views.get(folder_id)
        if found is None:
            found = self._wake(directory, folder_id)
        if not (found.path or self.find_path(found)):  # no listing has it yet: it was made here
            places = [(each.path, each.made) for each in self.views()]
            found.path = path_in_made(folder_id, places)
        return found

    def of(self, place: Place) -> FolderView:
        """The view of a place's folder."""
        found = self._views.get(place.folder)
        if found is not None:
            return found
        rested = self._rested.get(place.folder)
        if rested is not None:
            return self.view(rested.directory)
        return self.view(Folder(place.folder, place.project_id, place.hub_id, ""))

    def views(self) -> Sequence[FolderView]:
        """Of the folders in which anything differs from what is listed."""
        return list(self._awake.values())

    def find(self, folder_id: FolderId) -> FolderView | None:
        """The same, of one folder."""
        return self._awake.get(folder_id)

    def find_path(self, view: FolderView) -> str:
        """Where a folder is now, else where it was when last known; '' if it never was."""
        view.path = self.path_of(view.directory) or view.path
        return view.path

    def is_in_use(self, folder_id: FolderId) -> bool:
        """Whether a folder has a view: differences, or somebody who is about to make one."""
        return folder_id in self._views

    def can_be_in(self, directory: Directory) -> bool:
        """Whether anything can be made, renamed or deleted in a directory."""
        return folder_of(directory) is not None

    def gauges(self) -> Mapping[str, int]:
        """How many folders are remembered, and how."""
        return {"writing.folders": len(self._awake), "writing.folders_rested": len(self._rested)}

    def _wake(self, directory: Directory, folder_id: FolderId) -> FolderView:
        rested = self._rested.pop(folder_id, None)
        names = FolderNames({} if rested is None else rested.posted_at)
        view = self._views[folder_id] = self._new_view(directory, names)
        view.path = "" if rested is None else rested.path
        listing = self.listed(directory)
        if listing is not None:  # which item has which name is part of what follows
            view.see(listing)
        return view

    def _new_view(self, directory: Directory, names: FolderNames) -> FolderView:
        return FolderView(directory, names, self._live, self._adopted, self._owner, self._on_change)

    def _on_change(self, view: FolderView) -> None:
        folder_id = view.folder_id
        if self._views.setdefault(folder_id, view) is not view:
            return  # its folder has gone, and one of the same id came
        if view.differs or view.has_rows:
            self._awake[folder_id] = view
            if not view.differs:
                self.on_agreement(folder_id)
        else:
            self._awake.pop(folder_id, None)
            self._rested[folder_id] = Rested(view.directory, view.path, view.names.posted_at)

    def _live(self, draft_id: DraftId) -> LiveFile | None:
        return self.live_by_id(draft_id)

    # What is seen

    def shown(self, listing: Listing) -> Listing:
        """A listing as the user sees it; next to no cost where nothing was written."""
        if not self._awake and not self._adopted:
            return listing
        folder_id = folder_of(listing.directory)
        if folder_id is None:
            return listing
        view = self._awake.get(folder_id)
        return self._adopted.dressed(listing) if view is None else view.shown(listing)

    # Folders

    def became(self, folder: Folder, other: Folder) -> list[Change]:
        """A folder has another id from now on; the rows of that."""
        view = self._pop(folder.id)
        if view is None:
            return []
        changes = view.removal()
        self._views[other.id] = view
        view.become(other)
        return [*changes, *view.rows()]

    def forget(self, folder: Folder) -> list[Change]:
        """A folder has gone; the rows that go with it."""
        view = self._pop(folder.id)
        return [] if view is None else view.removal()

    def refused(self, changes: Sequence[Change]) -> None:
        """The journal did not take these: what was done is seen all the same, and is to be known
        after a restart. A folder that has come to rest meanwhile has nothing to lose by it."""
        for change in changes:
            if change.kind not in (NAME, MADE):
                continue
            folder_id, _, key = parts_of_key(change.key)
            view = self._views.get(folder_id)
            if view is not None:
                view.write_again(change.kind, key)

    def _pop(self, folder_id: FolderId) -> FolderView | None:
        view = self._views.pop(folder_id, None)  # first: it may be awake for nobody else
        self._awake.pop(folder_id, None)
        self._rested.pop(folder_id, None)
        return view

    # An earlier run

    def load(self, rows: Mapping[str, Row], made: Mapping[str, Row]) -> None:
        """Of the journal, before the first name is shown. What cannot be read is left out, with a
        line in the log; its drafts are seen where they were confirmed."""
        for records in by_folder(rows, self._owner).values():
            with if_readable("names"):
                self._load(records)
        for records in by_folder(made, self._owner).values():
            with if_readable("folders"):
                self.view(directory_of(records)).load_made(records)

    def _load(self, records: Mapping[str, Mapping[str, object]]) -> None:
        directory = directory_of(records)
        inner = {key: in_our_time(each) for key, each in records.items()}
        view = self._new_view(directory, FolderNames.of_rows(inner, trio.current_time()))
        for each in records.values():
            view.recover(each["files"], str(each.get("path", "")))  # type: ignore[arg-type]
        self._views[view.folder_id] = view
        self._on_change(view)
