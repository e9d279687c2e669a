"""The reference model: whatever readers do while the service changes and fails, what they see is
what was true not long ago, or an error. Without a mount, in virtual time.

A dict of folders and versions is the truth. The bytes of a version are a function of its storage
id and the offset, so a mix of versions shows in the first byte. Programs of reader operations,
changes and faults are hypothesis's; a found bug stays as an ``@example`` under a name.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import itertools
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.blocks.reader import Reader
from dmfs.errors import (
    AccessError,
    BadResponseError,
    BusyError,
    DriveError,
    ETagDiffersError,
    GoneError,
    UnreachableError,
    UrlRefusedError,
)
from dmfs.fetch.curl.transfer import RangeRequest
from dmfs.fetch.object_client import ObjectClient
from dmfs.fuse.inode_table import InodeTable
from dmfs.model import (
    Child,
    Directory,
    File,
    Folder,
    FolderId,
    HubId,
    ItemId,
    Listing,
    ProjectId,
    SignedObject,
    SignedRange,
    StorageId,
    VersionId,
)
from dmfs.namespace.listings import Freshness, Listings
from dmfs.namespace.xattrs import attributes_of
from dmfs.spans import BLOCK_BYTES, MIB
from dmfs.system import backoff
from tests.hostile.kernel import PAGE_BYTES, Kernel, replies_of_ours
from tests.support.helpers import in_virtual_time

TTL_S, PATIENCE_S, TIMEOUT_S, DATA_TIMEOUT_S = 60.0, 1.0, 30.0, 60.0
LATENCY_S = 0.1
MEMORY = 24 * MIB
BROKEN = {errno.EIO, errno.EACCES, errno.ESTALE, errno.ETIMEDOUT, errno.EBUSY}
STEPS = int(os.environ.get("DMFS_MODEL_STEPS", "50"))
EXAMPLES = int(os.environ.get("DMFS_MODEL_EXAMPLES", "50"))
_TILE = random.Random(11).randbytes(1_000_003)
SIZES = (0, 1, 5_000, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * MIB, 8 * MIB, 8 * MIB + 1, 20 * MIB + 77)


def content(storage_id: str, start: int, stop: int) -> bytes:
    """The bytes of a storage object: a tile, shifted and reversed by the id."""
    seed = int.from_bytes(hashlib.sha256(storage_id.encode()).digest()[:4], "big")
    pieces = []
    while start < stop:
        at = (start + seed) % len(_TILE)
        piece = _TILE[at : at + stop - start]
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def odd_twin(storage_id: str) -> str:
    """Whose bytes an odd node gives instead."""
    return f"odd {storage_id}"


@dataclass
class Item:
    """A file of the service, through its versions."""

    id: str
    name: str
    parent: str
    size: int
    version: int = 1
    hidden: bool = False
    gone: bool = False

    @property
    def storage(self) -> str:
        return f"urn:adsk.objects:os.object:b/{self.id}.{self.version}"


@dataclass
class Place:
    """A folder of the service."""

    id: str
    name: str
    parent: str
    hidden: bool = False
    rollup: int = 1


@dataclass
class Faults:
    """What goes wrong from now on, and how often."""

    kind: str = ""
    left: int = 0

    def strike(self, *kinds: str) -> bool:
        if self.kind in kinds and self.left > 0:
            self.left -= 1
            return True
        return False


class Service:
    """The truth, and the two doors through which the drive sees it."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.places = {"top": Place("top", "top", "")}
        self.items: dict[str, Item] = {}
        self.sizes: dict[str, int] = {}
        self.faults = Faults()
        self.refused: set[str] = set()
        self.history: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        self.numbers = itertools.count(1)
        self.signed_after = float("-inf")
        self.gets = self.lists = 0
        self.odd: set[str] = set()
        """Objects that an odd node served: another ETag, and bytes of something else. Should it
        have been the first one, who read them gets an error when the right ones come, and reads
        on after having opened the file again. Never a mix of the two."""
        self.chunked: set[str] = set()
        """Objects that were signed in parts at some time."""
        for _ in range(3):
            self.add_folder("top")
        for _ in range(6):
            self.add_file(self.dice.choice(list(self.places)), self.dice.choice(SIZES))
        self.record()

    # Changes

    def add_folder(self, parent: str) -> None:
        number = next(self.numbers)
        self.places[f"d{number}"] = Place(f"d{number}", f"folder {number}", parent)
        self.touch(parent)

    def add_file(self, parent: str, size: int) -> None:
        number = next(self.numbers)
        item = self.items[f"i{number}"] = Item(f"i{number}", f"file {number}.bin", parent, size)
        self.sizes[item.storage] = size
        self.touch(parent)

    def touch(self, place: str) -> None:
        while place:
            self.places[place].rollup += 1
            place = self.places[place].parent

    def below(self, place: str, maybe: str) -> bool:
        while maybe:
            if maybe == place:
                return True
            maybe = self.places[maybe].parent
        return False

    def record(self) -> None:
        """What each folder holds from this moment on."""
        now = trio.current_time()
        for place in self.places:
            seen = self.children_of(place)
            told = self.history.setdefault(place, [])
            if not told or told[-1][1] != seen:
                told.append((now, seen))

    def children_of(self, place: str) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for each in self.places.values():
            if each.parent == place and not each.hidden:
                rows[each.id] = (each.name, "folder")
        for item in self.items.values():
            if item.parent == place and not item.hidden and item.id not in self.refused:
                rows[item.id] = (item.name, item.storage)
        return rows

    # The doors

    async def children(self, directory: Directory) -> tuple[list[Child], tuple[str, ...]]:
        assert isinstance(directory, Folder)
        self.lists += 1
        await trio.sleep(LATENCY_S / 2)
        await self._fail("list")
        rows = [self._node(key) for key in self.children_of(directory.id)]
        self.dice.shuffle(rows)
        await trio.sleep(LATENCY_S / 2)
        return rows, ()

    def _node(self, key: str) -> Child:
        if key in self.places:
            return self.folder(key)
        item = self.items[key]
        return File(
            ItemId(item.id), VersionId(f"{item.id}?version={item.version}"),
            StorageId(item.storage), FolderId(item.parent), ProjectId("b.p"), HubId("b.h"),
            item.name, item.size, created_ns=int(item.id[1:]),
        )  # fmt: skip

    def folder(self, key: str) -> Folder:
        place = self.places[key]
        return Folder(
            FolderId(key), ProjectId("b.p"), HubId("b.h"), place.name, rollup_ns=place.rollup,
            created_ns=0,
        )  # fmt: skip

    async def _fail(self, what: str) -> None:
        if self.faults.strike("down"):
            raise UnreachableError(f"cannot {what}: made up")
        if self.faults.strike("damaged"):
            raise BadResponseError(f"cannot {what}: made up")
        if self.faults.strike("busy"):
            raise BusyError(f"cannot {what}: made up")
        if self.faults.strike("silent"):
            await trio.sleep_forever()
        if self.faults.strike("slow"):
            await trio.sleep(5)
        if self.faults.strike("refused"):
            raise AccessError(f"cannot {what}: made up")

    async def sign(self, file: File) -> SignedObject:
        await trio.sleep(LATENCY_S)
        await self._fail("sign")
        item = self.items[file.item_id]
        if item.id in self.refused:
            raise AccessError("cannot open: revoked")
        if item.gone:
            raise GoneError("cannot open: gone")
        size = self.sizes[file.storage_id]
        url = f"https://cdn/{trio.current_time()} {file.storage_id}"
        half = size // 2
        parts: tuple[SignedRange, ...] = (SignedRange(0, size, url),)
        if size > 1 and self.dice.random() < 0.2:
            self.chunked.add(file.storage_id)
            parts = (SignedRange(0, half, url + "#0"), SignedRange(half, size, url + f"#{half}"))
        data = content(file.storage_id, 0, size) if size <= MIB else b""
        sha1 = hashlib.sha1(data).hexdigest() if data else ""
        return SignedObject(size, sha1, parts, trio.current_time() + 300)

    async def fetch(self, get: RangeRequest) -> None:
        url, start, sink = get.url, get.start, get.buffer
        self.gets += 1
        signed_at, _, key = url.removeprefix("https://cdn/").partition(" ")
        storage, _, base = key.partition("#")
        await trio.sleep(LATENCY_S / 4)
        await self._fail("read")
        if self.faults.strike("expired") or float(signed_at) < self.signed_after:
            raise UrlRefusedError("cannot read: expired")
        etag = f"{storage} {base}"
        source = storage
        if self.faults.strike("etag"):
            self.odd.add(storage)
            etag, source = "another", odd_twin(storage)
        if not get.guard.admits(etag):
            raise ETagDiffersError("cannot read: the stored object changed its ETag")
        cut = len(sink) // 2 if self.faults.strike("cut") else len(sink)
        stall = len(sink) // 3 if self.faults.strike("stall") else len(sink)
        offset, filled = int(base or 0) + start, 0
        while filled < len(sink):
            step = min(self.dice.choice((10_000, 300_000, 2_000_000)), len(sink) - filled)
            await trio.sleep(step / 50e6)
            sink[filled : filled + step] = content(source, offset + filled, offset + filled + step)
            filled += step
            if get.progress.put(filled):
                get.progress.wake()
            if filled >= cut < len(sink):
                raise UnreachableError("cannot read: made up, in the middle")
            if filled >= stall < len(sink):
                await trio.sleep_forever()


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
            with trio.fail_after(DATA_TIMEOUT_S + 1):
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


