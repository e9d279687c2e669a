"""Exports that are shown in the drive, each beside the shortcut of its design."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from dmfs.exports.records import Export, ExportedFile, Key, export_name
from dmfs.model import Child, Folder, ItemId, Listing, Project, Shortcut

DIRECTORIES_REMEMBERED = 1024


class ExportOverlay:
    """``apply`` to a listing before it is shown; next to no cost where nothing is kept.

    An export is shown while its version is the one that the listing has: a newer one takes it
    away. A real entry of its name goes first.
    """

    def __init__(self) -> None:
        self._by_version: dict[tuple[str, str], list[Export]] = {}
        self._by_item: dict[tuple[str, ItemId], list[Export]] = {}
        self._by_folder: dict[tuple[str, str], list[Export]] = {}
        self._applied: dict[str, tuple[Listing, Listing]] = {}
        self.outdated: dict[Key, Export] = {}
        """Those of which a listing has a newer version, or no item any more."""

    def load(self, exports: Iterable[Export]) -> None:
        """Those that are shown from now on."""
        for table in (self._by_version, self._by_item, self._by_folder, self._applied):
            table.clear()
        for each in exports:
            if each.shown:
                design = each.design
                version = design.project_id, each.key.version_id
                self._by_version.setdefault(version, []).append(each)
                self._by_item.setdefault((design.project_id, design.item_id), []).append(each)
                self._by_folder.setdefault((design.project_id, design.folder_id), []).append(each)

    def __len__(self) -> int:
        return sum(map(len, self._by_version.values()))

    def apply(self, listing: Listing) -> Listing:
        """The listing as it is to be shown now."""
        if not self._by_version:
            return listing
        identity = listing.directory.identity
        known = self._applied.get(identity)
        if known is None or known[0] is not listing:
            if len(self._applied) >= DIRECTORIES_REMEMBERED:
                self._applied.clear()
            known = self._applied[identity] = listing, self._with(listing)
        return known[1]

    def _with(self, listing: Listing) -> Listing:
        self._look_for_outdated(listing)
        files = self.files_in(listing)
        if not files:
            return listing
        entries: Mapping[str, Child] = {**listing.entries, **files}
        return replace(listing, entries={name: entries[name] for name in sorted(entries)})

    def files_in(self, listing: Listing) -> dict[str, ExportedFile]:
        """What is shown beside the entries of a listing, by name."""
        found: dict[str, ExportedFile] = {}
        for name, node in listing.entries.items():
            if isinstance(node, Shortcut):
                for each in self._by_version.get((node.project_id, node.version_id or ""), ()):
                    shown = export_name(name, each.format, node.item_id)
                    if shown not in listing.entries and shown not in found:
                        found[shown] = each.file
        return found

    def _look_for_outdated(self, listing: Listing) -> None:
        """Only a listing of now says so: one of an earlier moment shows earlier versions."""
        directory = listing.directory
        if type(directory) not in (Folder, Project):
            return
        shortcuts = [each for each in listing.entries.values() if isinstance(each, Shortcut)]
        for node in shortcuts:
            for each in self._by_item.get((node.project_id, node.item_id), ()):
                ours = each.design.version_number
                if ours is not None and (node.version_number or 0) > ours:
                    self.outdated[each.key] = each
        if isinstance(directory, Folder) and not listing.incomplete:
            there = {node.item_id for node in shortcuts}
            for each in self._by_folder.get((directory.project_id, directory.id), ()):
                if each.design.item_id not in there:
                    self.outdated[each.key] = each
