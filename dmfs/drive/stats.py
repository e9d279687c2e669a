"""What stat(2) tells of a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.model import File, Leaf, Node, OldVersion, Shortcut, View, mtime_ns_of

if TYPE_CHECKING:  # a read-only drive starts without it
    from dmfs.write.writing import Writing

DIRECTORY_BYTES = 4096
"""Programs take a directory of 0 bytes for an empty one (Samba, file managers, `test -s`)."""


class Stat(NamedTuple):
    """What stat(2) tells of a node, apart from its owner."""

    is_directory: bool
    size_bytes: int
    """What a read will deliver, as far as is known; DIRECTORY_BYTES for directories."""
    mtime_ns: int
    """0 where the service tells none."""
    is_writable: bool = False
    may_change: bool = False
    """Whether a file may become another one under the same inode: it may be written to."""
    is_here: bool = False
    """Whether it was written here, and is on this machine."""


def size_of(leaf: Leaf, sizes: ObjectSizes) -> int:
    """What a read will deliver, in bytes, as far as is known. Never waits."""
    return sizes.of(leaf) if isinstance(leaf, File) else leaf.size_bytes


def stat_to_read(node: Node, sizes: ObjectSizes) -> Stat:
    """Kind, size and time of a node that cannot be written to. Never waits."""
    if isinstance(node, File | Shortcut):
        return Stat(False, size_of(node, sizes), node.mtime_ns)
    return Stat(True, DIRECTORY_BYTES, mtime_ns_of(node))


def stat_to_write(node: Node, sizes: ObjectSizes, writing: Writing) -> Stat:
    """As ``stat_to_read``, in a drive that can be changed."""
    plain = stat_to_read(node, sizes)
    if isinstance(node, OldVersion | View):
        return plain
    can = writing.rights.may_change(node)
    if not isinstance(node, File):
        return plain._replace(is_writable=can)
    live = writing.content_of(node)
    if live is not None:
        return Stat(False, live.size_bytes, live.mtime_ns, can, may_change=True, is_here=True)
    now = writing.now(node)
    return Stat(False, size_of(now, sizes), now.mtime_ns, can, may_change=True)
