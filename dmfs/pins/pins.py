"""The pins of one sign-in as a drive sees them: what is wanted, what is whole, what is shown."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.errors import DriveError
from dmfs.exports.standing import StandingOrders
from dmfs.model import Child, File, Folder, Hub, ItemId, Node, Project, Root, Shortcut, StorageId
from dmfs.namespace.listing_store import ListingStore
from dmfs.namespace.listings import Listings
from dmfs.namespace.poller import Poller
from dmfs.pins.pin_store import PinStore
from dmfs.pins.records import Contents, Pin
from dmfs.pins.substitutes import Substitutes
from dmfs.system.concurrency import in_thread
from dmfs.system.disk_threads import DiskThreads

log = logging.getLogger(__name__)

PERCENT = 100


@dataclass(frozen=True, slots=True)
class Tools:
    """The parts of a drive that pins use."""

    listings: Listings
    listing_store: ListingStore | None
    blocks: BlockCache
    sizes: ObjectSizes
    poller: Poller
    item: Callable[[Project, ItemId], Awaitable[Child | None]]
    is_offline: Callable[[], bool]
    is_forced: Callable[[], bool]
    """Whether a person wants it offline."""
    orders: StandingOrders
    """Of designs that pins want exported."""


class Starts(Protocol):
    """The keeper, in a drive that may have one."""

    def start(self) -> None:
        """From now on, if not before already."""
        ...


class Pins:
    """What is pinned, as last read from the store."""

    def __init__(self, store: PinStore, scope: str, tools: Tools) -> None:
        self.store = store
        self.scope = scope
        self.tools = tools
        self.contents = Contents()
        self.substitutes = Substitutes(tools.is_offline)
        self._threads = DiskThreads(2)
        self._whole: set[StorageId] = set()
        self._ids: set[tuple[str, str]] = set()
        self._percents: dict[StorageId, int] = {}
        self._warned = ""
        self.touched = False
        """Whether there are other intentions since the keeper looked: the store tells each change
        once, and none of this process's own."""
        self.keeper: Starts | None = None
        tools.listings.show_as(self.substitutes.apply)

    async def refresh(self) -> bool:
        """Read the store if anybody wrote to it; whether it did. What cannot be read now stays as
        it was, with one line in the log."""
        try:
            changed = await self._threads.run(self.store.changed)
            if changed:
                self.touched = True
                self.use(await self._threads.run(partial(self.store.load, self.scope)))
        except (DriveError, OSError) as error:
            self._warn(str(error))
            return False
        self._warned = ""
        return changed

    def use(self, contents: Contents) -> None:
        """From now on these."""
        self.contents = contents
        self._ids = {(pin.project_id, pin.node_id) for pin in contents.pins}
        wholes = [each.whole for each in contents.files.values() if each.whole is not None]
        self._whole = {each.storage_id for each in wholes}
        self.substitutes.load(contents.files)

    async def do(self, work: Callable[[], None]) -> None:
        """A change of the store, for as long as the disk takes. DriveError."""
        try:
            await in_thread(work)
        except OSError as error:
            raise DriveError(f"cannot use {self.store.path}: {error}") from error

    # For doors

    def is_whole(self, file: File) -> bool:
        """Whether a version is pinned, and all of it at rest: it can be opened without a word to
        the service."""
        return file.storage_id in self._whole

    def pinned(self, node: Node) -> str:
        """``yes``, ``inherited`` or nothing."""
        if not self._ids or isinstance(node, Root):
            return ""
        if _ids_of(node) in self._ids:
            return "yes"
        if isinstance(node, File) and (node.project_id, node.version_id) in self._ids:
            return "yes"
        cache = self.tools.listings.cache
        if isinstance(node, File | Shortcut):
            above = f"folder {node.project_id} {node.folder_id}"
            if (node.project_id, node.folder_id) in self._ids:
                return "inherited"
        else:
            above = node.identity
        for _ in range(32):
            above = cache.parent_identity(above)
            if not above:
                return ""
            kind, _, ids = above.partition(" ")
            first, _, second = ids.partition(" ")
            project_id = second if kind == "project" else first
            if kind in ("project", "folder") and (project_id, second) in self._ids:
                return "inherited"
        return ""

    async def percent_at_rest(self, file: File) -> int:
        """How much of a version is on disk, 0 to 100; rounded down."""
        size_bytes = self.tools.sizes.of(file)
        if not size_bytes or file.storage_id in self._whole:
            return PERCENT
        try:
            found = (await self.tools.blocks.disk.at_rest([file.storage_id])).get(file.storage_id)
        except DriveError:
            return 0
        return 0 if found is None else PERCENT * found.at_rest_bytes // max(1, found.size_bytes)

    async def add(self, pins: Sequence[Pin]) -> None:
        """Record intentions, and see to them from now on."""
        await self.do(partial(self.store.add, self.scope, pins))
        self.touched = True
        await self.reload()
        self.touched = True  # a keeper that looked meanwhile saw what was before

    async def remove(self, pins: Iterable[Pin]) -> None:
        """Take intentions back."""
        await self.do(partial(self.store.remove, self.scope, [pin.id for pin in pins]))
        self.touched = True
        await self.reload()
        self.touched = True  # a keeper that looked meanwhile saw what was before

    async def reload(self) -> None:
        """Read all anew. DriveError."""
        try:
            self.use(await in_thread(partial(self.store.load, self.scope)))
        except OSError as error:
            raise DriveError(f"cannot use {self.store.path}: {error}") from error

    # The network comes and goes

    def on_reach(self) -> None:
        """The service can be reached again, or cannot any more: names that mean something else
        now are told to the kernel."""
        listings = self.tools.listings
        cached = [listings.cache.get(each) for each in self.substitutes.directories]
        for directory, names in self.substitutes.differing(
            None if each is None else each.listing for each in cached
        ):
            listings.shown_anew(directory, names)

    def has_two_versions(self) -> bool:
        """Whether some file has a newer version that is not whole yet."""
        files = self.contents.files.values()
        return any(each.whole is not None and each.coming is not None for each in files)

    def _warn(self, message: str) -> None:
        if message != self._warned:
            self._warned = message
            log.warning("%s", message)


def _ids_of(node: Node) -> tuple[str, str]:
    if isinstance(node, File | Shortcut):
        return node.project_id, node.item_id
    if not isinstance(node, Hub | Project | Folder):
        return "", node.identity
    project_id = getattr(node, "project_id", None) or node.id
    return project_id, node.id
