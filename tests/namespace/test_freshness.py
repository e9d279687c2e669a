"""How long a listing is fresh, and what rollups say of it, in virtual time."""

from __future__ import annotations

import pytest
import trio

from tests.support.helpers import a_file, virtual
from tests.support.listings import DEEP, PROJECT, TOP, World, down, folder, listings_of


@virtual
async def test_a_fresh_listing_costs_nothing_until_its_ttl() -> None:
    world = World()
    async with listings_of(world) as listings:
        await down(listings, "Hub", "Project")
        await trio.sleep(59)
        await listings.get(PROJECT)
        assert world.calls["Project"] == 1
        assert listings.fresh_for(PROJECT) == pytest.approx(0.9, abs=0.2)
        await trio.sleep(1.2)
        await listings.get(PROJECT)
        assert world.calls["Project"] == 2
        assert listings.fresh_for(PROJECT) > 59


@virtual
async def test_hubs_and_projects_have_a_longer_one() -> None:
    world = World()
    async with listings_of(world) as listings:
        await down(listings, "Hub", "Project")
        await trio.sleep(299)
        await down(listings, "Hub")
        assert (world.calls[""], world.calls["Hub"]) == (1, 1)
        await trio.sleep(2)
        await down(listings, "Hub")
        assert (world.calls[""], world.calls["Hub"]) == (2, 2)


@virtual
async def test_an_unchanged_rollup_keeps_what_lies_below_fresh_without_a_call() -> None:
    world = World()
    async with listings_of(world) as listings:
        await down(listings, *DEEP)
        for _ in range(10):  # only the project is asked again: it shows top's rollup
            await trio.sleep(61)
            await listings.get(PROJECT)
            for each in ("top", "mid", "deep"):
                assert listings.fresh_for(folder(each)) > 50
            await down(listings, *DEEP)
        assert (world.calls["top"], world.calls["mid"], world.calls["deep"]) == (1, 1, 1)


@virtual
async def test_a_changed_rollup_is_seen_on_the_way_down_and_only_there() -> None:
    world = World()
    async with listings_of(world) as listings:
        await down(listings, *DEEP)
        world.touch("top", "mid")  # a change in mid; deep has none
        world.children[folder("mid").identity].append(a_file("new"))
        await trio.sleep(61)
        listing = await down(listings, *TOP, "mid")
        assert "new" in listing.entries
        assert (world.calls["top"], world.calls["mid"]) == (2, 2)
        await down(listings, *DEEP)
        assert world.calls["deep"] == 1  # mid was listed anew and shows deep unchanged


@virtual
async def test_rollup_trust_ends() -> None:
    world = World()
    async with listings_of(world) as listings:
        await down(listings, *TOP)
        listed_at = trio.current_time() - 0.1
        while trio.current_time() < listed_at + 900 + 59:
            await listings.get(PROJECT)
            assert listings.fresh_for(folder("top")) > 0
            await listings.get(folder("top"))
            await trio.sleep(10)
        assert world.calls["top"] == 1
        await trio.sleep(15)
        await listings.get(PROJECT)
        assert listings.fresh_for(folder("top")) <= 0
        await listings.get(folder("top"))
        assert world.calls["top"] == 2


@virtual
async def test_no_rollup_no_trust() -> None:
    world = World()
    world.children[PROJECT.identity] = [folder("top", None)]
    async with listings_of(world) as listings:
        await down(listings, *TOP)
        await trio.sleep(61)
        await listings.get(PROJECT)
        await listings.get(folder("top", None))
        assert world.calls["top"] == 2


@virtual
async def test_a_change_between_parent_listing_and_child_listing_is_not_lost() -> None:
    """Parent listed (rollup 1) · change (rollup 2) · child listed · change (rollup 3): the child's
    listing must not count as rollup 2's or 3's."""
    world = World()
    async with listings_of(world) as listings:
        await down(listings, "Hub", "Project")
        world.touch("top")
        world.children[folder("top").identity].append(a_file("first"))
        assert "first" in (await down(listings, *TOP)).entries
        world.touch("top")
        world.children[folder("top").identity].append(a_file("second"))
        await trio.sleep(61)
        await listings.get(PROJECT)
        assert listings.fresh_for(folder("top")) <= 0
        assert "second" in (await down(listings, *TOP)).entries


@virtual
async def test_a_change_while_the_child_is_being_listed_is_not_lost() -> None:
    """The parent is refreshed, with the new rollup, while the child's old answer travels."""
    world = World()
    async with listings_of(world) as listings:
        await down(listings, "Hub", "Project")
        await trio.sleep(59.5)
        world.delay_s = 5
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listings.get, folder("top", 1))
            await trio.sleep(1)
            world.touch("top")  # after the child was asked, before its answer came
            world.children[folder("top").identity].append(a_file("meanwhile"))
            world.delay_s = 0.1
            await listings.get(PROJECT)
        await trio.sleep(58)
        await listings.get(PROJECT)
        await trio.sleep(5)
        assert listings.fresh_for(folder("top")) <= 0
        assert "meanwhile" in (await down(listings, *TOP)).entries
