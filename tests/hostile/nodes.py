"""Nodes of a storage of which some answer with an ETag of their own, and a cache over them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import trio

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.extents import CachedObject
from dmfs.blocks.store.block_store import BlockStore
from dmfs.errors import (
    ETagDiffersError,
)
from dmfs.fetch.curl.transfer import RangeRequest
from dmfs.model import File, SignedObject, SignedRange
from dmfs.spans import BLOCK_BYTES, EMPTY, MIB, Span
from tests.support.caches import cache_of, settled
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
        start, sink = get.start, get.buffer
        self.gets += 1
        odd = self.odd.pop(0) if self.odd else False
        await trio.sleep(0.01)
        if not get.guard.admits("odd" if odd else "right"):
            raise ETagDiffersError(f"cannot {get.action}: another ETag")
        sink[:] = bytes(len(sink)) if odd else truth(start, start + len(sink))
        get.progress.put(len(sink))
        get.progress.wake()


def cache_over(
    nodes: Nodes, store: BlockStore | None = None
) -> AbstractAsyncContextManager[BlockCache]:
    return cache_of(nodes, nodes, store, timeout_s=57)


FIRST, SECOND = Span(0, BLOCK_BYTES), Span(8 * MIB, 8 * MIB + BLOCK_BYTES)


async def ahead_of_anybody(cache: BlockCache, opened: CachedObject) -> None:
    """The first block is in the cache, and nobody has seen it."""
    cache.start(opened, EMPTY, FIRST)
    await settled(cache)
