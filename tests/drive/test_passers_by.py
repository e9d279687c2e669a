"""What an indexer leaves behind where it walked: nothing that is listed ahead of it or polled."""

from __future__ import annotations

import pytest
import trio

from dmfs.model import Child, Directory, Folder, FolderId, HubId, ProjectId
from dmfs.namespace.listings import Freshness, Listings
from dmfs.namespace.poll_schedule import Periods
from dmfs.namespace.poller import Poller
from dmfs.prefetch.list_ahead import TreePrefetcher
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from tests.support.helpers import virtual

WIDTH, DEPTH = 3, 4


def folder(name: str) -> Folder:
    return Folder(FolderId(name), ProjectId("b.p"), HubId("b.h"), name, rollup_ns=1)


@pytest.mark.parametrize("level", [Priority.POLL, Priority.LOOKUP])
@virtual
async def test_a_walk_at_the_lowest_priority_is_no_walk_and_no_use(level: Priority) -> None:
    lists: list[str] = []

    async def list_children(directory: Directory) -> list[Child]:
        await trio.sleep(0.1)
        lists.append(directory.name)
        deep = directory.name.count(".") >= DEPTH
        return [] if deep else [folder(f"{directory.name}.{n}") for n in range(WIDTH)]

    async def no_size(_file: object) -> None: ...

    async with trio.open_nursery() as nursery:
        listings = Listings(
            list_children, no_size, nursery, freshness=Freshness(ttl=10), timeout_s=30,
            service_folders=False,
        )  # fmt: skip
        poller = Poller(listings, Periods(), hub_period_s=300.0, calls_for=lambda _: 1)
        prefetcher = TreePrefetcher(listings, nursery, at_once=8)
        nursery.start_soon(poller.run)
        with at_priority(RequestPriority(level)):
            stack, walked = ["0"], 0
            while stack:
                directory = folder(stack.pop())
                poller.on_use(directory)
                with prefetcher.entering(directory):
                    listing = await listings.get(directory)
                walked += 1
                stack += listing.names
        ahead = prefetcher.gauges()["prefetch.listings_started"]
        assert (ahead == 0) == (level is Priority.POLL)
        assert len(lists) == walked
        await trio.sleep(600)
        assert (len(lists) == walked) == (level is Priority.POLL)
        nursery.cancel_scope.cancel()
