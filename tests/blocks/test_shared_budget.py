"""One memory budget: what is known of the tree leaves less for bytes, but never less than half."""

from __future__ import annotations

import pytest

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.readahead import PART_BYTES
from dmfs.model import Root
from dmfs.namespace.listing_cache import ENTRY_BYTES
from dmfs.spans import EMPTY, MIB, Span
from tests.support.caches import cache_over, opened
from tests.support.helpers import FakeSource, truth, virtual
from tests.support.listings import World, listings_of

SIZE = 256 * MIB
BUDGET = 64 * MIB


async def fetch_ahead(cache: BlockCache) -> int:
    """How much is taken on of a wish for everything."""
    file = await opened(cache, SIZE)
    return cache.start(file, EMPTY, Span(0, SIZE)).length


@pytest.mark.parametrize(
    ("elsewhere", "left"), [(0, 52 * MIB), (16 * MIB, 40 * MIB), (1 << 40, 24 * MIB)]
)
@virtual
async def test_what_is_known_leaves_less_for_bytes(elsewhere: int, left: int) -> None:
    """(In whole parts; a sixth is left to demand.)"""
    async with cache_over(
        FakeSource(), memory=BUDGET, connections=64, per_file=64, elsewhere_bytes=lambda: elsewhere
    ) as cache:
        assert await fetch_ahead(cache) == left


@virtual
async def test_bytes_make_room_for_what_becomes_known() -> None:
    known = [0]
    async with cache_over(
        FakeSource(latency_s=0), memory=BUDGET, elsewhere_bytes=lambda: known[0]
    ) as cache:
        file = await opened(cache, SIZE)
        for start in range(0, BUDGET, PART_BYTES):
            span = Span(start, start + PART_BYTES)
            assert bytes(await cache.get(file, span)) == truth(*span)
        pool = cache._memory.buffers
        assert cache.memory_used + pool.free_bytes == BUDGET
        known[0] = 20 * MIB
        cache.settle()
        assert cache.memory_used + pool.free_bytes <= BUDGET - known[0]
        # and it is of use again
        known[0] = 0
        last = Span(SIZE - PART_BYTES, SIZE)
        assert bytes(await cache.get(file, last)) == truth(*last)


@virtual
async def test_idle_buffers_go_even_while_what_is_under_way_takes_more_than_its_share() -> None:
    known = [0]
    async with cache_over(
        FakeSource(latency_s=0), memory=BUDGET, connections=64, per_file=64,
        elsewhere_bytes=lambda: known[0],
    ) as c:  # fmt: skip
        file = await opened(c, SIZE)
        await c.get(file, Span(0, 48 * MIB))
        c.drop_memory()  # all of it lies idle
        c.start(file, EMPTY, Span(64 * MIB, 64 * MIB + 40 * MIB))
        assert (c.memory_used, c._memory.buffers.free_bytes) == (40 * MIB, 8 * MIB)
        known[0] = BUDGET // 2  # 32 MiB are left, and 40 on their way
        c.settle()
        assert c._memory.buffers.free_bytes == 0


@virtual
async def test_the_measure_of_what_is_known_follows_its_entries() -> None:
    world = World()
    async with listings_of(world) as listings:
        assert listings.cache.memory_bytes == 0
        listing = await listings.get(Root())
        assert listing.entries
        assert listings.cache.memory_bytes == len(listing.entries) * ENTRY_BYTES
