"""What an NFS server and its clients keep for months, and how it is made. Pure.

A *handle* is an inode number and a generation. Both follow from the identity, so a handle means the
same thing in each process of each mount; together they have 95 bits, and the handle of one file
never becomes that of another by chance.

A *cookie* is a place in a directory. A server opens the directory anew for each piece that a client
reads of it: a place that counted entries would skip one for each that went away in between.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator

from dmfs.model import Child, File, Listing, Node
from dmfs.names import as_bytes, inode_number

DOTS = 2
"""``.`` and ``..`` are at the cookies 1 and 2."""
_COOKIE_BITS = 62
"""An off_t has a sign."""


def generation_of(identity: str) -> int:
    """32 bits that are never 0, and not those of the inode number."""
    text = identity.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(text, digest_size=4, person=b"generation").digest()
    return int.from_bytes(digest, "big") or 1


def item_hash(node: Node) -> int:
    """Of what all versions of a file share; 0 for what is no file."""
    return inode_number(f"item {node.item_id}") if isinstance(node, File) else 0


def named_by(listing: Listing, number: int, item: int) -> tuple[str, Child] | None:
    """The entry whose identity has this inode number, else the file of that ``item``, with its
    name; None if there is neither."""
    versions = None
    for name, child in listing.entries.items():
        if inode_number(child.identity) == number:
            return name, child
        if item and item_hash(child) == item:
            versions = name, child
    return versions


class Cookies:
    """The entries of a listing in the order of their cookies: that of a hash of their names."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        ranked = sorted((_cookie(name), name) for name in listing.names)
        self._cookies: list[int] = []
        self._names = [name for _, name in ranked]
        last = DOTS
        for cookie, _ in ranked:
            last = max(cookie, last + 1)
            self._cookies.append(last)

    def after(self, cookie: int) -> Iterator[tuple[int, str]]:
        """Cookies and names of the entries behind a place."""
        for index in range(bisect_right(self._cookies, cookie), len(self._names)):
            yield self._cookies[index], self._names[index]


def _cookie(name: str) -> int:
    digest = hashlib.blake2b(as_bytes(name), digest_size=8).digest()
    return max(int.from_bytes(digest, "big") >> (64 - _COOKIE_BITS), DOTS + 1)
