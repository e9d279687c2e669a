"""Listings: one request for all callers, stale ones meanwhile, failures, changes, eviction."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import trio

import dmfs.namespace.listing_cache
from dmfs.errors import AccessError, DeadlineError, StalledError, UnreachableError
from dmfs.model import Directory, Listing
from dmfs.namespace.listing_cache import DEPTH_MAX, ENTRY_BYTES, ListingCache
from dmfs.namespace.listings import DENIAL_TTL_S, REFRESHES_BEHIND, RETRY_FIRST_S, RETRY_MAX_S
from dmfs.system.clock import Moment
from tests.support.helpers import a_file, virtual
from tests.support.listings import PROJECT, RULES, World, down, folder, listings_of


@virtual
async def test_fifty_callers_at_once_cost_one_call() -> None:
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
async def test_a_listing_that_another_caller_got_during_a_recall_costs_no_call() -> None:
    """A recall that finds nothing on disk wakes its callers one step of the loop later; on a busy
    machine another caller's refresh ended meanwhile, and one of 41 folders was listed twice."""
    world = World()
    async with listings_of(world) as listings:
        await down(listings, "Hub")
        recall = listings._tiers.recall

        async def slow(directory: Directory) -> Any:
            found = await recall(directory)
            await listings.renew(directory)  # another caller's
            return found

        listings._tiers.recall = slow  # type: ignore[method-assign]
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
async def test_a_spent_patience_gives_no_older_listing_than_others_have_seen() -> None:
    """The refresh ends in the same step of the loop: a name that is in the newer listing, and of
    which nothing else is remembered since, was absent for this one caller."""
    world = World()
    async with listings_of(world) as listings:
        await listings.get(PROJECT)
        world.children[PROJECT.identity] = [folder("new", 1)]
        await trio.sleep(61)

        async def too_late(directory: Directory) -> None:
            await listings.renew(directory)

        listings._refresh_within_patience = too_late  # type: ignore[method-assign]
        assert list((await listings.get(PROJECT)).entries) == ["new"]


@virtual
async def test_a_walk_over_known_folders_that_stall_spends_the_patience_once() -> None:
    """It spent one in each of 100 folders, and left a call for each in the stretch that stalled."""
    world = World()
    folders = [folder(f"f{number}") for number in range(100)]
    for each in folders:
        world.children[each.identity] = [a_file(each.name)]
    async with listings_of(world) as listings:
        for each in folders:
            await listings.get(each)
        await trio.sleep(61)
        world.calls.clear()
        world.delay_s = 1000
        began = trio.current_time()
        for each in folders:
            assert (await listings.get(each)).names == (each.name,)
        assert trio.current_time() - began == pytest.approx(RULES.patience, abs=0.1)
        assert world.calls.total() <= REFRESHES_BEHIND
        world.delay_s = 0.2
        await trio.sleep(31)  # the calls that stalled are over
        assert [await listings.get(each) for each in folders][-1].listed_at > began + 30


@virtual
async def test_speculation_that_is_refused_is_not_started_over_and_over() -> None:
    world = World()
    world.errors["Project"] = StalledError("no answer")
    async with listings_of(world) as listings:
        with pytest.raises(StalledError):
            await listings.ahead(PROJECT, lambda: True)


@virtual
async def test_the_first_request_waits_to_its_deadline_and_is_never_empty() -> None:
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
        moments = []
        for _ in range(3000):
            before = world.calls["Project"]
            assert list((await listings.get(PROJECT)).entries) == ["top"]
            if world.calls["Project"] > before:
                moments.append(trio.current_time())
            await trio.sleep(0.1)
        waits = [b - a for a, b in itertools.pairwise(moments)]
        for number, wait_s in enumerate(waits):
            planned = min(RETRY_FIRST_S * 2**number, RETRY_MAX_S)
            assert planned <= wait_s <= planned + 0.6
        assert len(moments) > 5
        del world.errors["Project"]
        world.children[PROJECT.identity] = []
        await trio.sleep(RETRY_MAX_S + 1)
        assert list((await listings.get(PROJECT)).entries) == []


@virtual
async def test_each_waiter_of_a_first_failure_has_its_own_error_and_the_next_one_retries() -> None:
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
        await trio.sleep(DENIAL_TTL_S + 0.1)
        del world.errors["Project"]
        await listings.get(PROJECT)
        assert world.calls["Project"] == 2


@virtual
async def test_a_subscriber_gets_what_changed_and_only_then() -> None:
    world = World()
    heard: list[tuple[Directory, Sequence[str]]] = []

    def hear(directory: Directory, names: Sequence[str]) -> None:
        heard.append((directory, names))

    async with listings_of(world) as listings:
        listings.subscribe(hear)
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
async def test_service_folders_show_only_on_request() -> None:
    world = World()
    world.children[PROJECT.identity].append(folder("issues_1", service=True))
    for wanted, names in ((False, ("top",)), (True, ("issues_1", "top"))):
        async with listings_of(world, service_folders=wanted) as listings:
            assert (await listings.get(PROJECT)).names == names


