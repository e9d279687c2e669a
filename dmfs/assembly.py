"""``open_drive``: the one place that joins the parts of a drive."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

from dmfs.aps.client import Aps
from dmfs.aps.contents import Contents
from dmfs.aps.paging import pages_expected
from dmfs.auth.factory import needs_person, principal, token_source
from dmfs.auth.token_sources import ServiceAccount, TokenSource, TwoLegged
from dmfs.auth.user_session import UserSession
from dmfs.blocks.cache import BlockCache
from dmfs.blocks.memory_tier import STEP_BYTES
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.blocks.store.block_store import BlockStore
from dmfs.config import Settings
from dmfs.drive import Drive, Parts
from dmfs.errors import SetupError
from dmfs.exports.opening import open_exports
from dmfs.exports.standing import StandingOrders
from dmfs.fetch.hosts import HostBreakers
from dmfs.fetch.object_client import ObjectClient
from dmfs.fetch.process_fetcher import ProcessFetcher
from dmfs.fetch.stalls import Stalls
from dmfs.fetch.thread_fetcher import ThreadFetcher
from dmfs.http.client import HttpClient
from dmfs.http.engines import open_engines
from dmfs.http.json_client import JsonClient
from dmfs.http.probes import reaches
from dmfs.http.tls import ca_bundle
from dmfs.namespace.listing_store import ListingStore
from dmfs.namespace.listings import Freshness, Listings
from dmfs.namespace.page_store import PageStore
from dmfs.namespace.poll_schedule import Periods
from dmfs.namespace.poller import Poller
from dmfs.namespace.stored.partition import listing_scope, scope_of
from dmfs.neighbours.programs import kinds
from dmfs.pins.keeper import Keeper
from dmfs.pins.keeper_lock import KeeperLock
from dmfs.pins.pin_store import PinStore
from dmfs.pins.pins import Pins, Tools
from dmfs.prefetch.list_ahead import TreePrefetcher
from dmfs.prefetch.open_ahead import SmallFilePrefetcher
from dmfs.quota import open_limiter
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.system.concurrency import bare_errors, in_thread
from dmfs.system.shared_memory import Arena
from dmfs.system.suspend import watch_suspend
from dmfs.telemetry.activity import Activity
from dmfs.telemetry.processes import Processes
from dmfs.thumbnails.opening import open_thumbnails

if TYPE_CHECKING:
    from dmfs.write.opening import Writes

log = logging.getLogger(__name__)

INNER_SHARE = 0.95
"""Work inside a request ends a little before the request's deadline: the better error wins."""
ARENA_SHARE = 4
"""Address space for each byte of the memory budget, so that pieces of all sizes always fit."""
DRAIN_S = 1.0
"""At the end the disk gets so long to take what was fetched: it need not be fetched again. A person
waits for it."""
OPEN_S = 20.0
"""The first use of a sleeping disk takes ten seconds; a disk that hangs must not hang the start."""
PROBE_S = 2.5
"""Where a pinned file is between two versions, a start without a network finds that out first."""
CLOSE_S = 1.0
"""Closing files gets so long: a disk that hangs must not keep the drive from ending."""


@dataclass(frozen=True, slots=True)
class _Ground:
    """What stands before the drive is joined, and is closed after it."""

    settings: Settings
    service_folders: bool
    activity: Activity
    limiter: RateLimiter
    client: JsonClient
    probes: HttpClient
    tokens: UserSession | TwoLegged | ServiceAccount
    fetcher: ProcessFetcher
    arena: Arena | None
    block_store: BlockStore | None
    listing_store: ListingStore | None
    scope: str
    """Of this sign-in, among all that share the state and the cache."""
    keeper: bool
    nursery: trio.Nursery


@asynccontextmanager
async def open_drive(
    settings: Settings, *, service_folders: bool = False, keeper: bool = False,
    writes: Writes | None = None,
) -> AsyncIterator[Drive]:  # fmt: skip
    """Join the parts; end all work on the way out. An error of the body comes out bare. ``keeper``:
    see to what is pinned, for as long as the drive lives. ``writes``: it can be changed."""
    bundle = ca_bundle(settings.ca_file)
    block_store = await _open_block_store(settings)
    who = await principal(settings)
    scope = scope_of(settings, who)
    whose = listing_scope(settings, who, service_folders=service_folders)
    listing_store = _listing_store(settings, whose)
    arena = _arena(settings)
    small_fetcher = ThreadFetcher(ca_bundle=bundle, connections=settings.connections)
    small_fetcher.start()
    hurry = False
    try:
        with bare_errors():
            async with open_engines(bundle) as engines, trio.open_nursery() as nursery:
                limiter = await open_limiter(settings, nursery)
                activity = Activity(Processes(kinds(settings)))
                client = JsonClient(settings.api_url, engines, limiter, on_call=activity.on_call)
                fetcher = ProcessFetcher(
                    small_fetcher, arena, ca_bundle=bundle, connections=settings.connections
                )
                tokens = await token_source(settings, client, nursery, to_write=writes is not None)
                drive = await _join(
                    _Ground(
                        settings, service_folders, activity, limiter, client, engines.others,
                        tokens, fetcher, arena, block_store, listing_store, scope, keeper, nursery,
                    )
                )  # fmt: skip
                try:
                    async with _writing(drive, tokens, scope, bundle, writes):
                        drive.show_exports()
                        yield drive
                finally:
                    with trio.CancelScope(shield=True):
                        hurry = not await drive.parts.blocks.drain(DRAIN_S)
                    nursery.cancel_scope.cancel()
    finally:
        small_fetcher.close()
        if arena is not None:
            arena.close()
        # in a thread that is left behind when the disk hangs: the drive ends all the same
        with trio.move_on_after(CLOSE_S, shield=True):
            try:
                await in_thread(partial(_close, block_store, listing_store, hurry=hurry))
            except OSError as error:  # no thread: nothing is lost, it is as after a kill
                log.info("the cache was not closed: %s", error)