Step = tuple[str, int, int]
OPERATIONS = (
    "list", "walk", "open", "open", "read", "read", "read", "read at", "read at", "stream", "many",
    "close", "attributes", "sleep", "sleep long", "lookup absent", "map", "map", "opendir",
    "readdir", "readdir", "readdir", "closedir", "forget",
)  # fmt: skip
CHANGES = (
    "new version", "new version", "rename", "move", "hide", "restore", "revoke", "grant",
    "add file", "add folder", "gone", "hide folder", "expire", "wait out",
)  # fmt: skip
FAULTS = (
    "down", "damaged", "busy", "silent", "slow", "refused", "expired", "cut", "stall", "etag",
    "none",
)  # fmt: skip


async def _reader_step(world: World, name: str, a: int, b: int) -> None:  # noqa: C901, PLR0912
    service = world.service
    places, handles = sorted(service.places), world.handles
    place = places[a % len(places)]
    match name:
        case "list":
            await world.list(place)
        case "walk":
            await _walk(world, "top", 6)
        case "open":
            entries = await world.list(place) or {}
            files = [child for child in entries.values() if isinstance(child, File)]
            if files:
                await world.open(files[b % len(files)])
        case "read" | "read at" | "stream" if handles:
            handle = handles[a % len(handles)]
            if name == "stream":
                for offset in range(0, handle.size, MIB)[:24]:
                    await world.read(handle, offset, MIB)
                return
            offset = b * 4096 if name == "read" else b * 131_071 % (handle.size + 5000)
            await world.read(handle, offset, (1, 4096, 131_072, MIB)[b % 4])
        case "many" if handles:
            async with trio.open_nursery() as nursery:
                for number in range(8):
                    handle = handles[(a + number) % len(handles)]
                    at = (b + number * 7919) * 65_536 % (handle.size + 1)
                    nursery.start_soon(world.read, handle, at, 131_072)
        case "close" if handles:
            handles.pop(a % len(handles)).reader.close()
        case "attributes":
            entries = await world.list(place) or {}
            for child in entries.values():
                if isinstance(child, File):
                    assert attributes_of(child)["user.dmfs.storage_id"] == child.storage_id
        case "lookup absent":
            entries = await world.list(place) or {}
            assert "no such name" not in entries
        case "map" if handles:
            handle = handles[a % len(handles)]
            for number in range(6):
                await world.touch(handle, (b * 7919 + number**3 * 40_000) % (handle.size + 1))
        case "opendir":
            try:
                await world.kernel.opendir(a)
            except OSError as error:
                assert error.errno in BROKEN  # noqa: PT017 - an outcome like another
                world.count("errors")
        case "readdir":
            await world.kernel.readdir(a, b, a % 7)
        case "closedir":
            await world.kernel.closedir(a)
        case "forget":
            await world.kernel.forget()
        case "sleep":
            await trio.sleep(a % 20)
        case "sleep long":
            await trio.sleep(50 + a * 7 % 400)


