"""A service of items, versions and storages in memory, which can be made to fail in every way."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import trio

from dmfs import errors
from dmfs.model import File, Folder, FolderId, HubId, ItemId, Listing, Project, ProjectId, StorageId
from dmfs.write.parts.slices import Source
from dmfs.write.records import Base, Place
from dmfs.write.upload.plan.conflicts import extension, folded

HUB, PROJECT, FOLDER = HubId("b.h"), ProjectId("b.p"), FolderId("folder")
ME, OTHER = "me", "Ada"
START_S = 1.7e9


def sha1(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


class Urls(NamedTuple):
    upload_key: str
    urls: list[str]
    expires_at: float
    upload_ends_s: float


class Details(NamedTuple):
    size_bytes: int
    sha1: str


class Tip(NamedTuple):
    file: File | None
    reserved_by: str
    exists: bool
    created_by: str
    reserved_by_id: str = ""


class Posted(NamedTuple):
    file: File
    conforming: bool = True


@dataclass
class Storage:
    name: str
    data: bytes | None = None
    used: bool = False
    sessions: dict[str, dict[int, bytes]] = field(default_factory=dict)
    singles: set[str] = field(default_factory=set)


@dataclass
class Version:
    number: int
    name: str
    storage_id: StorageId
    data: bytes
    by: str
    at_s: float


@dataclass
class Item:
    id: ItemId
    versions: list[Version]
    hidden: bool = False
    reserved_by: str = ""

    @property
    def tip(self) -> Version:
        return self.versions[-1]


class Fault(NamedTuple):
    """What happens to a call: ``before`` or ``after`` its effect, with which answer."""

    kind: str
    error: Callable[[], BaseException] | None = None
    effect: str = "none"
    """``none``, ``done`` or ``late``."""
    late_s: float = 30.0
    change: Callable[[Any], Any] | None = None


def wall_s() -> float:
    return START_S + trio.current_time()


class World:
    """Also what it counts as a wrong: used storages, a second POST without a look."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.items: dict[ItemId, Item] = {}
        self.storages: dict[StorageId, Storage] = {}
        self.folder_gone = False
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        """Of a call, used up from the front; ``always`` stays."""
        self.always: dict[str, Fault] = {}
        self.before: dict[str, list[Callable[[], object]]] = defaultdict(list)
        self.at_call: dict[int, list[Callable[[], object]]] = defaultdict(list)
        """Before the nth call of all."""
        self.calls_max = 3000
        self.calls: Counter[str] = Counter()
        self.parts_put: Counter[tuple[str, int]] = Counter()
        self.session_s = 86400.0
        self.no_sha1 = False
        self.other_storage_id = False
        self.list_lag_s = 0.0
        self.delay_s = 0.0
        self.project = PROJECT
        self.strange_etags = False
        self.storage_first = False
        self.wrongs: list[str] = []
        self._lost_at: dict[str, float] = {}
        """Of storages: when the answer to their last POST was lost."""

    # the service's side

    def add(self, name: str, data: bytes, by: str = OTHER) -> Item:
        storage_id = self._store(name, data)
        item = Item(ItemId(f"item:{len(self.items)}"), [])
        self.items[item.id] = item
        item.versions.append(Version(1, name, storage_id, data, by, wall_s() - 1000))
        return item

    def other_writes(self, item: Item, data: bytes, by: str = OTHER) -> Version:
        storage_id = self._store(item.tip.name, data)
        version = Version(len(item.versions) + 1, item.tip.name, storage_id, data, by, wall_s())
        item.versions.append(version)
        return version

    def _store(self, name: str, data: bytes) -> StorageId:
        storage_id = StorageId(f"urn:objects:bucket/{len(self.storages)}{extension(name)}")
        self.storages[storage_id] = Storage(name, data, used=True)
        return storage_id

    def file(self, item: Item, version: Version) -> File:
        return File(
            item.id, f"{item.id}?version={version.number}", version.storage_id, FOLDER,
            self.project, HUB, version.name, len(version.data), mtime_ns=int(version.at_s * 1e9),
            created_ns=int(item.versions[0].at_s * 1e9), version_number=version.number,
            created_by=version.by, extension_type="versions:autodesk.bim360:File",
        )  # fmt: skip

    def base(self, item: Item) -> Base:
        return Base.of(self.file(item, item.tip), len(item.tip.data))

    def everything(self) -> list[Version]:
        return [version for item in self.items.values() for version in item.versions]

    def with_bytes(self, data: bytes) -> list[Version]:
        return [each for each in self.everything() if each.data == data]

    # its calls

    async def _do(self, call: str, effect: Callable[[], Any], *, post: str = "") -> Any:
        self.calls[call] += 1
        assert sum(self.calls.values()) < self.calls_max, f"without end: {self.calls}"
        await trio.sleep(self.delay_s)
        for change in self.before.pop(call, []):
            change()
        for change in self.at_call.pop(sum(self.calls.values()), []):
            change()
        if post and trio.current_time() < self._lost_at.pop(post, -100.0) + 10:
            self.wrongs.append("a second POST within 10 s of a lost answer")
        fault = self.always.get(call)
        if self.faults[call]:
            fault = self.faults[call].pop(0)
        if fault is None:
            return effect()
        if fault.kind == "stall":
            await trio.sleep_forever()
        if fault.effect == "late":
            self.nursery.start_soon(self._later, fault.late_s, effect)
        answer = effect() if fault.effect == "done" else None
        if fault.error is not None:
            error = fault.error()
            if post and isinstance(error, errors.UnknownOutcomeError):
                self._lost_at[post] = trio.current_time()
            raise error
        return fault.change(answer) if fault.change else answer

    async def _later(self, seconds: float, effect: Callable[[], Any]) -> None:
        await trio.sleep(seconds)
        try:
            effect()
        except errors.DriveError:
            pass

    async def storage(self, project_id: Any, target: Any, name: str) -> StorageId:
        def effect() -> StorageId:
            if self.folder_gone:
                raise errors.GoneError("no such folder")
            storage_id = StorageId(f"urn:objects:bucket/{len(self.storages)}{extension(name)}")
            self.storages[storage_id] = Storage(name)
            return storage_id

        return await self._do("storage", effect)

    async def part_urls(
        self, storage_id: StorageId, *, first: int, count: int, upload_key: str = "",
        accelerate: bool = True,
    ) -> Urls:  # fmt: skip
        def effect() -> Urls:
            storage = self.storages[storage_id]
            key = upload_key
            if not key:
                key = f"{storage_id}:{len(storage.sessions)}@{wall_s() + self.session_s}"
                storage.sessions[key] = {}
                if count == 1:
                    storage.singles.add(key)
            elif key not in storage.sessions or key in storage.singles:
                raise errors.BadInputError("no such upload")
            ends_s = float(key.partition("@")[2])
            if ends_s < wall_s():
                raise errors.BadInputError("the upload has expired")
            urls = [f"{storage_id}|{key}|{number}" for number in range(first, first + count)]
            return Urls(key, urls, trio.current_time() + 3600, ends_s)

        return await self._do("urls", effect)

    async def put(self, request: Any) -> str:
        storage_id, key, number = request.url.split("|")
        data = Source(request.pieces).read(request.length)
        assert len(data) == request.length

        def effect(data: bytes = data) -> str:
            self.storages[storage_id].sessions[key][int(number)] = data
            self.parts_put[key, int(number)] += 1
            return "f" * 32 if self.strange_etags else md5(data)

        fault = self.faults["put"][0] if self.faults["put"] else self.always.get("put")
        if fault is not None and fault.kind == "corrupt":
            return await self._do("put", lambda: effect(data[:-1] + b"?"))
        etag = await self._do("put", effect)
        request.on_sent(len(data))
        return etag

    async def complete(
        self, storage_id: StorageId, upload_key: str, size_bytes: int, etags: Sequence[str]
    ) -> int:
        def effect() -> int:
            storage = self.storages[storage_id]
            if storage.data is not None:
                raise errors.BadInputError("it is complete already")
            parts = storage.sessions[upload_key]
            wrong = [
                number
                for number, etag in enumerate(etags, 1)
                if not self.strange_etags and md5(parts.get(number, b"?")) != etag
            ]
            if wrong:
                raise errors.PartsRefusedError("parts are wrong", wrong)
            data = b"".join(parts[number] for number in range(1, len(etags) + 1))
            if len(data) != size_bytes:
                raise errors.PartsRefusedError("another size")
            storage.data = data
            return len(data)

        return await self._do("complete", effect)

    async def details(self, storage_id: StorageId) -> Details | None:
        def effect() -> Details | None:
            storage = self.storages.get(storage_id)
            if storage is None or storage.data is None:
                return None
            return Details(len(storage.data), "" if self.no_sha1 else sha1(storage.data))

        return await self._do("details", effect)

    async def item(self, project: Project, item_id: ItemId) -> Tip:
        def effect() -> Tip:
            item = self.items.get(item_id)
            if item is None:
                return Tip(None, "", False, "")
            if item.hidden:
                return Tip(None, "", True, "")
            file, who = self.file(item, item.tip), item.reserved_by
            return Tip(file, who and f"{who} Example", True, item.tip.by, who)

        return await self._do("tip", effect)

    async def version_of(self, tip: File, number: int) -> File | None:
        item = self.items[tip.item_id]
        versions = [each for each in item.versions if each.number == number]
        return self.file(item, versions[0]) if versions else None

    def _take(self, storage_id: StorageId, name: str) -> tuple[StorageId, bytes]:
        storage = self.storages[storage_id]
        if storage.used:
            raise errors.BadInputError("the storage is used already")
        if storage.data is None:
            raise errors.BadInputError("the storage is not complete")
        if extension(storage.name) != extension(name):
            raise errors.BadInputError("the extension is another one")
        storage.used = True
        if self.other_storage_id:
            return self._store(name, storage.data), storage.data
        return storage_id, storage.data

    async def new_item(
        self, project_id: Any, folder_id: Any, name: str, storage_id: StorageId, *, hub_id: Any
    ) -> Posted:
        def effect() -> Posted:
            if self.folder_gone:
                raise errors.GoneError("no such folder")
            if self.storage_first and self.storages[storage_id].used:
                raise errors.BadInputError("the storage is used already")
            if any(folded(each.tip.name) == folded(name) for each in self.live()):
                raise errors.NameTakenError("the name is taken")
            final, data = self._take(storage_id, name)
            item = Item(ItemId(f"item:{len(self.items)}"), [])
            item.versions.append(Version(1, name, final, data, ME, wall_s()))
            self.items[item.id] = item
            return Posted(self.file(item, item.tip))

        return await self._do("new_item", effect, post=storage_id)

    async def new_version(
        self, project_id: Any, item_id: ItemId, name: str, storage_id: StorageId, *, hub_id: Any
    ) -> Posted:
        def effect() -> Posted:
            item = self.items[item_id]
            if item.hidden:
                raise errors.GoneError("the item is deleted")
            if item.reserved_by not in ("", ME):
                raise errors.LockedError("locked by somebody")
            final, data = self._take(storage_id, name)
            version = Version(len(item.versions) + 1, name, final, data, ME, wall_s())
            item.versions.append(version)
            return Posted(self.file(item, version))

        return await self._do("new_version", effect, post=storage_id)

    async def copy_item(
        self, project_id: Any, folder_id: Any, version_id: str, name: str
    ) -> Posted:
        def effect() -> Posted:
            if any(folded(each.tip.name) == folded(name) for each in self.live()):
                raise errors.NameTakenError("the name is taken")
            item_id, _, number = version_id.partition("?version=")
            source = self.items[ItemId(item_id)].versions[int(number) - 1]
            item = Item(ItemId(f"item:{len(self.items)}"), [])
            item.versions.append(Version(1, name, source.storage_id, source.data, ME, wall_s()))
            self.items[item.id] = item
            return Posted(self.file(item, item.tip))

        return await self._do("copy", effect)

    def live(self) -> list[Item]:
        return [each for each in self.items.values() if not each.hidden]

    async def list_again(self, place: Place) -> Listing:
        def effect() -> Listing:
            if self.folder_gone:
                raise errors.GoneError("no such folder")
            before = wall_s() - self.list_lag_s
            entries = {
                each.tip.name: self.file(each, each.tip)
                for each in self.live()
                if each.versions[0].at_s <= before
            }
            folder = Folder(FOLDER, PROJECT, HUB, "folder")
            return Listing(folder, entries, trio.current_time())

        return await self._do("list", effect)