@virtual
async def test_sizes_that_the_listing_left_out_are_fetched() -> None:
    world = World()
    world.children[PROJECT.identity] = [a_file("known", 5), a_file("unknown", None)]
    async with listings_of(world) as listings:
        await listings.get(PROJECT)
    assert world.sizes_fetched == ["unknown"]


@virtual
async def test_the_least_recently_used_are_evicted_beyond_the_limit() -> None:
    world = World()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dmfs.namespace.listing_cache, "ENTRIES_MAX", 10)
        async with listings_of(world) as listings:
            for number in range(8):
                each = folder(f"f{number}")
                world.children[each.identity] = [a_file(f"{number}{n}") for n in range(4)]
                await listings.get(each)
            assert len(listings.cache) == 2
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


@virtual
async def test_a_subscriber_that_fails_is_logged_and_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    heard: list[Sequence[str]] = []

    def fail(directory: Directory, names: Sequence[str]) -> None:
        raise ZeroDivisionError

    async with listings_of(world) as listings:
        listings.subscribe(fail)
        listings.subscribe(lambda _, names: heard.append(names))
        await listings.get(PROJECT)
        world.children[PROJECT.identity] = []
        assert (await listings.renew(PROJECT)).names == ()
    assert heard == [("top",)]
    assert "ZeroDivisionError" in caplog.text


@virtual
async def test_a_use_protects_from_eviction_and_a_look_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dmfs.namespace.listing_cache, "ENTRIES_MAX", 10)
    cache = ListingCache(RULES)

    def put(name: str, entries: int) -> None:
        children = {f"{n}": a_file(f"{name}{n}") for n in range(entries)}
        cache.put(Listing(folder(name), children, 0.0), Moment.now())

    def names() -> set[str]:
        return {name for name in "abcd" if cache.get(folder(name).identity)}

    for name in "abc":
        put(name, 3)
    cache.use(folder("a").identity)
    cache.get(folder("b").identity)
    cache.peek(folder("b").identity, 0.0)
    put("d", 4)
    assert names() == {"a", "c", "d"}
    assert (cache.entries, cache.evicted) == (10, 1)
    put("a", 1)  # a newer listing replaces the old one, and is the most recently used
    assert (cache.entries, cache.memory_bytes) == (8, 8 * ENTRY_BYTES)
    put("b", 50)  # one folder may be larger than the limit: it stays alone
    assert names() == {"b"}
    assert cache.entries == 50
    cache.drop(folder("b").identity)
    cache.drop(folder("b").identity)
    assert (cache.entries, cache.evicted) == (0, 4)


@virtual
async def test_gauges_count_hits_misses_and_refreshes_by_their_cause() -> None:
    world = World()
    async with listings_of(world) as listings:
        for _ in range(3):
            await listings.get(PROJECT)  # a miss and two fresh hits
        await trio.sleep(61)
        await listings.get(PROJECT)  # revalidated within the patience
        world.errors["Project"] = UnreachableError("down")
        await trio.sleep(61)
        for _ in range(2):
            await listings.get(PROJECT)  # stale: the refresh fails, then the pause
        await listings.ahead(folder("top"), lambda: True)
        await listings.renew(folder("top"))
        found = listings.gauges()
    expected = {
        "cached": 2, "entries": 3, "misses": 1, "fresh_hits": 2, "revalidated": 1,
        "stale_hits": 2, "refreshes_miss": 1, "refreshes_expired": 2, "refreshes_ahead": 1,
        "refreshes_poll": 1,
    }  # fmt: skip
    assert {name.removeprefix("listings."): n for name, n in found.items() if n} == expected


@virtual
async def test_a_folder_that_fills_the_memory_does_not_go_for_its_own_parents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dmfs.namespace.listing_cache, "ENTRIES_MAX", 10)
    cache = ListingCache(RULES)

    def put(name: str, entries: int) -> None:
        children = {f"{n}": a_file(f"{name}{n}") for n in range(entries)}
        cache.put(Listing(folder(name), children, 0.0), Moment.now())

    huge = folder("huge").identity
    put("huge", 30)
    for _ in range(3):
        for level in range(25):  # all of the path is listed anew before a name in it is looked up
            put(f"level {level}", 2)
            assert cache.entries <= 30 + 2 * 2
        assert cache.use(huge) is not None
    for number in range(DEPTH_MAX + 1):
        assert cache.get(huge) is not None
        put(f"elsewhere {number}", 2)
    assert cache.get(huge) is None, "nobody uses it any more"
    assert cache.entries == 2
