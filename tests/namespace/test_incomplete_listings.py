"""One rotten part does not take the whole away, and is never shown as absence."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from dmfs.errors import BadResponseError, PartialAnswerError, UnreachableError
from dmfs.model import StorageId, own_id
from dmfs.namespace.listing_cache import INCOMPLETE_FIRST_S
from tests.support.helpers import a_file, virtual
from tests.support.listings import PROJECT, World, folder, listings_of

KNOWN = a_file("known")
REFUSED = replace(KNOWN, version="", storage_id=StorageId(""), size_bytes=None)
"""The same item, of which the service tells nothing but its name."""


@virtual
async def test_what_cannot_be_described_is_listed_counted_and_heals() -> None:
    world = World()
    world.children[PROJECT.identity] = [a_file("well"), REFUSED]
    async with listings_of(world) as listings:
        listing = await listings.get(PROJECT)
        assert listing.names == ("known", "well")
        assert listings.incomplete(PROJECT) == 1
        world.children[PROJECT.identity] = [a_file("well"), KNOWN]
        await trio.sleep(INCOMPLETE_FIRST_S + 0.1)
        listing = await listings.get(PROJECT)
        assert listing.entries["known"] == KNOWN
        assert listings.incomplete(PROJECT) == 0


@virtual
async def test_an_incomplete_listing_is_fresh_for_a_while_that_grows_to_the_usual_one() -> None:
    world = World()
    world.children[PROJECT.identity] = [REFUSED]
    async with listings_of(world) as listings:
        fresh = []
        for _ in range(7):
            await listings.get(PROJECT)
            fresh.append(round(listings.fresh_for(PROJECT)))
            await trio.sleep(61)
        assert fresh == [5, 10, 20, 40, 60, 60, 60]


@virtual
async def test_an_unchanged_rollup_does_not_keep_an_incomplete_listing_fresh() -> None:
    world = World()
    top = folder("top", 1)
    world.children[top.identity] = [REFUSED]
    async with listings_of(world) as listings:
        await listings.get(PROJECT)
        await listings.get(top)
        await trio.sleep(61)
        await listings.get(PROJECT)
        assert listings.fresh_for(top) <= 0


@virtual
async def test_the_description_of_before_is_better_than_none() -> None:
    world = World()
    world.children[PROJECT.identity] = [KNOWN]
    async with listings_of(world) as listings:
        await listings.get(PROJECT)
        world.children[PROJECT.identity] = [REFUSED]
        await trio.sleep(61)
        listing = await listings.get(PROJECT)
        assert listing.entries["known"] == KNOWN
        assert listing.undescribed == 1


@virtual
async def test_a_row_that_is_lost_altogether_makes_absence_unknown() -> None:
    world = World()
    world.errors["Project"] = PartialAnswerError("a bad row", [a_file("well")], [""])
    async with listings_of(world) as listings:
        listing = await listings.get(PROJECT)
        assert listing.names == ("well",)
        assert await listings.child(PROJECT, "well") is not None
        with pytest.raises(BadResponseError):
            await listings.child(PROJECT, "perhaps the lost one")
        assert (listing.lost, listing.incomplete) == (1, 1)


@pytest.mark.parametrize("identifier", ["", own_id(KNOWN)])
def test_what_was_listed_before_stands_in_for_a_lost_row(identifier: str) -> None:
    @virtual
    async def body() -> None:
        world = World()
        world.children[PROJECT.identity] = [KNOWN, a_file("well")]
        async with listings_of(world) as listings:
            await listings.get(PROJECT)
            rest = [a_file("well"), a_file("new")]
            world.errors["Project"] = PartialAnswerError("a bad row", rest, [identifier])
            await trio.sleep(61)
            listing = await listings.get(PROJECT)
            assert listing.names == ("known", "new", "well")
            assert (listing.lost, listing.undescribed) == (0, 1)
            assert await listings.child(PROJECT, "absent") is None

    body()


@virtual
async def test_sizes_that_do_not_come_leave_the_listing_its_time() -> None:
    world = World()
    world.children[PROJECT.identity] = [a_file("known", 5), a_file("unknown", None)]

    async def never(file: object) -> None:
        await trio.sleep_forever()

    world.fetch_size = never  # type: ignore[method-assign]
    async with listings_of(world, timeout_s=10) as listings:
        listing = await listings.get(PROJECT)
        assert listing.names == ("known", "unknown")
        assert listing.undescribed == 1


@virtual
async def test_a_size_that_cannot_be_told_counts_and_heals() -> None:
    world = World()
    world.children[PROJECT.identity] = [a_file("known", 5), a_file("unknown", None)]

    async def fails(file: object) -> None:
        raise UnreachableError("HTTP 503")

    world.fetch_size = fails  # type: ignore[method-assign]
    async with listings_of(world) as listings:
        listing = await listings.get(PROJECT)
        assert listing.names == ("known", "unknown")
        assert listings.incomplete(PROJECT) == 1
        assert listings.fresh_for(PROJECT) <= INCOMPLETE_FIRST_S
        world.children[PROJECT.identity] = [a_file("known", 5), a_file("unknown", 7)]
        await trio.sleep(INCOMPLETE_FIRST_S + 0.1)
        await listings.get(PROJECT)
        assert listings.incomplete(PROJECT) == 0
