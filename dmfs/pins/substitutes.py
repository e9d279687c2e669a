"""Which version of a pinned file a name shows while the service cannot be reached.

Online a name shows the newest version, as ever. Offline, if that one is not whole at rest, the name
shows the older one that is: one whole version can always be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from dmfs.model import Directory, File, Listing
from dmfs.pins.records import Key, PinnedFile

DIRECTORIES_REMEMBERED = 1024


class Substitutes:
    """``apply`` to a listing before it is shown; next to no cost where nothing is pinned."""

    def __init__(self, is_offline: Callable[[], bool]) -> None:
        self._is_offline = is_offline
        self._by_directory: dict[str, dict[Key, File]] = {}
        self._applied: dict[str, tuple[Listing, Listing]] = {}

    def load(self, files: Mapping[Key, PinnedFile]) -> None:
        """What is whole now."""
        self._by_directory.clear()
        self._applied.clear()
        for key, file in files.items():
            if file.whole is not None:
                self._by_directory.setdefault(file.directory, {})[key] = file.whole

    def apply(self, listing: Listing) -> Listing:
        """The listing as it is to be shown now."""
        if not self._by_directory or not self._is_offline():
            return listing
        identity = listing.directory.identity
        whole = self._by_directory.get(identity)
        if whole is None:
            return listing
        known = self._applied.get(identity)
        if known is None or known[0] is not listing:
            if len(self._applied) >= DIRECTORIES_REMEMBERED:
                self._applied.clear()
            known = self._applied[identity] = listing, _with(listing, whole)
        return known[1]

    def differing(
        self, listings: Iterable[Listing | None]
    ) -> Iterable[tuple[Directory, list[str]]]:
        """Directories, and the names in them that mean something else offline than online."""
        for listing in listings:
            if listing is None:
                continue
            whole = self._by_directory.get(listing.directory.identity, {})
            names = [name for name, child in listing.entries.items() if _other(child, whole)]
            if names:
                yield listing.directory, names

    @property
    def directories(self) -> list[str]:
        """Identities of those with something whole."""
        return list(self._by_directory)


def _other(child: object, whole: Mapping[Key, File]) -> File | None:
    if not isinstance(child, File):
        return None
    ours = whole.get((child.project_id, child.item_id))
    return ours if ours is not None and ours.storage_id != child.storage_id else None


def _with(listing: Listing, whole: Mapping[Key, File]) -> Listing:
    entries = dict(listing.entries)
    for name, child in listing.entries.items():
        ours = _other(child, whole)
        if ours is not None:
            entries[name] = replace(ours, name=child.name)
    return replace(listing, entries=entries)
