"""The versions of an item as entries. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dmfs.grammar.version_names import version_name
from dmfs.model import (
    Child,
    DeletedItem,
    File,
    History,
    Leaf,
    Listing,
    Shortcut,
    WrittenFile,
    as_listed,
)


def tip_of(child: Child | None) -> File | None:
    """The version that the service has of an entry; of one that is being written here, the one that
    was opened: all that was before is as it was. None where there is none."""
    if isinstance(child, WrittenFile) and child.draft_id:
        base = child.base
        return None if base is None else replace(base, mtime_ns=child.mtime_ns)
    if not isinstance(child, File) or isinstance(child, DeletedItem):
        return None
    listed = as_listed(child)
    return listed if isinstance(listed, File) and listed.version else None


def history_of(name: str, child: Child | None) -> History | None:
    """The history of an entry, if it is a file with more than one version."""
    tip = tip_of(child)
    return History(tip, name) if tip is not None and (tip.version_number or 0) > 1 else None


def histories(listing: Listing) -> dict[str, Child]:
    """The entries of ``.versions``, by name."""
    found = ((name, history_of(name, child)) for name, child in listing.entries.items())
    return {name: history for name, history in found if history is not None}


def with_bytes(versions: Iterable[Child]) -> list[File]:
    """The versions that are files, the oldest first."""
    found = [
        each
        for each in versions
        if isinstance(each, File) and not isinstance(each, DeletedItem) and each.storage_id
    ]
    return sorted(found, key=lambda each: each.version_number or 0)


def version_entries(history: History, versions: Iterable[Child]) -> dict[str, File]:
    """The entries of ``.versions/plan.dwg``, sorted by name: up to the tip, as the folder shows it,
    for a list may be younger than its folder's."""
    newest_number = history.tip.version_number or 0
    found = {
        version_name(history.name, each.version_number or 0): each
        for each in with_bytes(versions)
        if (each.version_number or 0) <= newest_number
    }
    return dict(sorted(found.items()))


def numbered(versions: Iterable[Child], number: int) -> File | None:
    """The version of that number, if it has bytes."""
    return next((each for each in with_bytes(versions) if each.version_number == number), None)


def newest(versions: Iterable[Child], until_ns: int) -> Leaf | None:
    """What the item was at a moment: the newest version of then; None where there was none yet, and
    where it was deleted."""
    then = [
        each for each in versions if isinstance(each, File | Shortcut) and each.mtime_ns <= until_ns
    ]
    found = max(then, key=_age, default=None)
    return None if isinstance(found, DeletedItem) else found


def _age(leaf: Leaf) -> tuple[int, int]:
    """By number: the service's clocks may differ by a little, its numbers never."""
    return leaf.version_number or 0, leaf.mtime_ns


__all__ = [
    "histories", "history_of", "newest", "numbered", "tip_of", "version_entries", "with_bytes",
]  # fmt: skip