async def _walk(world: World, place: str, depth: int) -> None:
    entries = await world.list(place)
    for child in (entries or {}).values():
        if isinstance(child, Folder) and depth:
            await _walk(world, child.id, depth - 1)


def _change_step(service: Service, name: str, a: int, b: int) -> None:  # noqa: C901
    items, places = sorted(service.items), sorted(service.places)
    item = service.items[items[a % len(items)]]
    place = service.places[places[b % len(places)]]
    before = item.parent
    match name:
        case "new version":
            item.version += 1
            item.size = SIZES[b % len(SIZES)]
            service.sizes[item.storage] = item.size
        case "rename":
            item.name = f"renamed {a} {b}.bin"
        case "move":
            item.parent = place.id
        case "hide" | "restore":
            item.hidden = name == "hide"
        case "revoke":
            service.refused.add(item.id)
        case "grant":
            service.refused.discard(item.id)
        case "gone":
            item.gone = True
        case "add file":
            service.add_file(place.id, SIZES[a % len(SIZES)])
        case "add folder":
            service.add_folder(place.id)
        case "hide folder" if place.id != "top":
            place.hidden = not place.hidden
            service.touch(place.parent)
        case "expire":
            service.signed_after = trio.current_time()
    for touched in (before, item.parent):
        service.touch(touched)
    service.record()


