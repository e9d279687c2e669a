"""Signs and fetches the small files that a reader of a series will open next. Floor 3.

Speculation: bounded in number and size, dropped when it cannot start at once, and silent when it
fails; whoever opens the file asks for itself and gets the real answer.
"""

from __future__ import annotations

import logging
from bisect import bisect_left

import trio

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.errors import DriveError
from dmfs.model import File, Listing
from dmfs.prefetch.file_series import MAX_WINDOW, SeriesPlanner
from dmfs.spans import MIB, Span

log = logging.getLogger(__name__)

WARMED_BYTES = MIB
"""Larger files are worth a round trip of their own."""
AT_ONCE = MAX_WINDOW
"""Files being prepared: one window."""
LOOKED_UP = 96
"""Files looked up on disk at once: two windows. Each alone costs a thread, on the way between its
signing and its bytes (0.2 to 0.3 ms of CPU a file)."""
LOOKED_UP_FOR_S = 4.0
"""A little shorter than the disk tier's own memory of it."""
DIRECTORIES = 64


class SmallFilePrefetcher:
    """Watches opens; prepares what comes next."""

    def __init__(self, sizes: ObjectSizes, blocks: BlockCache, nursery: trio.Nursery) -> None:
        self._sizes = sizes
        self._blocks = blocks
        self._nursery = nursery
        self._planner = SeriesPlanner()
        self._under_way: set[str] = set()
        self._looked_up: dict[str, tuple[range, float]] = {}
        """Of each directory: the indices that were looked up, and when (trio's clock)."""

    def on_open(self, listing: Listing, name: str) -> None:
        """A file of ``listing`` was opened. Returns at once."""
        index = bisect_left(listing.names, name)
        if index >= len(listing.names) or listing.names[index] != name:
            return
        directory = listing.directory.identity
        prepared = self._planner.on_open(directory, index, len(listing.names))
        if prepared:
            self._look_up(listing, prepared)
        for ahead in prepared:
            node = listing.entries[listing.names[ahead]]
            if isinstance(node, File) and self._worth_it(node):
                self._under_way.add(node.storage_id)
                self._nursery.start_soon(self._warm, node)

    def _look_up(self, listing: Listing, prepared: range) -> None:
        """See what is on disk of these and the next ones, unless that was done just now."""
        directory, now = listing.directory.identity, trio.current_time()
        known, looked_at = self._looked_up.get(directory, (range(0), 0.0))
        if prepared[-1] in known and now - looked_at < LOOKED_UP_FOR_S:
            return
        if len(self._looked_up) >= DIRECTORIES:
            self._looked_up.clear()
        end = len(listing.names) if prepared.step > 0 else -1
        following = range(prepared[0], end, prepared.step)[:LOOKED_UP]
        self._looked_up[directory] = following, now
        nodes = [listing.entries[listing.names[each]] for each in following]
        storage_ids = [node.storage_id for node in nodes if isinstance(node, File)]
        self._nursery.start_soon(self._blocks.look_up, storage_ids)

    def _worth_it(self, file: File) -> bool:
        size_bytes = self._sizes.of(file)
        return (
            0 < size_bytes <= WARMED_BYTES
            and file.storage_id not in self._under_way
            and len(self._under_way) < AT_ONCE
        )

    async def _warm(self, file: File) -> None:
        try:
            size_bytes = await self._sizes.authoritative(file)
            opened = await self._blocks.open(file, size_bytes)
            try:
                whole = Span(0, size_bytes)
                self._blocks.start(opened, Span(0, 0), whole)
            finally:
                self._blocks.close(opened)
        except DriveError as error:
            log.debug("not prepared: %s", error.message)
        except Exception:
            log.exception("preparing %r failed", file.name)
        finally:
            self._under_way.discard(file.storage_id)
