"""Freshness of listings, in virtual time."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio

import dmfs.namespace.listing_cache
from dmfs.errors import AccessError, DeadlineError, DriveError, UnreachableError
from dmfs.model import (
    Child,
    Directory,
    File,
    Folder,
    FolderId,
    Hub,
    HubId,
    Listing,
    Project,
    ProjectId,
    Root,
)
from dmfs.namespace.listings import DENIAL_MEMORY_S, RETRY_FIRST_S, RETRY_MAX_S, Freshness, Listings
from tests.support.helpers import a_file, virtual

HUB = Hub(HubId("b.h"), "Hub")
PROJECT = Project(ProjectId("b.p"), HUB.id, "Project")
RULES = Freshness(ttl=60, hub_ttl=300, patience=1, rollup_trust=900)


def folder(name: str, rollup: int | None = None, **fields: Any) -> Folder:
    return Folder(FolderId(name), PROJECT.id, HUB.id, name, rollup_ns=rollup, **fields)


class World:
    """Directory identity → children; counts and delays the questions."""

    def __init__(self) -> None:
        self.children: dict[str, list[Child]] = {
            "root": [HUB], HUB.identity: [PROJECT], PROJECT.identity: [folder("top", 1)],
            folder("top").identity: [folder("mid", 1), a_file("a")],
            folder("mid").identity: [folder("deep", 1), a_file("b")],
            folder("deep").identity: [a_file("c")],
        }  # fmt: skip
        self.calls: Counter[str] = Counter()
        self.delay_s = 0.1
        self.errors: dict[str, DriveError] = {}
        self.sizes_asked: list[str] = []

    async def ask(self, directory: Directory) -> tuple[list[Child], tuple[str, ...]]:
        self.calls[directory.name] += 1
        answer = list(self.children[directory.identity])  # true when asked
        await trio.sleep(self.delay_s)
        error = self.errors.get(directory.name)
        if error is not None:
            raise error
        return answer, ()

    async def learn(self, file: File) -> None:
        self.sizes_asked.append(file.name)

    def touch(self, *names: str) -> None:
        """Move the rollup of these folders, as the service does for all ancestors of a change."""
        for identity, children in self.children.items():
            self.children[identity] = [
                replace(child, rollup_ns=(child.rollup_ns or 0) + 1)
                if isinstance(child, Folder) and child.name in names
                else child
                for child in children
            ]


@asynccontextmanager
async def listings_of(world: World, **options: Any) -> AsyncIterator[Listings]:
    async with trio.open_nursery() as nursery:
        values: dict[str, Any] = {
            "freshness": RULES, "timeout_s": 30, "service_folders": False,
        } | options  # fmt: skip
        yield Listings(world.ask, world.learn, nursery, **values)
        nursery.cancel_scope.cancel()


async def down(listings: Listings, *names: str) -> Listing:
    """List each directory on the way."""
    listing = await listings.get(Root())
    for name in names:
        child = listing.entries[name]
        assert not isinstance(child, File)
        listing = await listings.get(child)  # type: ignore[arg-type]
    return listing


TOP = ("Hub", "Project", "top")
DEEP = (*TOP, "mid", "deep")


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
async def test_fifty_who_ask_at_once_cost_one_call() -> None:
    world = World()
    async with listings_of(world) as listings:
        got: list[Listing] = []

        async def one() -> None:
            got.append(await listings.get(PROJECT))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(one)
        assert world.calls["Project"] == 1
        assert len({id(listing) for listing in got}) == 1


@virtual
async def test_what_was_listed_for_another_during_a_recall_is_not_asked_for_again() -> None:
    """A recall that found nothing on disk wakes who waits for it one step of the loop later, and on
    a busy machine the listing had landed by then: one of 41 folders was listed twice."""
    world = World()
    async with listings_of(world) as listings:
        await down(listings, "Hub")
        recall = listings._recall

        async def slow(directory: Directory) -> Any:
            found = await recall(directory)
            await listings.renew(directory)  # another's
            return found

        listings._recall = slow  # type: ignore[method-assign]
        await listings.get(PROJECT)
    assert world.calls["Project"] == 1


@virtual
async def test_a_stale_listing_waits_for_the_new_one_up_to_the_patience() -> None:
    world = World()
    async with listings_of(world) as listings:
        old = await listings.get(PROJECT)
        world.children[PROJECT.identity] = [folder("new", 1)]
        await trio.sleep(61)
        assert list((await listings.get(PROJECT)).entries) == ["new"]  # 0.1 s: within patience
        await trio.sleep(61)
        world.delay_s = 5
        world.children[PROJECT.identity] = [folder("newest", 1)]
        began = trio.current_time()
        assert list((await listings.get(PROJECT)).entries) == ["new"]
        assert trio.current_time() - began == pytest.approx(1, abs=0.01)
        calls = world.calls["Project"]
        await trio.sleep(4.5)  # the refresh went on by itself
        assert list((await listings.get(PROJECT)).entries) == ["newest"]
        assert world.calls["Project"] == calls == 3
        assert old.entries.keys() == {"top"}


@virtual
async def test_the_first_question_waits_to_its_deadline_and_is_never_empty() -> None:
    world = World()
    world.delay_s = 100
    async with listings_of(world, timeout_s=7) as listings:
        began = trio.current_time()
        with pytest.raises(DeadlineError):
            await listings.get(PROJECT)
        assert trio.current_time() - began == pytest.approx(7)


@virtual
async def test_a_failed_refresh_keeps_the_old_one_and_backs_off() -> None:
    world = World()
    async with listings_of(world) as listings:
        await listings.get(PROJECT)
        world.errors["Project"] = UnreachableError("down")
        await trio.sleep(61)
        asked = []
        for _ in range(3000):
            before = world.calls["Project"]
            assert list((await listings.get(PROJECT)).entries) == ["top"]
            if world.calls["Project"] > before:
                asked.append(trio.current_time())
            await trio.sleep(0.1)
        waits = [b - a for a, b in itertools.pairwise(asked)]
        for number, wait_s in enumerate(waits):
            planned = min(RETRY_FIRST_S * 2**number, RETRY_MAX_S)
            assert planned <= wait_s <= planned + 0.6
        assert len(asked) > 5
        del world.errors["Project"]
        world.children[PROJECT.identity] = []
        await trio.sleep(RETRY_MAX_S + 1)
        assert list((await listings.get(PROJECT)).entries) == []


@virtual
async def test_each_waiter_of_a_first_failure_has_its_own_error_and_the_next_asks_again() -> None:
    world = World()
    world.errors["Project"] = UnreachableError("down")
    async with listings_of(world) as listings:
        errors = []

        async def one() -> None:
            with pytest.raises(UnreachableError) as caught:
                await listings.get(PROJECT)
            errors.append(caught.value)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(one)
        assert len({id(error) for error in errors}) == 5
        assert world.calls["Project"] == 1
        del world.errors["Project"]
        assert (await listings.get(PROJECT)).names == ("top",)


@virtual
async def test_a_denial_is_remembered_for_a_while() -> None:
    world = World()
    world.errors["Project"] = AccessError("no")
    async with listings_of(world) as listings:
        for _ in range(5):
            with pytest.raises(AccessError):
                await listings.get(PROJECT)
        assert world.calls["Project"] == 1
        await trio.sleep(DENIAL_MEMORY_S + 0.1)
        del world.errors["Project"]
        await listings.get(PROJECT)
        assert world.calls["Project"] == 2


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


@virtual
async def test_on_change_hears_what_changed_and_only_then() -> None:
    world = World()
    heard: list[tuple[Directory, Sequence[str]]] = []

    def hear(directory: Directory, names: Sequence[str]) -> None:
        heard.append((directory, names))

    async with listings_of(world, on_change=hear) as listings:
        await listings.get(PROJECT)
        assert heard == []
        world.children[PROJECT.identity] = [folder("other", 1)]
        await trio.sleep(61)
        await listings.get(PROJECT)
        assert heard == [(PROJECT, ("top", "other"))]
        await trio.sleep(61)
        await listings.get(PROJECT)
        assert len(heard) == 1, "nothing changed, nothing to hear"


@virtual
async def test_service_folders_only_if_asked_for() -> None:
    world = World()
    world.children[PROJECT.identity].append(folder("issues_1", service=True))
    for wanted, names in ((False, ("top",)), (True, ("issues_1", "top"))):
        async with listings_of(world, service_folders=wanted) as listings:
            assert (await listings.get(PROJECT)).names == names


@virtual
async def test_sizes_that_the_listing_left_out_are_asked_for() -> None:
    world = World()
    world.children[PROJECT.identity] = [a_file("known", 5), a_file("unknown", None)]
    async with listings_of(world) as listings:
        await listings.get(PROJECT)
    assert world.sizes_asked == ["unknown"]


@virtual
async def test_the_least_recently_listed_are_forgotten_beyond_the_bound() -> None:
    world = World()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dmfs.namespace.listing_cache, "ENTRIES_KEPT", 10)
        async with listings_of(world) as listings:
            for number in range(8):
                each = folder(f"f{number}")
                world.children[each.identity] = [a_file(f"{number}{n}") for n in range(4)]
                await listings.get(each)
            assert len(listings.knowledge) == 2
            await listings.get(folder("f7"))
            assert world.calls["f7"] == 1
            await listings.get(folder("f0"))
            assert world.calls["f0"] == 2


@virtual
async def test_a_bug_in_the_service_part_reaches_the_waiter_and_is_forgotten() -> None:
    world = World()
    del world.children[PROJECT.identity]
    async with listings_of(world) as listings:
        with pytest.raises(KeyError):
            await listings.get(PROJECT)
        world.children[PROJECT.identity] = []
        assert (await listings.get(PROJECT)).names == ()
