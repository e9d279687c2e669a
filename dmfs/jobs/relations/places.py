"""Where in the drive an item is, as far as the listings in memory tell; costs no call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dmfs.drive import Drive
from dmfs.model import Directory, File, ItemId, Leaf, Listing, Shortcut
from dmfs.system.concurrency import computed


class ItemPlace(NamedTuple):
    """An item as a listing shows it."""

    path: str
    """In the whole drive."""
    leaf: Leaf
    """Its tip, when the directory was listed."""


class KnownPlaces:
    """A picture of what is known, taken once."""

    def __init__(self, drive: Drive) -> None:
        self._drive = drive
        self._found: dict[ItemId, tuple[Directory, str, Leaf]] | None = None

    async def of(self, item_id: ItemId) -> ItemPlace | None:
        """None for an item that no listing in memory shows."""
        if self._found is None:
            listings = self._drive.parts.listings.cache.listings()
            self._found = await computed(lambda: _leaves(listings))
        at = self._found.get(item_id)
        directory = self._drive.known_path(at[0]) if at is not None else ""
        if at is None or not directory:
            return None
        return ItemPlace(f"{directory.rstrip('/')}/{at[1]}", at[2])


def _leaves(listings: Sequence[Listing]) -> dict[ItemId, tuple[Directory, str, Leaf]]:
    return {
        child.item_id: (listing.directory, name, child)
        for listing in listings
        for name, child in listing.entries.items()
        if isinstance(child, File | Shortcut)
    }
