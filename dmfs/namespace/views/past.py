"""A directory as it was at a moment, out of what is in it, what was deleted from it, and the
versions of what changed since. Pure.

What the service does not tell is as it is today: the places of what was moved, the former names of
folders, hubs and projects, permissions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dmfs.model import (
    Child,
    DeletedFolder,
    DeletedItem,
    File,
    Folder,
    Hub,
    Leaf,
    Past,
    Project,
    Shortcut,
    values_of,
)
from dmfs.names import entry_names


def changed_since(contents: Iterable[Child], at_ns: int) -> list[Leaf]:
    """The items that were there before the moment and got a newer version since: their versions
    have to be known."""
    return [
        each
        for each in contents
        if isinstance(each, File | Shortcut)
        and each.version_id
        and each.mtime_ns > at_ns
        and (each.created_ns is None or each.created_ns <= at_ns)
    ]


def past_entries(
    past: Past, contents: Iterable[Child], then: Mapping[str, Leaf | None]
) -> dict[str, Child]:
    """The entries by name. ``then``: what each of ``changed_since`` was, by the id of its item."""
    were = [_then(each, past.at_ns, then) for each in contents]
    named = entry_names(each for each in were if each is not None)
    return {name: _in_past(child, past.at_ns) for name, child in named.items()}


def _then(child: Child, at_ns: int, then: Mapping[str, Leaf | None]) -> Child | None:
    if isinstance(child, Folder):
        if child.created_ns is not None and child.created_ns > at_ns:
            return None
        return None if isinstance(child, DeletedFolder) and child.mtime_ns <= at_ns else child
    if not isinstance(child, File | Shortcut):
        return child
    if child.created_ns is not None and child.created_ns > at_ns:
        return None
    if child.mtime_ns <= at_ns:
        return None if isinstance(child, DeletedItem) else child
    if not child.version_id:  # its details are refused: it was there, and cannot be read
        return File(**values_of(child)) if isinstance(child, DeletedItem) else child
    return then[child.item_id]


def _in_past(child: Child, at_ns: int) -> Child:
    return Past(child, at_ns) if isinstance(child, Hub | Project | Folder) else child


def refused_in(children: Iterable[Child]) -> int:
    """How many items are there whose details the service refused: one day it may not."""
    return sum(isinstance(each, File) and not each.version for each in children)


def oldest_ns(contents: Iterable[Child]) -> int | None:
    """Since when there is something."""
    made = (each.created_ns for each in contents if isinstance(each, Folder | File | Shortcut))
    return min((each for each in made if each is not None), default=None)


__all__ = ["changed_since", "oldest_ns", "past_entries", "refused_in"]
