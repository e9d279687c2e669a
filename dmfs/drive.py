"""``Drive``: everything that a door may ask of a signed-in drive, with or without a mount."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from dmfs.aps.client import Aps
from dmfs.blocks.cache import BlockCache
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.blocks.reader import AnyReader, Reader, TextReader
from dmfs.config import Settings
from dmfs.errors import NotADirectory, NotFoundError, UnreachableError
from dmfs.fetch.process_fetcher import ProcessFetcher
from dmfs.http.json_client import JsonClient
from dmfs.model import File, Hub, Leaf, Listing, Node, Project, Root, Shortcut
from dmfs.names import printable
from dmfs.namespace.listings import Listings
from dmfs.namespace.poller import Poller
from dmfs.prefetch.list_ahead import TreePrefetcher
from dmfs.prefetch.open_ahead import SmallFilePrefetcher

LARGE_FILE_BYTES = 1024 * 1024
"""From here on a process of its own is worth its start (0.1 CPU-s, 10 MiB)."""


@dataclass(slots=True, eq=False)
class Drive:
    """A signed-in drive, without a mount."""

    settings: Settings
    aps: Aps
    listings: Listings
    blocks: BlockCache
    sizes: ObjectSizes
    fetcher: ProcessFetcher
    warmer: SmallFilePrefetcher
    scout: TreePrefetcher
    poller: Poller
    wire: JsonClient

    async def resolve(self, path: str) -> Node:
        """The node at a path of the whole drive; NotFoundError tells which part is missing."""
        return await resolve(self.listings, path)

    def size_of(self, leaf: Leaf) -> int:
        """What a read will deliver, in bytes, as far as is known. Never waits."""
        return self.sizes.of(leaf) if isinstance(leaf, File) else leaf.size_bytes

    async def open(self, leaf: Leaf) -> AnyReader:
        """A reader pinned to this version. One signing call if nobody signed it yet; AccessError
        if it may be listed but not read."""
        if isinstance(leaf, Shortcut):
            return TextReader(leaf)
        if self.sizes.of(leaf) >= LARGE_FILE_BYTES:
            self.fetcher.prepare()
        try:
            size_bytes = await self.sizes.authoritative(leaf)
        except UnreachableError:
            if not self.wire.breaker.is_open:
                raise
            # Offline: what is cached can be read. A size that differs from the listing's was
            # learned before any byte of it was cached.
            size_bytes = self.sizes.of(leaf)
        opened = await self.blocks.open(leaf, size_bytes)
        return Reader(leaf, opened, self.blocks, self.settings.max_window)


async def resolve(listings: Listings, path: str) -> Node:
    """The node at a path in the whole drive (``/Hub/Project/folder/file``).

    NotFoundError says which part is not there and what is there instead.
    """
    node: Node = Root()
    seen = ""
    for part in [piece for piece in path.split("/") if piece and piece != "."]:
        if isinstance(node, File | Shortcut):
            raise NotADirectory(f"{seen!r} is a file, so there is no {part!r} in it")
        listing = await listings.get(node)
        child = listing.entries.get(part)
        if child is None:
            raise NotFoundError(
                f"there is no {printable(part)!r} in {seen or '/'!r}", hint=_instead(part, listing)
            )
        node = child
        seen += f"/{part}"
    return node


def _instead(part: str, listing: Listing) -> str:
    kind = {Root: "hubs", Hub: "projects", Project: "folders"}.get(
        type(listing.directory), "entries"
    )
    names = list(listing.names)
    if not names:
        return f"it is empty: no {kind}"
    close = difflib.get_close_matches(part, names, n=3, cutoff=0.5)
    shown = close or names[:5]
    text = ", ".join(repr(printable(name)) for name in shown)
    more = len(names) - len(shown)
    return (
        f"did you mean {text}?"
        if close
        else f"there is: {text}" + (f" and {more} more" if more > 0 else "")
    )
