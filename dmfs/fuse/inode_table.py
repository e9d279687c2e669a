"""The namespace: inode table, lookup, list, forget. Floor 3.

Holds a row for what the kernel holds and nothing else; numbers are derived from identities, so
they are the same on every mount without being stored anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from dmfs.errors import GoneError, NotADirectory
from dmfs.model import Child, Directory, File, Listing, Node, Shortcut
from dmfs.names import inode_number
from dmfs.namespace.listings import Listings

ROOT_INODE = 1


@dataclass(slots=True, eq=False)
class Inode:
    """What one inode number stands for. ``lookups`` is the kernel's count; at 0 the row goes."""

    number: int
    node: Node
    parent: int
    name: str
    lookups: int = 0
    reported_size: int = -1
    """What the kernel believes of a file's size; another one learned since is told at open."""


class InodeTable:
    """The drive below one directory, its root."""

    def __init__(self, root: Directory, listings: Listings) -> None:
        self._listings = listings
        # All changes happen between awaits; numbers and rows move together.
        self._rows: dict[int, Inode] = {ROOT_INODE: Inode(ROOT_INODE, root, ROOT_INODE, "", 1)}
        # Only of nodes whose number is not the one that follows from their identity.
        self._numbers: dict[str, int] = {root.identity: ROOT_INODE}

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, number: int) -> Inode:
        """The row of an inode that the kernel holds. GoneError for one it cannot hold."""
        row = self._rows.get(number)
        if row is None:
            raise GoneError(f"inode {number} is not known")
        return row

    def directory(self, number: int) -> Directory:
        node = self.row(number).node
        if isinstance(node, File | Shortcut):
            raise NotADirectory(f"{node.name!r} is not a directory")
        return node

    async def list(self, number: int) -> Listing:
        """All entries; the only step that may touch the network."""
        return await self._listings.get(self.directory(number))

    async def lookup(self, parent: int, name: str) -> Child | None:
        """The child of that name, or None: authoritative, from the parent's listing."""
        return (await self.list(parent)).entries.get(name)

    def known(self, number: int) -> Listing | None:
        """The last listing of a directory; never waits."""
        return self._listings.known(self.directory(number))

    def fresh_for(self, number: int) -> float:
        """Seconds for which names in this directory may be believed."""
        if number not in self._rows:
            return 0.0  # forgotten, as a folder moved away from above an open file may be
        return self._listings.fresh_for(self.directory(number))

    def number_of(self, node: Node) -> int:
        """The inode number of a node, held or not."""
        identity = node.identity
        moved = self._numbers.get(identity)
        if moved is not None:
            return moved
        number = inode_number(identity)
        row = self._rows.get(number)
        if row is None or row.node is node or row.node.identity == identity:
            return number
        while number in self._rows:  # another identity has it: the next free one
            number += 1
        return number

    def hold(self, parent: int, name: str, node: Child) -> Inode:
        """Count one lookup of a child that is being handed to the kernel."""
        number = self.number_of(node)
        row = self._rows.get(number)
        if row is None:
            row = self._rows[number] = Inode(number, node, parent, name)
            if number != inode_number(node.identity):
                self._numbers[node.identity] = number
        row.node, row.parent, row.name = node, parent, name
        row.lookups += 1
        return row

    def forget(self, number: int, lookups: int) -> None:
        """The kernel lets go; never raises."""
        row = self._rows.get(number)
        if row is None or number == ROOT_INODE:
            return
        row.lookups -= lookups
        if row.lookups <= 0:
            del self._rows[number]
            self._numbers.pop(row.node.identity, None)

    def held(self, node: Node) -> int | None:
        """The number of a node if the kernel holds it."""
        row = self._rows.get(self.number_of(node))
        return row.number if row is not None else None

    def path(self, number: int) -> str:
        """Where an inode was last seen, for logs: ``/Hub/Project/plan.dwg``."""
        parts: list[str] = []
        row = self._rows.get(number)
        while row is not None and row.number != ROOT_INODE and len(parts) < 64:
            parts.append(row.name)
            row = self._rows.get(row.parent)
        return "/" + "/".join(reversed(parts))