async def _join(ground: _Ground) -> Drive:
    """The two planes, and the tasks that keep them going; these end with the nursery."""
    settings, client, nursery = ground.settings, ground.client, ground.nursery
    metadata_s = settings.metadata_timeout * INNER_SHARE
    store = ground.listing_store
    aps = Aps(
        client, ground.tokens, url_minutes=settings.url_minutes, x_user_id=settings.x_user_id,
        backing=None if store is None else PageStore(store, Contents),
    )  # fmt: skip
    hosts, objects = _byte_plane(ground, aps)
    sizes = ObjectSizes(objects, ground.block_store)
    await sizes.load()
    listings = _listings(ground, aps, sizes, metadata_s)
    periods = Periods(recent=settings.poll, other=max(settings.poll, settings.poll_others))
    poller = Poller(listings, periods, hub_period_s=settings.hub_ttl, calls_for=pages_expected)
    blocks = _blocks(ground, objects, elsewhere_bytes=lambda: listings.cache.memory_bytes)
    _connect(client, listings, hosts, nursery)
    nursery.start_soon(ground.fetcher.run)
    nursery.start_soon(poller.run)
    exports = await open_exports(
        settings, ground.scope, client, ground.tokens, listings, blocks, sizes,
        nursery if ground.keeper else None,
    )  # fmt: skip
    pins = await _pins(ground, Tools(
        listings, store, blocks, sizes, poller, aps.item, lambda: client.breaker.is_open,
        lambda: client.breaker.forced, StandingOrders(exports, nursery),
    ))  # fmt: skip
    thumbnails = open_thumbnails(settings, ground.scope, aps, client.breaker, nursery)
    file_prefetcher = SmallFilePrefetcher(sizes, blocks, nursery)
    tree_prefetcher = TreePrefetcher(listings, nursery, at_once=settings.walk_ahead)
    return Drive(
        Parts(
            settings=settings, aps=aps, listings=listings, blocks=blocks, sizes=sizes,
            fetcher=ground.fetcher,
            file_prefetcher=file_prefetcher,
            tree_prefetcher=tree_prefetcher,
            poller=poller,
            client=client,
            hosts=hosts,
            limiter=ground.limiter,
            activity=ground.activity,
            sign_in=ground.tokens,
            block_store=ground.block_store,
            pins=pins, exports=exports, thumbnails=thumbnails,
        ),
        [
            blocks.gauges, objects.gauges, ground.fetcher.gauges, listings.gauges, poller.gauges,
            file_prefetcher.gauges, tree_prefetcher.gauges, client.gauges, ground.limiter.gauges,
            thumbnails.gauges,
        ],
    )  # fmt: skip


@asynccontextmanager
async def _writing(
    drive: Drive, tokens: TokenSource, scope: str, bundle: str, writes: Writes | None
) -> AsyncIterator[None]:
    """The drive's ``writing`` during the body, if it is to have any."""
    if writes is None:
        yield
        return
    drive.parts.listings.views.written_to = True
    # 60 ms of each start: for drives that are written to alone
    from dmfs.write.opening import Around, open_writing  # noqa: PLC0415

    parts = drive.parts
    around = Around(
        parts.listings, drive.open, drive.real_size, parts.client, tokens, bundle,
        on_event=lambda kind, fields: parts.activity.publish(kind, **fields),
        add_gauges=drive.add_gauges, path_of=drive.known_path,
        somebody_reads=lambda: parts.blocks.is_fetching,
        person=lambda: parts.sign_in.person,
        owner=scope,
    )  # fmt: skip
    async with open_writing(drive.settings, writes, around) as drive.writing:
        yield


