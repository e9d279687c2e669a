"""The inodes that the kernel references, and their numbers.

A row exists for each inode that the kernel holds and for nothing else. Numbers are derived from
identities, so they are the same on every mount without being stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dmfs.errors import GoneError, NotADirectory
from dmfs.model import Child, Directory, File, Node, Shortcut
from dmfs.names import inode_number

ROOT_INODE = 1
PATH_PARTS_MAX = 64
"""A path for a log ends here: parents may form a circle while folders are moved about."""


@dataclass(slots=True, eq=False)
class Inode:
    """What one inode number stands for. ``lookups`` is the kernel's count; at 0 the row goes."""

    number: int
    node: Node
    parent: int
    name: str
    lookups: int = 0
    reported_size: int = -1
    """The size of a file that the kernel was given last; open corrects it if it has changed."""
    generation: int = 0
    """Of a mount that is exported: what tells two identities of one number apart."""
    changed_ns: int = 0
    """The same, of a directory: when a name in it came to mean something else, or later."""


class InodeTable:
    """The inodes below one directory, the root of a mount.

    Rows and numbers change together, without an await in between.
    """

    def __init__(self, root: Directory) -> None:
        self._rows: dict[int, Inode] = {ROOT_INODE: Inode(ROOT_INODE, root, ROOT_INODE, "", 1)}
        self._moved: dict[str, int] = {root.identity: ROOT_INODE}
        """Numbers of nodes that are not the one that follows from their identity."""
        self._on_place: Callable[[Inode], None] | None = None

    def subscribe(self, on_place: Callable[[Inode], None]) -> None:
        """Call ``on_place`` with each row that is new, or has another name or parent now."""
        self._on_place = on_place

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, number: int) -> Inode | None:
        """The row of an inode, if the kernel references it."""
        return self._rows.get(number)

    def inode(self, number: int) -> Inode:
        """The row of an inode that the kernel references. GoneError for any other number."""
        row = self._rows.get(number)
        if row is None:
            raise GoneError(f"inode {number} is not known")
        return row

    def directory(self, number: int) -> Directory:
        """The directory of that number. GoneError, NotADirectory."""
        node = self.inode(number).node
        if isinstance(node, File | Shortcut):
            raise NotADirectory(f"{node.name!r} is not a directory")
        return node

    def directory_if_referenced(self, number: int) -> Directory | None:
        """None where the kernel has forgotten it, as a folder moved away from above an open file
        may be."""
        return self.directory(number) if number in self._rows else None

    def number_of(self, node: Node) -> int:
        """The inode number of a node, referenced or not."""
        identity = node.identity
        moved = self._moved.get(identity)
        if moved is not None:
            return moved
        number = inode_number(identity)
        row = self._rows.get(number)
        if row is None or row.node is node or row.node.identity == identity:
            return number
        while number in self._rows:  # another identity has it: the next free one
            number += 1
        return number

    def ref(self, parent: int, name: str, node: Child) -> Inode:
        """Count one lookup of a child that is being handed to the kernel."""
        number = self.number_of(node)
        row = self._rows.get(number)
        placed = row is None or row.name != name or row.parent != parent
        if row is None:
            row = self._rows[number] = Inode(number, node, parent, name)
            if number != inode_number(node.identity):
                self._moved[node.identity] = number
        row.node, row.parent, row.name = node, parent, name
        row.lookups += 1
        if placed and self._on_place is not None:
            self._on_place(row)
        return row

    def renamed(self, node: Child, parent: int, name: str) -> None:
        """A referenced child has another name now, maybe in another directory."""
        row = self._rows.get(self.number_of(node))
        if row is not None and row.number != ROOT_INODE:
            row.node, row.parent, row.name = node, parent, name
            if self._on_place is not None:
                self._on_place(row)

    def became(self, node: Child, other: Child) -> None:
        """What is referenced as one node is another one from now on, under the same number."""
        number = self.number_of(node)
        self._moved.pop(node.identity, None)
        row = self._rows.get(number)
        if row is not None:
            row.node = other
            if number != inode_number(other.identity):
                self._moved[other.identity] = number

    def forget(self, number: int, lookups: int) -> None:
        """The kernel gives up so many references. Never raises."""
        row = self._rows.get(number)
        if row is None or number == ROOT_INODE:
            return
        row.lookups -= lookups
        if row.lookups <= 0:
            del self._rows[number]
            self._moved.pop(row.node.identity, None)

    def referenced(self, node: Node) -> int | None:
        """The number of a node if the kernel references it."""
        row = self._rows.get(self.number_of(node))
        return row.number if row is not None else None

    def path(self, number: int) -> str:
        """Where an inode was last seen, for logs: ``/Hub/Project/plan.dwg``."""
        parts: list[str] = []
        row = self._rows.get(number)
        while row is not None and row.number != ROOT_INODE and len(parts) < PATH_PARTS_MAX:
            parts.append(row.name)
            row = self._rows.get(row.parent)
        return "/" + "/".join(reversed(parts))
