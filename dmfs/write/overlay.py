"""What a user sees of a folder: its listing, and what was done to its names since.

Keyed by the folder's id, so that it outlives every refresh. Rows of the journal are of the kind
``name``, their keys begin with the folder's id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import trio

from dmfs.errors import NotFoundError
from dmfs.model import (
    Child,
    Directory,
    File,
    Folder,
    FolderId,
    ItemId,
    Listing,
    VersionId,
    own_id,
)
from dmfs.namespace.listing_codec import BadRecordError, decode_node, encode_node
from dmfs.system.clock import wall_time_s
from dmfs.write.adopted import AdoptedVersions, plain
from dmfs.write.live import LiveFile
from dmfs.write.made import KIND as MADE
from dmfs.write.made import (
    Made,
    by_folder,
    directory_of,
    if_readable,
    in_our_time,
    made_path,
    row_key,
    versions_of,
)
from dmfs.write.records import Change, DraftId, Place, Row, folder_of, place_of
from dmfs.write.settle.nouns import DeleteItem, Item, Step
from dmfs.write.settle.recorder import FolderNames

KIND = "name"

LiveById = Callable[[DraftId], LiveFile | None]


def item_of(file: File) -> Item:
    return Item(file.item_id, file.version_id, file.name, file.version_number or 0)


class FolderView:
    """One folder, as one sign-in changes it. ``directory`` is its last known node."""

    def __init__(
        self, directory: Directory, names: FolderNames, live: LiveById, adopted: AdoptedVersions,
        owner: str,
    ) -> None:  # fmt: skip
        folder_id = folder_of(directory)
        assert folder_id is not None
        self.directory = directory
        self.folder_id = folder_id
        self.names = names
        self._live = live
        self._adopted, self._owner = adopted, owner
        self._files: dict[VersionId, File] = {}
        self.made = Made()
        self._seen: Listing | None = None
        self._version = 0
        self.path = ""
        """In the whole drive, as last known."""
        self._shown: tuple[Listing, int, Listing] | None = None

    # What is seen

    def shown(self, listing: Listing) -> Listing:
        """The listing as the user sees it."""
        self.see(listing)
        known = self._shown
        if known is not None and known[0] is listing and known[1] == self._version:
            return known[2]
        entries: dict[str, Child] = {}
        for name, child in listing.entries.items():
            if isinstance(child, File):
                if not self.names.hides(child.item_id, name):
                    entries[name] = self._adopted.shown(child)
            elif not self.made.hides(child):
                entries[name] = child
        for name in self.names.touched():
            node = self._touched_node(name)
            if node is not None:
                entries[name] = node
        entries |= self.made.shown
        shown = replace(listing, entries=dict(sorted(entries.items())))
        self._shown = listing, self._version, shown
        return shown

    def see(self, listing: Listing) -> None:
        """What a listing agrees with is forgotten."""
        if listing is self._seen:
            return
        self._seen = listing
        self.directory = listing.directory
        files = {name: child for name, child in listing.entries.items() if isinstance(child, File)}
        if self.names:
            self._remember(files.values())
        self.names.see({name: item_of(file) for name, file in files.items()}, listing.listed_at)
        if self.made:
            self.made.see({own_id(each) for each in listing.entries.values()}, listing.listed_at)
        self._version += 1

    def _remember(self, files: Iterable[File]) -> None:
        for file in files:
            if file.version_id:
                self._files[file.version_id] = plain(file)

    def _touched_node(self, name: str) -> File | None:
        content = self.names.at(name)
        if content is None:
            return None
        if isinstance(content, Item):
            file = self._files.get(content.version_id)
            return None if file is None else self._adopted.shown(file)
        live = self._live(content)
        return None if live is None else live.shown()

    def node_at(self, name: str, listing: Listing) -> File:
        """The file that stands under a name. NotFoundError."""
        node = self.shown(listing).entries.get(name)
        if not isinstance(node, File):
            raise NotFoundError(f"there is no {name!r}")
        return node

    def live_at(self, name: str) -> LiveFile | None:
        """The draft that stands under a name."""
        content = self.names.at(name)
        return None if content is None or isinstance(content, Item) else self._live(content)

    def file_of(self, item: Item) -> File | None:
        """The node of an item that settling tells of."""
        return self._files.get(item.version_id)

    def place(self, name: str) -> Place:
        found = place_of(self.directory, name)
        assert found is not None
        return found

    # What is done

    def create(self, name: str, live: LiveFile, listing: Listing) -> None:
        """A new file, or one that comes from another folder."""
        self.see(listing)
        assert live.draft is not None
        self.names.create(name, live.draft.id, trio.current_time())
        self._version += 1

    def written(self, live: LiveFile) -> None:
        """The file under a name has bytes of ours from now on."""
        assert live.draft is not None
        assert live.place is not None
        name, base = live.place.name, live.draft.base
        if self.names.at(name) == live.draft.id:
            return
        own = None
        if base is not None:
            own = Item(base.item_id, base.version_id, base.name, base.number)
            self._remember([base.as_file(live.place)])
        self.names.create(name, live.draft.id, trio.current_time(), own=own)
        self._version += 1

    def touched(self, name: str) -> None:
        """Bytes came, or a writing handle was closed."""
        self.names.written(name, trio.current_time())

    def unlink(self, name: str, listing: Listing) -> None:
        self.see(listing)
        self._remember_at(listing, name)
        self.names.unlink(name, trio.current_time())
        self._version += 1

    def rename(self, old: str, new: str, listing: Listing) -> None:
        self.see(listing)
        self._remember_at(listing, old, new)
        self.names.rename(old, new, trio.current_time())
        self._version += 1

    def discard(self, draft_id: DraftId) -> None:
        """A draft goes; what it would have replaced is seen again."""
        self.names.discard(draft_id, trio.current_time())
        self._version += 1

    def lose(self, draft_id: DraftId) -> None:
        """A draft that was never confirmed is lost."""
        self.names.lose(draft_id)
        self._version += 1

    def revive(self, item_id: ItemId) -> None:
        """An item is not to be deleted. It is seen again once its name is free."""
        self._version += 1
        if not self.names.revive(item_id, trio.current_time()):
            self.names.spare(item_id)

    def gone(self, item: Item, place: str) -> None:
        """Somebody else has deleted an item."""
        now, content = trio.current_time(), self.names.at(place)
        if isinstance(content, Item) and content.item_id == item.item_id:
            self.names.unlink(place, now)
        self.names.done(DeleteItem(item, place), now)
        self._version += 1

    def moved_away(self, name: str, item: Item) -> None:
        """Somebody else has moved to another folder what stands under a name."""
        if self.names.at(name) is not None:
            self.names.unlink(name, trio.current_time())
        self.gone(item, name)

    def goes_beside(self, step: Step, name: str, other: str) -> None:
        """A draft has another name from now on, because the one that it had is somebody else's.
        ``step``: what was not done."""
        self.names.failed(step)
        if self.names.at(name) is not None:
            self.names.rename(name, other, trio.current_time())
            self._version += 1

    def done(self, step: Step, at: float, file: File | None, *, more: bool = False) -> None:
        """The service has carried out a step; ``file``: the item as it is now."""
        if file is not None:
            self._remember([file])
        self.names.done(step, at, None if file is None else item_of(file), more=more)
        self._version += 1

    def _remember_at(self, listing: Listing, *names: str) -> None:
        self._remember(c for c in map(listing.entries.get, names) if isinstance(c, File))

    def shows(self, name: str, child: Folder | File) -> None:
        """What the service has just made here, or moved here."""
        self.made.shows(name, child)
        self._version += 1

    def hides_folder(self, folder: Folder) -> None:
        """A folder that the service has just deleted, or moved away."""
        self.made.removes(folder)
        self._version += 1

    # The journal

    def rows(self) -> list[Change]:
        """What differs since the last call."""
        directory = encode_node(self.directory)
        changes = [
            Change(MADE, self._key(key), record and {**record, "directory": directory})
            for key, record in self.made.take_changes()
        ]
        for key, row in self.names.take_changes():
            record = None
            if row is not None:
                files = [self._files[each] for each in versions_of(row) if each in self._files]
                record = {
                    "row": row,
                    "now": trio.current_time(),
                    "at_s": wall_time_s(),
                    "files": [encode_node(file) for file in files],
                    "directory": directory,
                    "path": self.path,
                }
            changes.append(Change(KIND, self._key(key), record))
        return changes

    def _key(self, key: str) -> str:
        return row_key(self.folder_id, self._owner, key)

    def become(self, folder: Folder) -> None:
        """The directory is this one now: all rows are to be written anew."""
        self.directory, self.folder_id = folder, folder.id
        self._seen = self._shown = None
        self.names.change_all()
        self.made.change_all()
        self._version += 1

    def removal(self) -> list[Change]:
        """Of all rows."""
        keys = [(KIND, key) for key in self.names.row_keys()]
        keys += [(MADE, key) for key in self.made.row_keys()]
        return [Change(kind, self._key(key), None) for kind, key in keys]

    def recover(self, files: Iterable[str], path: str) -> None:
        """Nodes of items that rows tell of; what cannot be read is left out."""
        self.path = path
        for text in files:
            try:
                node = decode_node(text)
            except BadRecordError:
                continue
            if isinstance(node, File):
                self._files[node.version_id] = node


class Overlay:
    """All folders that the sign-in ``owner`` did anything in; rows of others are left alone."""

    def __init__(self, adopted: AdoptedVersions, owner: str) -> None:
        self._adopted, self._owner = adopted, owner
        self._views: dict[FolderId, FolderView] = {}
        self.live_by_id: LiveById = lambda _: None
        self.path_of: Callable[[Directory], str] = lambda _: ""
        """Where a directory is in the whole drive; '' if that is not known."""
        self.listed: Callable[[Directory], Listing | None] = lambda _: None
        """What the service shows in a directory, as far as it is in memory."""

    def view(self, directory: Directory) -> FolderView:
        """Of a directory in which files can be made."""
        folder_id = folder_of(directory)
        assert folder_id is not None
        found = self._views.get(folder_id)
        if found is None:
            found = self._views[folder_id] = FolderView(
                directory, FolderNames(), self._live, self._adopted, self._owner
            )
            listing = self.listed(directory)
            if listing is not None:  # which item has which name is part of what follows
                found.see(listing)
        if not (found.path or self.find_path(found)):  # no listing has it yet: it was made here
            found.path = made_path(folder_id, [(each.path, each.made) for each in self.views()])
        return found

    def find_path(self, view: FolderView) -> str:
        """Where a folder is now, else where it was when last known; '' if it never was."""
        view.path = self.path_of(view.directory) or view.path
        return view.path

    def of(self, place: Place) -> FolderView:
        """The view of a place's folder."""
        found = self._views.get(place.folder)
        if found is None:
            directory = Folder(place.folder, place.project_id, place.hub_id, "")
            return self.view(directory)
        return found

    def can_be_in(self, directory: Directory) -> bool:
        """Whether anything can be made, renamed or deleted in a directory."""
        return folder_of(directory) is not None

    def views(self) -> Sequence[FolderView]:
        return list(self._views.values())

    def find(self, folder_id: FolderId) -> FolderView | None:
        return self._views.get(folder_id)

    def shown(self, listing: Listing) -> Listing:
        """A listing as the user sees it; next to no cost where nothing was written."""
        if not self._views and not self._adopted:
            return listing
        folder_id = folder_of(listing.directory)
        if folder_id is None:
            return listing
        view = self._views.get(folder_id)
        if view is None:
            if not self._adopted or not self._adopted.is_in(folder_id):
                return listing
            view = self.view(listing.directory)
        return view.shown(listing)

    def became(self, folder: Folder, other: Folder) -> list[Change]:
        """A folder has another id from now on; the rows of that."""
        view = self._views.pop(folder.id, None)
        if view is None:
            return []
        changes = view.removal()
        view.become(other)
        self._views[other.id] = view
        return [*changes, *view.rows()]

    def forget(self, folder: Folder) -> list[Change]:
        """A folder has gone; the rows that go with it."""
        view = self._views.pop(folder.id, None)
        return [] if view is None else view.removal()

    def _live(self, draft_id: DraftId) -> LiveFile | None:
        return self.live_by_id(draft_id)

    def load(self, rows: Mapping[str, Row], made: Mapping[str, Row]) -> None:
        """Of the journal, before the first name is shown. What cannot be read is left out, with a
        line in the log; its drafts are seen where they were confirmed."""
        for records in by_folder(rows, self._owner).values():
            with if_readable("names"):
                self._load(records)
        for records in by_folder(made, self._owner).values():
            with if_readable("folders"):
                self.view(directory_of(records)).made.load(records)

    def _load(self, records: Mapping[str, Mapping[str, object]]) -> None:
        directory = directory_of(records)
        inner = {key: in_our_time(each) for key, each in records.items()}
        names = FolderNames.of_rows(inner, trio.current_time())
        view = FolderView(directory, names, self._live, self._adopted, self._owner)
        for each in records.values():
            view.recover(each["files"], str(each.get("path", "")))  # type: ignore[arg-type]
        self._views[view.folder_id] = view
