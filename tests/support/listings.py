"""Listings over a made-up service, in virtual time, and a listing as it lies on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import trio

from dmfs.errors import DriveError
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
    Shortcut,
)
from dmfs.namespace.listing_codec import Record
from dmfs.namespace.listings import Freshness, Listings
from dmfs.system.clock import Moment
from tests.support.helpers import a_file

HUB = Hub(HubId("b.h"), "Hub")
PROJECT = Project(ProjectId("b.p"), HUB.id, "Project")
RULES = Freshness(ttl=60, hub_ttl=300, patience=1, rollup_trust=900)
TOP = ("Hub", "Project", "top")
DEEP = (*TOP, "mid", "deep")


def folder(name: str, rollup: int | None = None, **fields: Any) -> Folder:
    return Folder(FolderId(name), PROJECT.id, HUB.id, name, rollup_ns=rollup, **fields)


class World:
    """Directory identity → children; counts and delays the requests."""

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
        self.sizes_fetched: list[str] = []

    async def list_children(self, directory: Directory) -> list[Child]:
        self.calls[directory.name] += 1
        answer = list(self.children[directory.identity])  # true at the request
        await trio.sleep(self.delay_s)
        error = self.errors.get(directory.name)
        if error is not None:
            raise error
        return answer

    async def fetch_size(self, file: File) -> None:
        self.sizes_fetched.append(file.name)

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
        yield Listings(world.list_children, world.fetch_size, nursery, **values)
        nursery.cancel_scope.cancel()


async def down(listings: Listings, *names: str) -> Listing:
    """List each directory on the way."""
    listing = await listings.get(Root())
    for name in names:
        child = listing.entries[name]
        assert not isinstance(child, File)
        listing = await listings.get(child)  # type: ignore[arg-type]
    return listing


PLACE = Folder(FolderId("folder"), ProjectId("b.project"), HubId("b.hub"), "Plans", rollup_ns=7)
LINK = Shortcut(
    item_id="item", version_id=None, folder_id="folder", project_id="b.project", hub_id="b.hub",  # type: ignore[arg-type]
    name="x.url", body=b"\xff\x00",
)  # fmt: skip
SUB = Folder(FolderId("sub"), ProjectId("b.project"), HubId("b.hub"), "Sub", object_count=3)


def a_record(**fields: Any) -> Record:
    """The listing of PLACE; ``fields`` replace some of it."""
    entries = {"a\udcff.dwg": a_file("a"), "Sub": SUB, "x.url": LINK, "none": a_file("n", None)}
    values: dict[str, Any] = {
        "moment": Moment.now(), "directory": PLACE, "parent": "project b.hub b.project",
        "rollup_ns": 7, "entries": entries,
    }  # fmt: skip
    return Record(**values | fields)
