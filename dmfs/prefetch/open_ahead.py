"""Signs and fetches the small files that a program reads next when it reads a series.

Speculation: limited in number and size, dropped if it cannot start at once, silent when it fails;
a program that opens the file makes its own request and gets the real answer.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import cachetools
import trio

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.extents import CachedObject
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.errors import DriveError
from dmfs.model import File, Listing
from dmfs.prefetch.file_series import MAX_WINDOW, REACH, Ahead, SeriesPlanner
from dmfs.prefetch.listing_orders import READS_BEFORE, Order, orders_of
from dmfs.spans import MIB, Span, blocks_of
from dmfs.system.concurrency import in_thread

log = logging.getLogger(__name__)

FILE_MAX_BYTES = MIB
"""A larger file is worth a round trip of its own."""
AT_ONCE = MAX_WINDOW
"""Files signed or fetched at a time: one window."""
LOOKUP_FILES = 96
"""Files looked up on disk at once: two windows. One lookup a file would cost a thread between its
signing and its bytes (0.2 to 0.3 ms of CPU a file)."""
LOOKUP_TTL_S = 4.0
"""A little shorter than the disk tier caches the result."""
DIRECTORIES = 64
DIRECTORIES_IN_ORDER = 4
"""Directories whose orders besides that of names are kept: 24 bytes an entry."""
ENTRIES_ON_LOOP = 500
"""Up to so many entries are sorted at once, in a millisecond; more in a thread."""


class _Recent:
    """The last reads of one listing, and the order that they follow if it is not that of names."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.indices: deque[int] = deque(maxlen=READS_BEFORE)
        self.order: Order | None = None

    def by_name(self) -> bool:
        """Whether the reads may follow the names; unknown yet counts as so."""
        full = len(self.indices) == READS_BEFORE
        return not full or all(abs(b - a) <= REACH for a, b in pairwise(self.indices))


