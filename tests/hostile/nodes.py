"""Nodes of a storage of which some answer with an ETag of their own, and a cache over them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.extents import CachedObject
from dmfs.blocks.store.block_store import BlockStore
from dmfs.errors import (
    ETagDiffersError,
)
from dmfs.fetch.curl.transfer import RangeRequest
from dmfs.fetch.object_client import ObjectClient
from dmfs.model import File, SignedObject, SignedRange
from dmfs.spans import BLOCK_BYTES, EMPTY, MIB, Span
from tests.support.helpers import truth

SIZE = 20 * MIB
BIG = "/Bench/Bench Project/Project Files/big/big-00.bin"
WORLD = f"big:size={SIZE},count=2"


class Nodes:
    """A CDN some of whose nodes are odd: another ETag, and bytes of something else."""

    def __init__(self) -> None:
        self.odd: list[bool] = []
        """Whether each of the next GETs meets an odd node; healthy ones after that."""
        self.gets = self.signed = 0

    async def sign(self, file: File) -> SignedObject:
        self.signed += 1
        await trio.sleep(0.01)
        return SignedObject(
            SIZE, "", (SignedRange(0, SIZE, "https://cdn/x"),), trio.current_time() + 3600
        )

    async def fetch(self, get: RangeRequest) -> None:
        start, sink = get.start, get.sink
        self.gets += 1
        odd = self.odd.pop(0) if self.odd else False
        await trio.sleep(0.01)
        if not get.guard.admits("odd" if odd else "right"):
            raise ETagDiffersError(f"cannot {get.what}: another ETag")
        sink[:] = bytes(len(sink)) if odd else truth(start, start + len(sink))
        get.progress.put(len(sink))
        get.progress.wake()


@asynccontextmanager
async def cache_over(nodes: Nodes, store: BlockStore | None = None) -> AsyncIterator[BlockCache]:
    async with trio.open_nursery() as nursery:
        source = ObjectClient(nodes, nodes, nursery, timeout_s=10)
        cache = BlockCache(
            source, store, nursery, memory_bytes=64 * MIB, connections=16,
            connections_per_file=16, timeout_s=57,
        )  # fmt: skip
        source.etags.on_adopted = cache.begin_anew
        yield cache
        nursery.cancel_scope.cancel()


FIRST, SECOND = Span(0, BLOCK_BYTES), Span(8 * MIB, 8 * MIB + BLOCK_BYTES)


async def settled(cache: BlockCache) -> None:
    while any(not run.done or not run.saved for run in cache._memory):
        await trio.sleep(0.01)


async def ahead_of_anybody(cache: BlockCache, opened: CachedObject) -> None:
    """The first block is in the cache, and nobody has seen it."""
    cache.start(opened, EMPTY, FIRST)
    await settled(cache)
