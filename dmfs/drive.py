"""The one place where the parts are joined. Floor 3.

Everything true about the drive is true without FUSE: the mount, ``ls``, ``stat`` and ``cat`` are
doors to what ``open_drive`` yields.
"""

from __future__ import annotations

import difflib
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from dmfs.aps.client import Aps
from dmfs.auth.factory import principal, token_source
from dmfs.auth.token_sources import TokenSource
from dmfs.blocks.buffers import STEP_BYTES
from dmfs.blocks.cache import BlockCache
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.blocks.reader import AnyReader, Reader, TextReader
from dmfs.blocks.store.block_store import BlockStore
from dmfs.config import Settings
from dmfs.errors import NotADirectory, NotFoundError, SetupError, UnreachableError
from dmfs.fetch.hosts import HostBreakers
from dmfs.fetch.object_client import ObjectClient
from dmfs.fetch.process_fetcher import ProcessFetcher
from dmfs.fetch.thread_fetcher import ThreadFetcher
from dmfs.http.json_client import JsonClient, open_clients
from dmfs.http.tls import ca_bundle
from dmfs.metadata import budget_of, join_metadata, kept_listings
from dmfs.model import File, Hub, Leaf, Listing, Node, Project, Root, Shortcut
from dmfs.names import printable
from dmfs.namespace.listing_store import ListingStore
from dmfs.namespace.listings import Listings
from dmfs.namespace.poller import Poller
from dmfs.prefetch.list_ahead import TreePrefetcher
from dmfs.prefetch.open_ahead import SmallFilePrefetcher
from dmfs.system.shared_memory import Arena

log = logging.getLogger(__name__)

_INNER_SHARE = 0.95
"""Work inside a request gives up a little before the request does: the better error wins."""

LARGE_FILE_BYTES = 1024 * 1024
"""From here on a process of its own is worth its start (0.1 CPU-s, 10 MiB)."""
ARENA_SHARE = 4
"""Address space for each byte of the memory budget, so that pieces of all sizes always fit."""
DRAIN_S = 5.0
"""At the end the disk gets so long for what was fetched: it need not be fetched again."""
OPEN_S = 20.0
"""A disk that is woken up for its first use takes ten; one that hangs must be told of."""
CLOSE_S = 5.0
"""And so long to close its files: a disk that hangs must not keep the drive from ending."""


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


@asynccontextmanager
async def open_drive(settings: Settings, *, service_folders: bool = False) -> AsyncIterator[Drive]:
    """Join the parts; end all work on the way out. What the body raises comes out bare."""
    bundle = ca_bundle(settings.ca_file)
    store = await _open_store(settings)
    kept = kept_listings(settings, await principal(settings), service_folders=service_folders)
    arena = _arena(settings)
    ranges = ThreadFetcher(ca_bundle=bundle, connections=settings.connections)
    ranges.start()
    failure: Exception | None = None
    try:
        async with open_clients(bundle) as clients, trio.open_nursery() as nursery:
            try:
                wire = JsonClient(settings.api_url, clients, budget_of(settings))
                tokens = await token_source(settings, wire, nursery)
                fetcher = ProcessFetcher(
                    ranges, arena, ca_bundle=bundle, connections=settings.connections
                )
                nursery.start_soon(fetcher.run)
                drive = await _join(
                    settings, wire, tokens, fetcher, arena, store, kept, nursery, service_folders
                )
                try:
                    yield drive
                finally:
                    with trio.move_on_after(DRAIN_S, shield=True):
                        await drive.blocks.drain()
            except Exception as error:  # noqa: BLE001 - raised again below, outside the nursery
                failure = error
            finally:
                nursery.cancel_scope.cancel()
    finally:
        ranges.close()
        if arena is not None:
            arena.close()
        # in a thread that is left behind when the disk hangs: the drive ends all the same
        with trio.move_on_after(CLOSE_S, shield=True):
            await trio.to_thread.run_sync(_close, store, kept, abandon_on_cancel=True)
    if failure is not None:
        raise failure


async def _join(
    settings: Settings,
    wire: JsonClient,
    tokens: TokenSource,
    fetcher: ProcessFetcher,
    arena: Arena | None,
    store: BlockStore | None,
    kept: ListingStore | None,
    nursery: trio.Nursery,
    service_folders: bool,
) -> Drive:
    metadata_s = settings.metadata_timeout * _INNER_SHARE
    aps = Aps(wire, tokens, url_minutes=settings.url_minutes, x_user_id=settings.x_user_id)
    watched = HostBreakers(fetcher, wire.reaches, nursery)
    source = ObjectClient(aps, watched, nursery, timeout_s=metadata_s)
    sizes = ObjectSizes(source, store)
    await sizes.load()
    blocks = BlockCache(
        source,
        store,
        nursery,
        memory_bytes=settings.memory_budget,
        connections=settings.connections,
        connections_per_file=settings.connections_per_file,
        timeout_s=settings.data_timeout * _INNER_SHARE,
        sha1_of=source.sha1_of,
        arena=arena,
    )
    source.etags.on_adopted = blocks.begin_anew
    metadata = join_metadata(
        settings, wire, aps, sizes, kept, watched, nursery,
        timeout_s=metadata_s, service_folders=service_folders,
    )  # fmt: skip
    blocks.share_budget(lambda: metadata.listings.knowledge.memory_bytes)
    warmer = SmallFilePrefetcher(sizes, blocks, nursery)
    return Drive(
        settings, aps, metadata.listings, blocks, sizes, fetcher, warmer,
        metadata.scout, metadata.poller, wire,
    )  # fmt: skip


def _arena(settings: Settings) -> Arena | None:
    """Memory for what is fetched; None where there is no address space: then it is not shared."""
    steps = -(-settings.memory_budget * ARENA_SHARE // STEP_BYTES)
    try:
        return Arena(steps * STEP_BYTES)
    except OSError as error:
        log.info("no memory to share with a fetching process: %s", error)
        return None


async def _open_store(settings: Settings) -> BlockStore | None:
    with trio.move_on_after(OPEN_S):
        return await trio.to_thread.run_sync(_store, settings, abandon_on_cancel=True)
    raise SetupError(
        f"the cache directory {settings.cache_dir} does not answer",
        hint="its disk hangs; choose another one with DMFS_CACHE_DIR",
    )


def _close(store: BlockStore | None, kept: ListingStore | None) -> None:
    try:
        if store is not None:
            store.close()
        if kept is not None:
            kept.close()
    except (OSError, sqlite3.Error) as error:  # of a dead disk; what was not kept is fetched again
        log.debug("the cache was not closed: %s", error)


def _store(settings: Settings) -> BlockStore | None:
    if settings.cache_size == 0:
        return None
    try:
        return BlockStore(
            settings.cache_dir,
            limit_bytes=settings.cache_size,
            free_percent=settings.cache_free_percent,
        )
    except (OSError, sqlite3.Error) as error:
        raise SetupError(
            f"the cache directory {settings.cache_dir} cannot be used: {error}",
            hint="free some space there, or choose another one with DMFS_CACHE_DIR",
        ) from None


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
