"""Block caches over made-up sources, and stores in a directory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import trio

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.extents import Bytes, CachedObject
from dmfs.blocks.store.block_store import BlockStore
from dmfs.fetch.curl.transfer import Fetcher
from dmfs.fetch.object_client import ObjectClient
from dmfs.fetch.signed_urls import Signer
from dmfs.spans import MIB
from dmfs.system.shared_memory import Arena
from tests.support.helpers import a_file


@asynccontextmanager
async def cache_over(
    source: Bytes,
    store: BlockStore | None = None,
    *,
    memory: int = 64 * MIB,
    connections: int = 16,
    per_file: int = 8,
    timeout_s: float = 60,
    **more: Any,
) -> AsyncIterator[BlockCache]:
    """A cache whose tasks end with the block."""
    async with trio.open_nursery() as nursery:
        yield BlockCache(
            source,
            store,
            nursery,
            memory_bytes=memory,
            connections=connections,
            connections_per_file=per_file,
            timeout_s=timeout_s,
            arena=Arena(4 * MIB + 4 * (memory - memory % MIB)),
            **more,
        )
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def cache_of(
    signer: Signer, fetcher: Fetcher, store: BlockStore | None = None, **more: Any
) -> AsyncIterator[BlockCache]:
    """A cache over an object client of its own."""
    async with trio.open_nursery() as nursery:
        client = ObjectClient(signer, fetcher, nursery, timeout_s=10)
        async with cache_over(client, store, per_file=16, **more) as cache:
            yield cache
        nursery.cancel_scope.cancel()


@contextmanager
def store_in(directory: Path, limit_bytes: int = 1 << 30) -> Iterator[BlockStore]:
    """A store that is closed afterwards."""
    store = BlockStore(directory, limit_bytes=limit_bytes, free_percent=0)
    try:
        yield store
    finally:
        store.close()


async def settled(cache: BlockCache) -> None:
    """Wait until everything on its way has landed and is at rest."""
    while not cache.is_settled():
        await trio.sleep(0.01)


SIZE = 64 * MIB + 12_345
"""Of a large file."""


async def opened(cache: BlockCache, size: int = SIZE, name: str = "f") -> CachedObject:
    """An open object of a made-up file."""
    return await cache.open(a_file(name, size), size)


def check_memory(cache: BlockCache, budget: int) -> None:
    """The books of the memory tier balance, within the budget."""
    assert cache.memory_used == sum(len(extent.buffer or b"") for extent in cache.extents())
    assert cache.memory_used <= budget