async def run_program(steps: list[Step], seed: int) -> dict[str, int]:
    """Run a program against a new world; what was seen, by kind."""
    trio._core._run._r.seed(seed)  # the order in which trio wakes tasks of one moment
    service = Service(random.Random(seed))
    async with trio.open_nursery() as nursery:
        source = Unthreaded(service, service, nursery, timeout_s=TIMEOUT_S * 0.95)
        backoff._random.seed(seed)
        sizes = ObjectSizes(source, None)
        listings = Listings(
            service.children, sizes.learn, nursery,
            freshness=Freshness(ttl=TTL_S, patience=PATIENCE_S), timeout_s=TIMEOUT_S * 0.95,
            service_folders=False,
        )  # fmt: skip
        blocks = BlockCache(
            source, None, nursery, memory_bytes=MEMORY, connections=8, connections_per_file=6,
            timeout_s=DATA_TIMEOUT_S * 0.95,
        )  # fmt: skip
        tree = InodeTable(service.folder("top"), listings)
        world = World(service, listings, blocks, sizes, tree, nursery)
        # (how old a listing may be is checked where it is asked for directly)
        world.kernel = Kernel(
            listings, blocks, sizes, service.folder("top"),
            lambda listing: world.check(listing, 0.0, calm=False),
        )  # fmt: skip
        for name, a, b in steps:
            if name in FAULTS:
                service.faults = Faults(name, 0 if name == "none" else 1 + a % 9)
                world.quiet_since = trio.current_time()
            elif name == "wait out":
                service.faults = Faults()
                world.quiet_since = trio.current_time()
                await trio.sleep(200)
            elif name in CHANGES:
                _change_step(service, name, a, b)
            else:
                if service.faults.left:
                    world.quiet_since = trio.current_time()
                await _reader_step(world, name, a, b)
        await _settle(world)
        world.seen |= {"seeks": world.kernel.seeks, "faults": world.kernel.faults}
        nursery.cancel_scope.cancel()
    return world.seen


async def _settle(world: World) -> None:
    """When all is over: every handle reads right to the end, every gauge is back at zero."""
    service = world.service
    service.faults = Faults()
    await trio.sleep(400)
    for handle in world.handles.copy():
        item = service.items[handle.file.item_id]
        odd = handle.file.storage_id in service.odd
        before = world.seen.get("errors", 0)
        await world.read(handle, max(0, handle.size - 70_000), 100_000)
        fine = item.id not in service.refused and not item.gone
        if odd and world.seen.get("errors", 0) > before:
            handle.reader.close()
            before = world.seen["errors"]
            if fine:  # the reader's own remedy: it was told that what it read is not to be mixed
                await world.open(handle.file)
                await world.read(world.handles[-1], max(0, handle.size - 70_000), 100_000)
                world.handles.pop().reader.close()
        else:
            handle.reader.close()
        assert not fine or world.seen.get("errors", 0) == before, "does not recover"
    await world.kernel.close()
    await trio.sleep(100)
    slots = world.blocks._connections
    assert (slots.in_use, len(slots._waiting), sum(slots._used.values())) == (0, 0, 0)
    buffers = sum(len(run.buffer or b"") for run in world.blocks.extents())
    assert world.blocks.memory_used == buffers <= MEMORY
    assert not world.blocks._memory.waiting()
    assert all(run.landed and not run.pins for run in world.blocks.extents())
    assert not world.listings._flights._flights
    assert all(opened.users == 0 for opened in world.blocks._objects)
    assert len(world.nursery.child_tasks) == 0, "tasks are left"


step = st.tuples(
    st.sampled_from(OPERATIONS * 3 + CHANGES + FAULTS), st.integers(0, 400), st.integers(0, 400)
)


@settings(
    max_examples=EXAMPLES, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(steps=st.lists(step, min_size=5, max_size=STEPS), seed=st.integers(0, 1 << 30))
def test_readers_see_what_was_true_or_an_error(steps: list[Step], seed: int) -> None:
    run: Callable[[], Any] = lambda: run_program(steps, seed)  # noqa: E731
    with replies_of_ours():
        in_virtual_time(run)


def test_a_long_program() -> None:
    """One seeded program of thousands of steps: what short ones do not reach (evictions, many open
    files, listings that were stale and refreshed many times)."""
    dice = random.Random(2026)
    names = [*OPERATIONS * 3, *CHANGES, *FAULTS]
    steps = [
        (dice.choice(names), dice.randrange(400), dice.randrange(400))
        for _ in range(int(os.environ.get("DMFS_MODEL_LONG", "600")))
    ]
    with replies_of_ours():
        seen = in_virtual_time(lambda: run_program(steps, 7))
    least = {"reads": 100, "listings": 100, "pages": 50, "faults": 20, "seeks": 20}
    for what, number in least.items():
        assert seen[what] > number, (what, seen)
    assert seen["pages"] > seen["faults"], "no page was ever found in the kernel"


__all__ = ["dataclasses"]