class SmallFilePrefetcher:
    """Recognises series by the first reads of files; fetches the files that come next."""

    def __init__(self, sizes: ObjectSizes, blocks: BlockCache, nursery: trio.Nursery) -> None:
        self._sizes = sizes
        self._blocks = blocks
        self._nursery = nursery
        self._planner = SeriesPlanner()
        self._recent: cachetools.LRUCache[str, _Recent] = cachetools.LRUCache(DIRECTORIES)
        self._orders: cachetools.LRUCache[str, tuple[Listing, list[Order]]] = cachetools.LRUCache(
            DIRECTORIES_IN_ORDER
        )
        self._signing: set[str] = set()
        self._under_way: set[str] = set()
        self._lookups: cachetools.TTLCache[str, range] = cachetools.TTLCache(
            DIRECTORIES, LOOKUP_TTL_S, timer=trio.current_time
        )
        """By directory and order: the positions of the last lookup."""
        self._sorting = self._started = self._failures = 0

    def on_first_read(self, listing: Listing, name: str) -> None:
        """A program begins to read a file of ``listing``. Returns at once."""
        index = bisect_left(listing.names, name)
        if index >= len(listing.names) or listing.names[index] != name:
            return
        identity = listing.directory.identity
        recent = self._recent.get(identity)
        if recent is None or recent.listing is not listing:
            recent = self._recent[identity] = _Recent(listing)
        recent.indices.append(index)
        order = self._order(recent)
        if order is None:
            count = len(listing.names)
            ahead = self._planner.on_read(identity, index, count)
            self._prepare(listing, identity, range(count), ahead)
            return
        key = f"{order.name} {identity}"
        indices = recent.indices if recent.order is not order else [index]
        recent.order = order
        for each in indices:  # those before it went by name
            ahead = self._planner.on_read(key, order.position(each), len(order.sequence))
            self._prepare(listing, key, order.sequence, ahead)

    def gauges(self) -> dict[str, int]:
        """Counts since the start, and the files under way now."""
        return {
            "prefetch.files_started": self._started,
            "prefetch.files_failed": self._failures,
            "prefetch.files_under_way": len(self._under_way),
        }

    def _order(self, recent: _Recent) -> Order | None:
        """The order that the last reads follow; None: that of names, or none that is known."""
        order = recent.order
        if order is not None:
            before, now = (order.position(each) for each in list(recent.indices)[-2:])
            if now >= 0 and abs(now - before) <= REACH:
                return order
            recent.order = None
        if recent.by_name():
            return None
        identity = recent.listing.directory.identity
        known = self._orders.get(identity)
        if known is None or known[0] is not recent.listing:
            if len(recent.listing.names) > ENTRIES_ON_LOOP:
                self._orders[identity] = recent.listing, []  # until the thread has them
                self._nursery.start_soon(self._sort, recent.listing)
                return None
            known = self._orders[identity] = recent.listing, orders_of(recent.listing)
        return next((each for each in known[1] if each.follows(recent.indices)), None)

    def is_sorting(self) -> bool:
        """Whether a thread sorts a large listing now."""
        return self._sorting > 0

    async def _sort(self, listing: Listing) -> None:
        self._sorting += 1
        try:
            orders = await in_thread(partial(orders_of, listing))
            self._orders[listing.directory.identity] = listing, orders
        except Exception as error:  # noqa: BLE001 - speculation
            log.debug("not sorted: %s", error)
        finally:
            self._sorting -= 1

    def _prepare(self, listing: Listing, key: str, sequence: Sequence[int], ahead: Ahead) -> None:
        if ahead.sign:
            self._look_up(listing, key, sequence, ahead.sign)
        for position in ahead.fetch:
            file = _file_at(listing, sequence[position])
            if file is not None and self._should_fetch(file):
                self._under_way.add(file.storage_id)
                self._started += 1
                self._nursery.start_soon(self._fetch, file)
        for position in ahead.sign:
            file = _file_at(listing, sequence[position])
            if file is not None and self._should_fetch(file) and self._should_sign(file):
                self._signing.add(file.storage_id)
                self._nursery.start_soon(self._sign, file)

    def _look_up(self, listing: Listing, key: str, sequence: Sequence[int], ahead: range) -> None:
        """Look up on disk these files and the next ones, unless a lookup just covered them."""
        if ahead[-1] in self._lookups.get(key, range(0)):
            return
        end = len(sequence) if ahead.step > 0 else -1
        following = range(ahead[0], end, ahead.step)[:LOOKUP_FILES]
        self._lookups[key] = following
        files = [_file_at(listing, sequence[each]) for each in following]
        storage_ids = [file.storage_id for file in files if file is not None]
        self._nursery.start_soon(self._blocks.look_up, storage_ids)

    def _should_fetch(self, file: File) -> bool:
        size_bytes = self._sizes.of(file)
        return (
            0 < size_bytes <= FILE_MAX_BYTES
            and file.storage_id not in self._under_way
            and len(self._under_way) < AT_ONCE
        )

    def _should_sign(self, file: File) -> bool:
        return file.storage_id not in self._signing and len(self._signing) < AT_ONCE

    async def _sign(self, file: File) -> None:
        try:
            self._blocks.close(await self._readable(file))
        except DriveError as error:
            log.debug("not prepared: %s", error.message)
        except Exception:
            log.exception("preparing %r failed", file.name)
        finally:
            self._signing.discard(file.storage_id)

    async def _fetch(self, file: File) -> None:
        try:
            opened = await self._readable(file)
            try:
                self._blocks.start(opened, Span(0, 0), Span(0, opened.size_bytes))
            finally:
                self._blocks.close(opened)
        except DriveError as error:
            self._failures += 1
            log.debug("not prepared: %s", error.message)
        except Exception:
            self._failures += 1
            log.exception("preparing %r failed", file.name)
        finally:
            self._under_way.discard(file.storage_id)

    async def _readable(self, file: File) -> CachedObject:
        """The file's object: signed, or all at rest where its reader needs no signing either."""
        if self._sizes.may_wait(file):
            opened = await self._blocks.open(file, self._sizes.of(file))
            if all(map(opened.on_disk, range(*blocks_of(Span(0, opened.size_bytes))))):
                return opened
            self._blocks.close(opened)
        return await self._blocks.open(file, await self._sizes.authoritative(file))


def _file_at(listing: Listing, index: int) -> File | None:
    node = listing.entries[listing.names[index]]
    return node if isinstance(node, File) else None
