"""``open_drive``: the one place that joins the parts of a drive."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from dmfs.aps.client import Aps
from dmfs.aps.paging import pages_expected
from dmfs.auth.factory import principal, token_source
from dmfs.auth.token_sources import TokenSource
from dmfs.blocks.cache import BlockCache
from dmfs.blocks.memory_tier import STEP_BYTES
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.blocks.store.block_store import BlockStore
from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.errors import SetupError
from dmfs.fetch.hosts import HostBreakers
from dmfs.fetch.object_client import ObjectClient
from dmfs.fetch.process_fetcher import ProcessFetcher
from dmfs.fetch.thread_fetcher import ThreadFetcher
from dmfs.http.circuit_breaker import CircuitBreaker
from dmfs.http.json_client import JsonClient, open_clients
from dmfs.http.tls import ca_bundle
from dmfs.namespace.listing_store import ListingStore, cache_partition
from dmfs.namespace.listings import Freshness, Listings
from dmfs.namespace.poll_schedule import Periods
from dmfs.namespace.poller import Poller
from dmfs.prefetch.list_ahead import TreePrefetcher
from dmfs.prefetch.open_ahead import SmallFilePrefetcher
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.ratelimit.limits import parse_rates
from dmfs.ratelimit.shared_log import FileRateLog
from dmfs.system.shared_memory import Arena
from dmfs.system.suspend import watch_suspend

log = logging.getLogger(__name__)

_INNER_SHARE = 0.95
"""Work inside a request gives up a little before the request does: the better error wins."""

ARENA_SHARE = 4
"""Address space for each byte of the memory budget, so that pieces of all sizes always fit."""
DRAIN_S = 5.0
"""At the end the disk gets so long for what was fetched: it need not be fetched again."""
OPEN_S = 20.0
"""A disk that is woken up for its first use takes ten; one that hangs must be told of."""
CLOSE_S = 5.0
"""And so long to close its files: a disk that hangs must not keep the drive from ending."""


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
    # a network that is gone is gone for both, and a stream does not ask the other one
    watched = HostBreakers(fetcher, wire.reaches, nursery, on_open=wire.breaker.failed)
    source = ObjectClient(aps, watched, nursery, timeout_s=metadata_s)
    sizes = ObjectSizes(source, store)
    await sizes.load()
    metadata = join_metadata(
        settings, wire, aps, sizes, kept, watched, nursery,
        timeout_s=metadata_s, service_folders=service_folders,
    )  # fmt: skip
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
        elsewhere_bytes=lambda: metadata.listings.knowledge.memory_bytes,
    )
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


def budget_of(settings: Settings) -> RateLimiter:
    """One account for all processes of this client id."""
    ledger = FileRateLog(settings.state_dir, settings.client_id)
    return RateLimiter(parse_rates(settings.rates, settings.rate_window), ledger)


def kept_listings(
    settings: Settings, principal: str, *, service_folders: bool
) -> ListingStore | None:
    """What is on disk for this sign-in of this person (``signin.principal``)."""
    if settings.cache_size == 0:
        return None
    scope = cache_partition(
        settings.api_url,
        settings.client_id,
        settings.profile,
        settings.sign_in,
        settings.x_user_id,
        settings.account_id,
        settings.key_id,
        settings.key_file,
        principal,
        str(service_folders),
    )
    return ListingStore(settings.cache_dir, scope)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a drive needs of it."""

    listings: Listings
    scout: TreePrefetcher
    poller: Poller


def join_metadata(
    settings: Settings,
    wire: JsonClient,
    aps: Aps,
    sizes: ObjectSizes,
    kept: ListingStore | None,
    watched: HostBreakers,
    nursery: trio.Nursery,
    *,
    timeout_s: float,
    service_folders: bool,
) -> Metadata:
    """The parts and the tasks that keep them going; these end with the nursery."""
    breaker: CircuitBreaker = wire.breaker
    listings = Listings(
        aps.children,
        sizes.learn,
        nursery,
        freshness=Freshness(
            ttl=settings.ttl,
            hub_ttl=settings.hub_ttl,
            patience=settings.patience,
            rollup_trust=settings.rollup_trust,
        ),
        timeout_s=timeout_s,
        service_folders=service_folders,
        kept=kept,
        offline=lambda: breaker.is_open,
    )
    periods = Periods(recent=settings.poll, other=max(settings.poll, settings.poll_others))
    poller = Poller(listings, periods, hub_period_s=settings.hub_ttl, calls_for=pages_expected)

    def on_wake(seconds: float) -> None:
        listings.on_suspend(seconds)
        breaker.nudge()
        watched.suspect()

    def on_close() -> None:
        listings.knowledge.reconnected()
        watched.suspect()  # nudged: it looks now instead of some seconds later

    breaker.on_open = watched.suspect
    breaker.on_close = on_close
    nursery.start_soon(breaker.watch, wire.probe)
    nursery.start_soon(watch_suspend, on_wake)
    nursery.start_soon(poller.run)
    return Metadata(
        listings, TreePrefetcher(listings, nursery, at_once=settings.walk_ahead), poller
    )
