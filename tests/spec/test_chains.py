"""What leads to very many directories, as it travels: each listing is looked at once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio

from dmfs.model import Directory, Folder, FolderId, Hub, HubId, Listing, Project, ProjectId, Root
from dmfs.namespace.listing_codec import Record, encode
from dmfs.spec.known import knowledge, memory
from dmfs.spec.known.knowledge import pack, record_of, unpack
from dmfs.spec.known.memory import CHAINS_AT_ONCE, Memory

HUB = Hub(HubId("b.hub"), "H")
PROJECT = Project(ProjectId("b.project"), HUB.id, "P")
COUNT = 3 * CHAINS_AT_ONCE


def folder(name: str) -> Folder:
    return Folder(FolderId(f"urn:{name}"), PROJECT.id, HUB.id, name)


class Known:
    """Stands for a drive that has listed a folder of many, and all of these."""

    def __init__(self) -> None:
        folders = {name: folder(name) for name in map(str, range(COUNT))}
        listings = [Listing(each, {}, 0.0) for each in folders.values()]
        listings += [
            Listing(PROJECT, folders, 0.0), Listing(HUB, {"P": PROJECT}, 0.0),
            Listing(Root(), {"H": HUB}, 0.0),
        ]  # fmt: skip
        self.listings = {each.directory.identity: each for each in listings}
        self.asked: Counter[str] = Counter()

    async def recall(self, directory: Directory) -> Listing | None:
        self.asked[directory.identity] += 1
        return self.listings.get(directory.identity)


async def chains_of(drive: Any) -> list[list[Record]]:
    return await Memory().chains(drive, [f"/H/P/{number}" for number in range(COUNT)])


def test_each_listing_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And others use the loop meanwhile."""
    drive, scans, turns, chains = Known(), Counter[str](), 0, []
    has_drafts = memory._has_drafts

    def counted(listing: Listing) -> bool:
        scans[listing.directory.identity] += 1
        return has_drafts(listing)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            chains.extend(await chains_of(drive))
            nursery.cancel_scope.cancel()

    monkeypatch.setattr(memory, "_has_drafts", counted)
    trio.run(main)
    assert len(chains) == COUNT
    assert {*drive.asked.values()} == {*scans.values()} == {1}
    assert turns >= COUNT // CHAINS_AT_ONCE - 1
    known = unpack(pack(chains))
    assert len(known) == len(drive.listings)
    assert known.node(f"/H/P/{COUNT - 1}") == folder(str(COUNT - 1))


def test_what_does_not_fit_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chains, encoded = trio.run(chains_of, Known()), Counter[str]()

    def counted(record: Record) -> bytes:
        encoded[record.directory.identity] += 1
        return encode(record)

    monkeypatch.setattr(knowledge, "encode", counted)
    size_bytes = len(encode(record_of(Listing(PROJECT, {}, 0.0))))
    assert pack(chains, max_bytes=size_bytes) == b""
    assert max(encoded.values()) == 1
