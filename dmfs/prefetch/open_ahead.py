"""Signs and fetches the small files that a program opens next when it reads a series.

Speculation: limited in number and size, dropped if it cannot start at once, silent when it fails;
a program that opens the file makes its own request and gets the real answer.
"""

from __future__ import annotations

import logging
from bisect import bisect_left

import cachetools
import trio

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.errors import DriveError
from dmfs.model import File, Listing
from dmfs.prefetch.file_series import MAX_WINDOW, SeriesPlanner
from dmfs.spans import MIB, Span

log = logging.getLogger(__name__)

FILE_MAX_BYTES = MIB
"""A larger file is worth a round trip of its own."""
AT_ONCE = MAX_WINDOW
"""Files fetched at a time: one window."""
LOOKUP_FILES = 96
"""Files looked up on disk at once: two windows. One lookup a file would cost a thread between its
signing and its bytes (0.2 to 0.3 ms of CPU a file)."""
LOOKUP_TTL_S = 4.0
"""A little shorter than the disk tier caches the result."""
DIRECTORIES = 64


class SmallFilePrefetcher:
    """Recognises series by the opens of files; fetches the files that come next."""

    def __init__(self, sizes: ObjectSizes, blocks: BlockCache, nursery: trio.Nursery) -> None:
        self._sizes = sizes
        self._blocks = blocks
        self._nursery = nursery
        self._planner = SeriesPlanner()
        self._under_way: set[str] = set()
        self._lookups: cachetools.TTLCache[str, range] = cachetools.TTLCache(
            DIRECTORIES, LOOKUP_TTL_S, timer=trio.current_time
        )
        """By directory: the indices of the last lookup."""
        self._started = self._failures = 0

    def on_first_read(self, listing: Listing, name: str) -> None:
        """A program begins to read a file of ``listing``. Returns at once."""
        index = bisect_left(listing.names, name)
        if index >= len(listing.names) or listing.names[index] != name:
            return
        ahead = self._planner.on_open(listing.directory.identity, index, len(listing.names))
        if ahead:
            self._look_up(listing, ahead)
        for each in ahead:
            node = listing.entries[listing.names[each]]
            if isinstance(node, File) and self._should_fetch(node):
                self._under_way.add(node.storage_id)
                self._started += 1
                self._nursery.start_soon(self._fetch, node)

    def gauges(self) -> dict[str, int]:
        """Counts since the start, and the files under way now."""
        return {
            "prefetch.files_started": self._started,
            "prefetch.files_failed": self._failures,
            "prefetch.files_under_way": len(self._under_way),
        }

    def _look_up(self, listing: Listing, ahead: range) -> None:
        """Look up on disk these files and the next ones, unless a lookup just covered them."""
        directory = listing.directory.identity
        if ahead[-1] in self._lookups.get(directory, range(0)):
            return
        end = len(listing.names) if ahead.step > 0 else -1
        following = range(ahead[0], end, ahead.step)[:LOOKUP_FILES]
        self._lookups[directory] = following
        nodes = [listing.entries[listing.names[each]] for each in following]
        storage_ids = [node.storage_id for node in nodes if isinstance(node, File)]
        self._nursery.start_soon(self._blocks.look_up, storage_ids)

    def _should_fetch(self, file: File) -> bool:
        size_bytes = self._sizes.of(file)
        return (
            0 < size_bytes <= FILE_MAX_BYTES
            and file.storage_id not in self._under_way
            and len(self._under_way) < AT_ONCE
        )

    async def _fetch(self, file: File) -> None:
        try:
            size_bytes = await self._sizes.authoritative(file)
            opened = await self._blocks.open(file, size_bytes)
            try:
                self._blocks.start(opened, Span(0, 0), Span(0, size_bytes))
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
