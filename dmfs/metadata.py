"""The metadata plane, joined: who may ask how often, what is kept, what is asked ahead. Floor 3."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from dmfs.aps.client import Aps
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.config import Settings
from dmfs.fetch.hosts import HostBreakers
from dmfs.http.circuit_breaker import CircuitBreaker
from dmfs.http.json_client import JsonClient
from dmfs.namespace.listing_store import ListingStore, cache_partition
from dmfs.namespace.listings import Freshness, Listings
from dmfs.namespace.poll_schedule import Periods
from dmfs.namespace.poller import Poller
from dmfs.prefetch.list_ahead import TreePrefetcher
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.ratelimit.limits import parse_rates
from dmfs.ratelimit.shared_log import FileRateLog
from dmfs.system.suspend import watch_suspend


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
    poller = Poller(listings, periods, hub_period_s=settings.hub_ttl)

    def on_wake(seconds: float) -> None:
        listings.on_suspend(seconds)
        breaker.nudge()
        watched.suspect()

    def on_close() -> None:
        listings.knowledge.reconnected()
        watched.suspect()  # nudged: it looks now instead of some seconds later

    # a network that is gone is gone for both, and a stream does not ask the other one
    breaker.on_open, watched.on_open = watched.suspect, breaker.failed
    breaker.on_close = on_close
    nursery.start_soon(breaker.watch, wire.probe)
    nursery.start_soon(watch_suspend, on_wake)
    nursery.start_soon(poller.run)
    return Metadata(
        listings, TreePrefetcher(listings, nursery, at_once=settings.walk_ahead), poller
    )
