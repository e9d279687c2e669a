"""One folder as a user sees it: its listing, and what was done to its names since.

Rows of the journal are of the kind ``name``, their keys begin with the folder's id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import replace

import trio

from dmfs.errors import NotFoundError
from dmfs.model import Child, Directory, File, Folder, ItemId, Listing, VersionId, WrittenFile
from dmfs.namespace.listing_codec import BadRecordError, decode_node, encode_node
from dmfs.system.clock import wall_time_s
from dmfs.write.live import LiveFile
from dmfs.write.overlay.adopted import AdoptedVersions, plain
from dmfs.write.overlay.made import KIND as MADE
from dmfs.write.overlay.made import Made
from dmfs.write.overlay.merging import merged
from dmfs.write.overlay.rows import row_key
from dmfs.write.records import Change, DraftId, Place, folder_of, place_of
from dmfs.write.settle.nouns import DeleteItem, Item, Step
from dmfs.write.settle.recording.listed import Listed, ListedIds
from dmfs.write.settle.recording.name_table import item_of
from dmfs.write.settle.recording.recorder import FolderNames

KIND = "name"

LiveById = Callable[[DraftId], LiveFile | None]
OnChange = Callable[["FolderView"], None]


class FolderView:
    """One folder. ``directory`` is its last known node.

    Each method that changes it does so between two awaits, and tells ``on_change`` at its end.
    """

    def __init__(
        self, directory: Directory, names: FolderNames, live: LiveById, adopted: AdoptedVersions,
        owner: str, on_change: OnChange,
    ) -> None:  # fmt: skip
        """``owner``: the sign-in that changes it, and whose its rows are."""
        folder_id = folder_of(directory)
        assert folder_id is not None
        self.directory = directory
        self.folder_id = folder_id
        self.names = names
        self.made = Made()
        self.path = ""
        """In the whole drive, as last known."""
        self._live = live
        self._adopted, self._owner = adopted, owner
        self._on_change = on_change
        self._files: dict[VersionId, File] = {}
        """Nodes of items that names tell of, and the listing does not, or may not."""
        self._seen: Listing | None = None
        self._listed = Listed({})
        """The newest listing, which ``names`` are the difference to."""
        self._version = 0
        self._shown: tuple[Listing, tuple[int, int], Listing] | None = None

    @property
    def differs(self) -> bool:
        """Whether anything is seen otherwise than listed, or is remembered to be."""
        return bool(self.names) or bool(self.made)

    @property
    def waits_for_listing(self) -> bool:
        """Whether all is done, and only a listing has to say so."""
        return bool(self.names) and not (self.names.waits or self.names.drafts() or self.made)

    @property
    def has_rows(self) -> bool:
        """Whether the journal is to hear of anything."""
        return self.names.has_changes or self.made.has_changes

    def _changed(self) -> None:
        self._version += 1
        self._on_change(self)

    # What is seen

    def shown(self, listing: Listing) -> Listing:
        """The listing as the user sees it: what differs is put in, the rest is not looked at."""
        self.see(listing)
        known, changes = self._shown, (self._version, self._adopted.changes)
        if known is not None and known[0] is listing and known[1] == changes:
            return known[2]
        shown = merged(self._adopted.dressed(listing), self._differences(listing))
        self._shown = listing, changes, shown
        return shown

    def _differences(self, listing: Listing) -> Mapping[str, Child | None]:
        """Name → what stands there instead; None: nothing."""
        listed = self._listed
        if listed.entries is not listing.entries:  # an older one than the newest
            listed = Listed(listing.entries)
        differs: dict[str, Child | None] = {}
        displaced = listed.names_of({str(k): name for k, name in self.names.displaced().items()})
        for item_id, name in displaced.items():
            if isinstance(listing.entries[name], File) and self.names.hides(ItemId(item_id), name):
                differs[name] = None
        # an older listing has a folder that was renamed here under the name that it had, too
        folders = (each.id for each in self.made.shown.values() if isinstance(each, Folder))
        moved = {*self.made.gone, *folders}
        differs |= dict.fromkeys(listed.names_of(dict.fromkeys(moved, "")).values())
        for name in self.names.touched():
            node = self._touched_node(name)
            if node is not None or isinstance(listing.entries.get(name), File):
                differs[name] = node
        return differs | self.made.shown

    def see(self, listing: Listing) -> None:
        """What a listing agrees with is forgotten. Costs what differs, not what is listed."""
        if listing is self._seen:
            return
        self._seen = listing
        self.directory = listing.directory
        listed = Listed(listing.entries)
        if listing.listed_at >= self.names.listed_at:
            self._take_along()
            self._listed = listed
            self.names.see(listed, listing.listed_at)
        if self.made:
            self.made.see(ListedIds(listed), listing.listed_at)
        self._changed()

    def _take_along(self) -> None:
        """Of a listing that is about to be replaced: only what names tell of."""
        items = {item.version_id: item for item in self.names.items() if item.version_id}
        found = ((each, self.file_of(item)) for each, item in items.items())
        self._files = {each: file for each, file in found if file is not None}

    def file_of(self, item: Item) -> File | None:
        """The node of an item that names or steps tell of: that of the listing, if it has this
        version."""
        for name in self._listed.names_of({item.item_id: item.name}).values():
            child = self._listed.entries[name]
            if isinstance(child, File) and child.version_id == item.version_id:
                return plain(child)
        return self._files.get(item.version_id)

    def _remember(self, file: File) -> None:
        if file.version_id:
            self._files[file.version_id] = plain(file)

    def _touched_node(self, name: str) -> File | None:
        content = self.names.at(name)
        if content is None:
            return None
        if isinstance(content, Item):
            file = self.file_of(content)
            return None if file is None else self._adopted.shown(file)
        live = self._live(content)
        return None if live is None else self._continuing(name, live.shown())

    def _continuing(self, name: str, node: WrittenFile) -> WrittenFile:
        """What was saved by another name, too, has the versions of the file that it replaces: else
        they were gone from the save to the upload."""
        item = self.names.continued(name) if node.base is None else None
        base = None if item is None else self.file_of(item)
        return node if base is None else replace(node, base=base)

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

    def others(self) -> Set[str]:
        """Names that are no files."""
        return _Others(self._listed.entries, self.made)

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
        self._changed()

    def written(self, live: LiveFile) -> None:
        """The file under a name has bytes of ours from now on."""
        assert live.draft is not None
        assert live.place is not None
        name, base = live.place.name, live.draft.base
        if self.names.at(name) == live.draft.id:
            return
        own = None
        if base is not None:
            own = Item.of_base(base)
            if self.file_of(own) is None:
                self._remember(base.as_file(live.place))
        self.names.create(name, live.draft.id, trio.current_time(), own=own)
        self._changed()

    def touched(self, name: str) -> None:
        """Bytes came, or a writing handle was closed."""
        self.names.written(name, trio.current_time())
        self._on_change(self)

    def unlink(self, name: str, listing: Listing) -> None:
        self.see(listing)
        self.names.unlink(name, trio.current_time())
        self._changed()

    def rename(self, old: str, new: str, listing: Listing) -> None:
        self.see(listing)
        self.names.rename(old, new, trio.current_time())
        self._changed()

    def discard(self, draft_id: DraftId) -> None:
        """A draft goes; what it would have replaced is seen again."""
        self.names.discard(draft_id, trio.current_time())
        self._changed()

    def lose(self, draft_id: DraftId) -> None:
        """A draft that was never confirmed is lost."""
        self.names.lose(draft_id)
        self._changed()

    def revive(self, item_id: ItemId) -> None:
        """An item is not to be deleted. It is seen again once its name is free."""
        if not self.names.revive(item_id, trio.current_time()):
            self.names.spare(item_id)
        self._changed()

    def gone(self, item: Item, place: str) -> None:
        """Somebody else has deleted an item."""
        now, content = trio.current_time(), self.names.at(place)
        if isinstance(content, Item) and content.item_id == item.item_id:
            self.names.unlink(place, now)
        self.names.done(DeleteItem(item, place), now)
        self._changed()

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
        self._changed()

    def parts(self, draft_id: DraftId, item_id: ItemId) -> None:
        """A draft does not become the next version of its item, which is seen again where the
        service has it."""
        self.names.part(draft_id, item_id)
        self.revive(item_id)

    def begun(self, step: Step) -> None:
        """A step is being carried out."""
        self.names.begun(step, trio.current_time())
        self._changed()

    def failed(self, step: Step) -> None:
        """A step was certainly not carried out."""
        self.names.failed(step)
        self._changed()

    def done(self, step: Step, at: float, file: File | None, *, more: bool = False) -> None:
        """The service has carried out a step; ``file``: the item as it is now."""
        if file is not None:
            self._remember(file)
        self.names.done(step, at, None if file is None else Item.of(file), more=more)
        self._changed()

    def shows(self, name: str, child: Folder | File) -> None:
        """What the service has just made here, or moved here."""
        self.made.shows(name, child)
        self._changed()

    def hides_folder(self, folder: Folder) -> None:
        """A folder that the service has just deleted, or moved away."""
        self.made.removes(folder)
        self._changed()

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
                files = [each for each in map(self.file_of, _items(row)) if each is not None]
                record = {
                    "row": row,
                    "now": trio.current_time(),
                    "at_s": wall_time_s(),
                    "files": [encode_node(file) for file in files],
                    "directory": directory,
                    "path": self.path,
                }
            changes.append(Change(KIND, self._key(key), record))
        if changes:
            self._on_change(self)
        return changes

    def _key(self, key: str) -> str:
        return row_key(self.folder_id, self._owner, key)

    def write_again(self, kind: str, key: str) -> None:
        """The journal did not take a row: the next ``rows`` have it as it is then."""
        (self.names if kind == KIND else self.made).write_again([key])
        self._on_change(self)

    def become(self, folder: Folder) -> None:
        """The directory is this one now: all rows are to be written anew."""
        self.directory, self.folder_id = folder, folder.id
        self._seen = self._shown = None
        self._listed = Listed({})
        self.names.write_again(self.names.row_keys())
        self.made.write_again(self.made.row_keys())
        self._changed()

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

    def load_made(self, records: Mapping[str, Mapping[str, object]]) -> None:
        """As ``Made.load``."""
        self.made.load(records)
        self._changed()


class _Others(Set[str]):
    """Names of folders and links, to be looked up one by one."""

    def __init__(self, entries: Mapping[str, Child], made: Made) -> None:
        self._entries, self._made = entries, made

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        child = self._made.shown.get(name) or self._entries.get(name)
        return child is not None and not isinstance(child, File) and not self._made.hides(child)

    def __iter__(self) -> Iterator[str]:
        return (name for name in {**self._entries, **self._made.shown} if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _items(row: Mapping[str, object]) -> list[Item]:
    """That a row tells of."""
    found = (item_of(row.get(each)) for each in ("own", "clean", "was", "item"))
    return [item for item in found if item is not None]
