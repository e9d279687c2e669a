"""Names of another case: from a name to the one that is listed, where just one is meant. Pure.

Letters are compared as Windows does it, one by one in their capital form: ``ß`` and ``SS`` differ,
and so do Unicode forms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import cachetools

from dmfs.model import Child, Listing

NAMES_MAX = 200_000
"""Of the directories that were asked about last: some 20 MB."""


def fold(name: str) -> str:
    """Equal for names that differ in the case of letters alone."""
    if name.isascii():
        return name.upper()
    return "".join(map(_capital, name))


def _capital(letter: str) -> str:
    capital = letter.upper()
    return capital if len(capital) == 1 else letter


class FoldedNames:
    """Of one directory."""

    def __init__(self, names: Iterable[str]) -> None:
        self._listed: dict[str, str | None] = {}
        """Folded name → the listed one; None where there are several."""
        for name in names:
            folded = fold(name)
            self._listed[folded] = None if folded in self._listed else name
        self.differ = None not in self._listed.values()
        """Whether no two names differ in case alone."""

    def listed(self, name: str) -> str | None:
        """The one listed name that is equal but for case."""
        return self._listed.get(fold(name))


class Folds:
    """The folded names of the directories that were asked about last."""

    def __init__(self) -> None:
        self._made: cachetools.LRUCache[str, tuple[Mapping[str, Child], FoldedNames]] = (
            cachetools.LRUCache(NAMES_MAX, getsizeof=lambda made: len(made[0]) + 1)
        )

    def peek(self, listing: Listing) -> FoldedNames | None:
        """Those of this very listing, if they were made. Never works for long."""
        made = self._made.get(listing.directory.identity)
        return made[1] if made is not None and made[0] is listing.entries else None

    def put(self, listing: Listing, folded: FoldedNames) -> None:
        """Keep what was made of a listing."""
        if len(listing.entries) < NAMES_MAX:
            self._made[listing.directory.identity] = listing.entries, folded
