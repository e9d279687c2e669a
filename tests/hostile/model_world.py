"""A drive over the service of the reference model, and what its readers must see."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import trio

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.blocks.reader import Reader
from dmfs.errors import (
    DriveError,
)
from dmfs.fetch.object_client import ObjectClient
from dmfs.fuse.inode_table import InodeTable
from dmfs.model import (
    Child,
    File,
    Folder,
    Listing,
)
from dmfs.namespace.listings import Listings
from dmfs.spans import MIB
from dmfs.system.concurrency import deadline
from tests.hostile.kernel import PAGE_BYTES, Kernel
from tests.hostile.model_service import (
    BROKEN,
    DATA_TIMEOUT_S,
    LATENCY_S,
    PATIENCE_S,
    TIMEOUT_S,
    TTL_S,
    Service,
    content,
    odd_twin,
)


class Unthreaded(ObjectClient):
    """Virtual time jumps while a thread works (trio issue 456)."""

    @staticmethod
    async def _matches(data: memoryview, sha1: str) -> bool:
        await trio.lowlevel.checkpoint()
        return hashlib.sha1(data).hexdigest() == sha1


@dataclass
class Handle:
    """An open file, and the version that it opened."""

    reader: Reader
    file: File
    size: int
    source: str = ""
    """Whose bytes it has given so far: its own, or its odd twin's; '' while it has given none."""


@dataclass
class World:
    """A drive over the service, with the readers' open files."""

    service: Service
    listings: Listings
    blocks: BlockCache
    sizes: ObjectSizes
    tree: InodeTable
    nursery: trio.Nursery
    kernel: Kernel = field(init=False)
    quiet_since: float = float("-inf")
    handles: list[Handle] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)

    def count(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1

    async def list(self, place: str) -> dict[str, Child] | None:
        """A listing must be what was true within the last ttl (and a little), or an error; in
        times of trouble anything that was true once."""
        folder = self.service.folder(place)
        asked_at, calm = trio.current_time(), self.calm()
        try:
            with trio.fail_after(TIMEOUT_S + 1):
                listing = await self.listings.get(folder)
        except DriveError:
            assert not (calm and self.calm()), "an error from a healthy service"
            self.count("errors")
            return None
        self.check(listing, asked_at, calm=calm and self.calm())
        self.count("listings")
        return dict(listing.entries)

    def check(self, listing: Listing, asked_at: float, *, calm: bool) -> None:
        """It must have been true once, in calm times within the last ttl."""
        assert isinstance(listing.directory, Folder)
        place = listing.directory.id
        told = {
            child.item_id if isinstance(child, File) else child.id: (  # type: ignore[union-attr]
                child.name, child.storage_id if isinstance(child, File) else "folder"
            )
            for child in listing.entries.values()
        }  # fmt: skip
        history = self.service.history[place]
        ends = [at for at, _ in history[1:]] + [float("inf")]
        true = [(at, end) for (at, rows), end in zip(history, ends, strict=True) if rows == told]
        assert true, f"{place}: never was {told}"
        if calm:
            oldest = asked_at - TTL_S - PATIENCE_S - 2 * LATENCY_S
            assert any(end >= oldest for _, end in true), "staler than promised"

    def calm(self) -> bool:
        return trio.current_time() > self.quiet_since + 130 and not self.service.faults.left

    async def open(self, file: File) -> None:
        try:
            with trio.fail_after(TIMEOUT_S + 1):
                size = await self.sizes.authoritative(file)
                opened = await self.blocks.open(file, size)
        except DriveError:
            self.count("errors")
            return
        assert size == self.service.sizes[file.storage_id]
        reader = Reader(file, opened, self.blocks, 16 * MIB)
        self.kernel.opened(file, keep_cache=reader.keep_cache)
        self.handles.append(Handle(reader, file, size))

    async def read(self, handle: Handle, offset: int, length: int) -> bytes | None:
        """Right bytes of the version that was opened, or an error, within the deadline."""
        bounds = min(offset, handle.size), min(offset + length, handle.size)
        try:
            # (the one that every request of the kernel's has)
            with trio.fail_after(DATA_TIMEOUT_S + 1), deadline(DATA_TIMEOUT_S, "read"):
                data, _ = await handle.reader.read(offset, length)
        except DriveError as error:
            assert error.errno in BROKEN  # noqa: PT017 - an outcome like another
            self.count("errors")
            return None
        sources = self.sources(handle.file.storage_id, bytes(data), *bounds)
        # (of an object in parts each part has an ETag of its own: nothing tells between them)
        if len(sources) == 1 and handle.file.storage_id not in self.service.chunked:
            assert handle.source in ("", *sources), "bytes of two sources in one open file"
            handle.source = sources[0]
        self.count("reads")
        return bytes(data)

    def sources(self, storage_id: str, data: bytes, start: int, stop: int) -> tuple[str, ...]:
        """Whose bytes these are; those of nobody are wrong."""
        possible = [storage_id]
        if storage_id in self.service.odd:
            possible.append(odd_twin(storage_id))
        found = tuple(each for each in possible if content(each, start, stop) == data)
        assert found, f"{storage_id} at {start}: wrong bytes"
        return found

    async def touch(self, handle: Handle, offset: int) -> None:
        """A page of the mapped file: the kernel's, if it has it."""
        page = await self.kernel.touch(
            handle.file, offset, lambda start, length: self.read(handle, start, length)
        )
        if page is not None:
            start = min(offset - offset % PAGE_BYTES, handle.size)
            self.sources(handle.file.storage_id, page, start, start + len(page))
            assert len(page) == min(PAGE_BYTES, handle.size - start)
            self.count("pages")
