"""What a mount costs that nobody uses, by the exact moments of its calls, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from dmfs.errors import UnreachableError
from dmfs.model import (
    Child,
    Directory,
    File,
    Folder,
    FolderId,
    Hub,
    HubId,
    Project,
    ProjectId,
    Root,
)
from dmfs.namespace.listings import Freshness, Listings
from dmfs.namespace.poll_schedule import Periods
from dmfs.namespace.poller import Poller
from tests.support.helpers import a_file, virtual

HUB = Hub(HubId("b.h"), "Hub")
PROJECTS = [Project(ProjectId(f"b.{n}"), HUB.id, f"P{n}") for n in range(3)]
FOLDERS = 30
"""In each project, all of them looked at."""
HOUR_S = 3600.0


def folder(project: Project, number: int) -> Folder:
    return Folder(FolderId(f"{project.id} {number}"), project.id, HUB.id, f"F{number}", rollup_ns=1)


class Service:
    """Three projects of thirty folders in which nothing ever changes; the moments of its calls."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.down = False

    async def list_children(self, directory: Directory) -> list[Child]:
        self.moments.append(trio.current_time())
        await trio.sleep(0.5)
        if self.down:
            raise UnreachableError("down")
        match directory:
            case Root():
                return [HUB]
            case Hub():
                return list(PROJECTS)
            case Project():
                return [folder(directory, n) for n in range(FOLDERS)]
        return [a_file(f"{directory.identity} {n}") for n in range(3)]

    async def no_size(self, file: File) -> None:
        pytest.fail("all sizes are known")

    def most_in(self, window_s: float) -> int:
        return max(
            sum(start <= at < start + window_s for at in self.moments) for start in self.moments
        )


@asynccontextmanager
async def a_mount(service: Service, *, watched: bool = False) -> AsyncIterator[None]:
    """With the defaults, after somebody has looked at everything there is. ``watched``: all of it
    is pinned."""
    async with trio.open_nursery() as nursery:
        listings = Listings(
            service.list_children, service.no_size, nursery, freshness=Freshness(), timeout_s=30,
            service_folders=False,
        )  # fmt: skip
        poller = Poller(listings, Periods(), hub_period_s=300.0, calls_for=lambda _: 1)
        above: list[Directory] = [Root(), HUB, *PROJECTS]
        for directory in above:
            await listings.get(directory)
            poller.on_use(directory)
        for project in PROJECTS:
            for number in range(FOLDERS):
                await listings.get(folder(project, number))
                poller.on_use(folder(project, number))
        if watched:
            for project in PROJECTS:
                for number in range(FOLDERS):
                    poller.watch(folder(project, number))
        service.moments.clear()
        nursery.start_soon(poller.run)
        yield
        nursery.cancel_scope.cancel()


@virtual
async def test_an_idle_mount_costs_at_most_four_calls_a_minute() -> None:
    service = Service()
    async with a_mount(service):
        await trio.sleep(300)
        recent, service.moments = service.moments, []
        await trio.sleep(HOUR_S - 400)
    assert len(recent) >= 15, "what was looked at lately is watched"
    assert service.moments, "and so is the rest"
    service.moments = recent + service.moments
    assert service.most_in(60) == 4
    assert service.most_in(300) == 20
    assert len(recent) <= 20
    assert len(service.moments) <= 4 * 58


@virtual
async def test_a_neglected_mount_costs_at_most_one_call_in_five_minutes() -> None:
    service = Service()
    async with a_mount(service):
        await trio.sleep(HOUR_S + 300)
        service.moments.clear()
        await trio.sleep(6 * HOUR_S)
    assert service.most_in(300) == 1
    assert 68 <= len(service.moments) <= 72


@pytest.mark.parametrize(("after_s", "most"), [(0.0, 4), (HOUR_S + 300, 1)])
def test_nor_while_the_service_fails(after_s: float, most: int) -> None:
    @virtual
    async def run() -> None:
        service = Service()
        async with a_mount(service):
            await trio.sleep(after_s)
            service.down = True
            service.moments.clear()
            await trio.sleep(HOUR_S / 2)
        assert service.most_in(60 if most == 4 else 300) <= most

    run()


@virtual
async def test_what_is_pinned_rides_on_the_calls_of_an_idle_mount() -> None:
    """No call an hour above those of the same mount without a pin, in use or neglected."""
    counts = []
    for watched in (False, True):
        service = Service()
        async with a_mount(service, watched=watched):
            await trio.sleep(HOUR_S + 300)
            first = len(service.moments)
            await trio.sleep(6 * HOUR_S)
        counts.append((first, len(service.moments) - first))
    (first, later), (first_pinned, later_pinned) = counts
    assert first_pinned <= first
    assert later_pinned <= later


@virtual
async def test_what_is_pinned_and_never_looked_at_is_polled_as_seldom_as_can_be() -> None:
    service = Service()
    async with trio.open_nursery() as nursery:
        listings = Listings(
            service.list_children, service.no_size, nursery, freshness=Freshness(), timeout_s=30,
            service_folders=False,
        )  # fmt: skip
        poller = Poller(listings, Periods(), hub_period_s=300.0, calls_for=lambda _: 1)
        for directory in (Root(), HUB, PROJECTS[0], folder(PROJECTS[0], 1)):
            await listings.get(directory)
        service.moments.clear()
        poller.watch(folder(PROJECTS[0], 1))
        nursery.start_soon(poller.run)
        await trio.sleep(HOUR_S)
        nursery.cancel_scope.cancel()
    assert 11 <= len(service.moments) <= 12
