"""The service of the reference model: folders, versions and faults in a dict. A drive that
disagrees with it has a bug."""

from __future__ import annotations

import errno
import hashlib
import itertools
import random
from dataclasses import dataclass
from typing import Any

import trio

from dmfs.errors import (
    AccessError,
    BadResponseError,
    BusyError,
    ETagDiffersError,
    GoneError,
    UnreachableError,
    UrlRefusedError,
)
from dmfs.fetch.curl.transfer import RangeRequest
from dmfs.model import (
    Child,
    Directory,
    File,
    Folder,
    FolderId,
    HubId,
    ItemId,
    ProjectId,
    SignedObject,
    SignedRange,
    StorageId,
    VersionId,
)
from dmfs.spans import BLOCK_BYTES, MIB

TTL_S, PATIENCE_S, TIMEOUT_S, DATA_TIMEOUT_S = 60.0, 1.0, 30.0, 60.0
LATENCY_S = 0.1
MEMORY = 24 * MIB
BROKEN = {errno.EIO, errno.EACCES, errno.ESTALE, errno.ETIMEDOUT, errno.EBUSY}


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

    async def children(self, directory: Directory) -> list[Child]:
        assert isinstance(directory, Folder)
        self.lists += 1
        await trio.sleep(LATENCY_S / 2)
        await self._fail("list")
        rows = [self._node(key) for key in self.children_of(directory.id)]
        self.dice.shuffle(rows)
        await trio.sleep(LATENCY_S / 2)
        return rows

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

    async def _no_more(self, length: int) -> None:
        """libcurl ends every transfer: one in silence soon, one that drips in time."""
        await trio.sleep(self.dice.choice((15, 25 + length // 32_768)))
        raise UnreachableError("cannot read: made up, no more bytes")

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
        if self.faults.strike("silent"):
            await self._no_more(len(sink))
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
                await self._no_more(len(sink))