async def _pins(ground: _Ground, tools: Tools) -> Pins:
    """What is pinned is known before the first name is shown: with the network away it decides
    what the name means."""
    client, state = ground.client, ground.settings.state_dir
    lock = KeeperLock(state / f"keeper-{ground.scope}.lock")
    pins = Pins(PinStore(state), ground.scope, tools)
    pins.keeper = Keeper(pins, lock, ground.nursery)
    client.breaker.subscribe(on_open=pins.on_reach, on_close=pins.on_reach)
    await pins.refresh()
    if pins.has_two_versions() and not await client.probe(PROBE_S):
        is_open = trio.Event()
        client.breaker.subscribe(on_open=is_open.set)
        client.breaker.failed()
        with trio.move_on_after(PROBE_S):
            await is_open.wait()
    if ground.keeper:
        pins.keeper.start()
    return pins


def _blocks(
    ground: _Ground, objects: ObjectClient, *, elsewhere_bytes: Callable[[], int]
) -> BlockCache:
    settings = ground.settings
    return BlockCache(
        objects,
        ground.block_store,
        ground.nursery,
        memory_bytes=settings.memory_budget,
        connections=settings.connections,
        connections_per_file=settings.connections_per_file,
        timeout_s=settings.data_timeout * INNER_SHARE,
        sha1_of=objects.sha1_of,
        check=objects.check,
        arena=ground.arena,
        elsewhere_bytes=elsewhere_bytes,
    )


def _byte_plane(ground: _Ground, aps: Aps) -> tuple[HostBreakers, ObjectClient]:
    """Where bytes come from, and what is known of its hosts."""
    settings, nursery = ground.settings, ground.nursery
    # Probes have two connections of their own: none waits behind 48 calls to an API that is gone.
    # A network that is gone is gone for both breakers, and a stream makes no API call.
    reach, on_open = partial(reaches, ground.probes), ground.client.breaker.failed
    hosts = HostBreakers(ground.fetcher, reach, nursery, on_open=on_open)
    data_s = settings.data_timeout * INNER_SHARE
    stalls = Stalls(nursery, data_s, suspect=hosts.silent, is_away=hosts.is_away)
    nursery.start_soon(stalls.run)
    signing_s = settings.metadata_timeout * INNER_SHARE
    return hosts, ObjectClient(aps, hosts, nursery, timeout_s=signing_s, stalls=stalls)


def _listings(ground: _Ground, aps: Aps, sizes: ObjectSizes, timeout_s: float) -> Listings:
    settings, breaker = ground.settings, ground.client.breaker
    return Listings(
        aps.children,
        sizes.learn,
        ground.nursery,
        freshness=Freshness(
            ttl=settings.ttl,
            hub_ttl=settings.hub_ttl,
            patience=settings.patience,
            rollup_trust=settings.rollup_trust,
        ),
        timeout_s=timeout_s,
        service_folders=ground.service_folders,
        store=ground.listing_store,
        offline=lambda: breaker.is_open,
    )


def _connect(
    client: JsonClient, listings: Listings, hosts: HostBreakers, nursery: trio.Nursery
) -> None:
    """What one part learns of the network and of sleep, the others learn too."""
    breaker = client.breaker

    def on_close() -> None:
        listings.cache.end_cooldowns()
        hosts.suspect()  # they probe now instead of some seconds later

    def on_wake(slept_s: float) -> None:
        listings.cache.on_suspend(slept_s)
        breaker.nudge()
        hosts.suspect()

    breaker.subscribe(on_open=hosts.suspect, on_close=on_close)
    nursery.start_soon(breaker.watch, client.probe)
    nursery.start_soon(client.run)
    nursery.start_soon(watch_suspend, on_wake)


async def owner_of_drafts(settings: Settings) -> str | None:
    """Whose drafts a drive that is opened now would see; None where nobody is signed in."""
    who = await principal(settings)
    return scope_of(settings, who) if who or not await needs_person(settings) else None


def _listing_store(settings: Settings, partition: str) -> ListingStore | None:
    """Listings on disk."""
    return None if settings.cache_size == 0 else ListingStore(settings.cache_dir, partition)


def _arena(settings: Settings) -> Arena | None:
    """Memory for what is fetched; None where there is no address space: then it is not shared."""
    steps = -(-settings.memory_budget * ARENA_SHARE // STEP_BYTES)
    try:
        return Arena(steps * STEP_BYTES)
    except OSError as error:
        log.info("no memory to share with a fetching process: %s", error)
        return None


async def _open_block_store(settings: Settings) -> BlockStore | None:
    with trio.move_on_after(OPEN_S):
        return await trio.to_thread.run_sync(_block_store, settings, abandon_on_cancel=True)
    raise SetupError(
        f"the cache directory {settings.cache_dir} does not answer",
        hint="its disk hangs; choose another one with DMFS_CACHE_DIR",
    )


def _block_store(settings: Settings) -> BlockStore | None:
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


def _close(
    block_store: BlockStore | None, listing_store: ListingStore | None, *, hurry: bool
) -> None:
    closes: list[Callable[[], None]] = []
    if block_store is not None:
        closes.append(partial(block_store.close, hurry=hurry))
    if listing_store is not None:
        closes.append(listing_store.close)
    for close in closes:
        try:
            close()
        except (OSError, sqlite3.Error) as error:  # a dead disk: what it did not take is lost
            log.debug("the cache was not closed: %s", error)
