"""What a drive is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dmfs.aps.client import Aps
from dmfs.blocks.cache import BlockCache
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.blocks.store.block_store import BlockStore
from dmfs.config import Settings
from dmfs.exports.exports import Exports
from dmfs.fetch.hosts import HostBreakers
from dmfs.fetch.process_fetcher import ProcessFetcher
from dmfs.http.json_client import JsonClient
from dmfs.namespace.listings import Listings
from dmfs.namespace.poller import Poller
from dmfs.pins.pins import Pins
from dmfs.prefetch.list_ahead import TreePrefetcher
from dmfs.prefetch.open_ahead import SmallFilePrefetcher
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.telemetry.activity import Activity
from dmfs.thumbnails.thumbnails import Thumbnails


class SignInState(Protocol):
    """Who is signed in, and whether that works."""

    @property
    def person(self) -> str: ...

    @property
    def signed_out_since_s(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What ``assembly.open_drive`` joins. Doors never touch it: they call the drive's verbs."""

    settings: Settings
    aps: Aps
    listings: Listings
    blocks: BlockCache
    sizes: ObjectSizes
    fetcher: ProcessFetcher
    file_prefetcher: SmallFilePrefetcher
    tree_prefetcher: TreePrefetcher
    poller: Poller
    client: JsonClient
    hosts: HostBreakers
    limiter: RateLimiter
    activity: Activity
    sign_in: SignInState
    block_store: BlockStore | None
    pins: Pins | None = None
    exports: Exports | None = None
    thumbnails: Thumbnails | None = None
