"""A walk of 1500 folders under the published limit, and a person beside it, in virtual time."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import trio

from dmfs.config import Settings
from dmfs.model import Child, Directory, Folder, FolderId, HubId, ProjectId
from dmfs.namespace.listings import Freshness, Listings
from dmfs.prefetch.list_ahead import TreePrefetcher
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.ratelimit.limits import Priority, Rate
from dmfs.ratelimit.priority import RequestPriority, at_priority, current_priority
from tests.support.helpers import a_file, virtual

FOLDERS = 1500
DEPTH = 6
CALL_S = 0.5
RATE = Rate(300)
USED = 0.92
"""Of what the limit allows, in the mean of three trees: 0.95 to 0.97 here. (One alone gives 0.93
to 0.98, and 0.90 once in 24 runs: which of the tasks woken at one moment goes first is random.)
The benchmark's tree has to reach 0.95. When what lay ahead was capped however near it was, some
trees gave 0.62."""
USED_LEAST = 0.85
TREES = 3


def folder(name: str) -> Folder:
    return Folder(FolderId(name), ProjectId("b.p"), HubId("b.h"), name)


class Service:
    """A made-up tree, 30 folders beside it, and the moments of all calls."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        self.below: dict[str, list[str]] = {"0": []}
        depths = [0]
        for number in range(1, FOLDERS):
            above = dice.choice([n for n in range(number) if depths[n] < DEPTH])
            depths.append(depths[above] + 1)
            self.below[str(above)].append(str(number))
            self.below[str(number)] = []
        self.limiter = RateLimiter({"contents": RATE})
        self.moments: list[float] = []

    async def list_children(self, directory: Directory) -> list[Child]:
        await self.limiter.acquire("contents", "list")
        self.moments.append(trio.current_time())
        await trio.sleep(CALL_S)
        names = self.below.get(directory.name, [])
        return [*map(folder, names), a_file(f"{directory.name}.dwg")]

    async def no_size(self, file: object) -> None:
        pytest.fail("all sizes are known")

    def preorder(self, name: str = "0") -> Iterator[str]:
        stack = [name]
        while stack:
            yield (here := stack.pop())
            stack += reversed(self.below[here])


@virtual
async def test_who_joins_speculation_before_it_has_begun_raises_it() -> None:
    """Both are woken by the same answer of the disk, in one turn of the loop."""
    levels: list[Priority] = []

    async def list_children(directory: Directory) -> list[Child]:
        await trio.sleep(0.1)
        levels.append(current_priority().level)
        return []

    async with trio.open_nursery() as nursery:
        listings = Listings(
            list_children, Service(0).no_size, nursery, freshness=Freshness(), timeout_s=30,
            service_folders=False,
        )  # fmt: skip

        async def walker(number: int) -> None:
            with at_priority(RequestPriority(Priority.WALK)):
                await listings.get(folder(f"{number}"))

        for number in range(30):
            nursery.start_soon(listings.ahead, folder(f"{number}"), lambda: True)
            nursery.start_soon(walker, number)
    assert levels == [Priority.WALK] * 30


@pytest.mark.slow
def test_a_limited_walk_uses_its_quota_and_leaves_a_person_alone() -> None:
    waits: list[float] = []
    used: list[float] = []

    @virtual
    async def run(seed: int) -> None:
        trio._core._run._r.seed(seed)  # the order of tasks that are woken together: the loop's dice
        service = Service(seed)
        async with trio.open_nursery() as nursery:
            listings = Listings(
                service.list_children, service.no_size, nursery, freshness=Freshness(ttl=3600),
                timeout_s=30, service_folders=False,
            )  # fmt: skip
            prefetcher = TreePrefetcher(listings, nursery, at_once=Settings().walk_ahead)

            async def person() -> None:
                for number in range(30):
                    await trio.sleep(9.7)
                    began = trio.current_time()
                    await listings.get(folder(f"elsewhere {number}"))
                    waits.append(trio.current_time() - began)

            nursery.start_soon(person)
            began = trio.current_time()
            for name in service.preorder():
                with prefetcher.entering(folder(name)):
                    await listings.get(folder(name))
                await trio.sleep(0.01)
            took_s = trio.current_time() - began
            found = prefetcher.gauges()
            nursery.cancel_scope.cancel()
        calls = sorted(service.moments)
        assert FOLDERS <= len(calls) <= (FOLDERS + 30) * 1.02
        for number, start in enumerate(calls[: -RATE.limit]):
            assert calls[number + RATE.limit] >= start + RATE.window_s
        assert found["prefetch.listings_failed"] == 0
        # The rest are those that the walker reaches first: 0 to 226 of 1500, by the loop's dice.
        assert FOLDERS * 0.75 < found["prefetch.listings_started"] <= FOLDERS * 1.02
        used.append(len(calls) / RATE.limit * RATE.window_s / took_s)

    for seed in range(TREES):
        run(seed)
    assert min(used) >= USED_LEAST
    assert sum(used) / TREES >= USED
    assert max(waits) <= 2 * CALL_S
