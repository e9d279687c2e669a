"""Which nodes there are, and what is true of several kinds of them."""

from __future__ import annotations

from dmfs.model.nodes import (
    File,
    Folder,
    Hub,
    LiveDirectory,
    OldVersion,
    Project,
    RefusedFile,
    Root,
    Shortcut,
    WrittenFile,
    values_of,
)
from dmfs.model.past import Histories, History, Past, Snapshots, Source, View

Directory = LiveDirectory | View | Source
Child = Hub | Project | Folder | File | Shortcut | View
"""An entry of a listing: any node but the root."""
Node = Root | Child | Source


def own_id(node: Child) -> str:
    """The service's id that is equal for all versions: it decides contested names, and suffixes
    hash it."""
    match node:
        case File() | Shortcut():
            return node.item_id
        case Hub() | Project() | Folder():
            return node.id
        case Histories() | History() | Past() | Snapshots():
            return node.identity


def created_ns(node: Child) -> int | None:
    """Creation time, if the service gives one (for hubs and projects it never does)."""
    return node.created_ns if isinstance(node, Folder | File | Shortcut) else None


def with_history(directory: Directory) -> tuple[Directory, ...]:
    """A directory, and its ``.versions``, where it has such: the same names change in both."""
    if isinstance(directory, Project | Folder):
        return directory, Histories(directory)
    return (directory,)


def live(node: Node) -> LiveDirectory | File | Shortcut | None:
    """What the service has now of a node: of a directory in the past, the directory."""
    if isinstance(node, Past):
        return node.of
    return node if isinstance(node, LiveDirectory | File | Shortcut) else None


def mtime_ns_of(directory: Node) -> int:
    """0 where the service tells none."""
    match directory:
        case Past():
            return min(mtime_ns_of(directory.of), directory.at_ns)
        case History():
            return directory.tip.mtime_ns
        case Histories():
            return mtime_ns_of(directory.of)
        case Folder():
            return directory.mtime_ns
    return 0


def as_listed(child: Child) -> Child:
    """A child of an answer, or one that was written here, as a listing has it."""
    return (
        File(**values_of(child))
        if isinstance(child, RefusedFile | WrittenFile | OldVersion)
        else child
    )
