"""Designs as files, of one sign-in: ordered when a person or a pin asks, kept, and shown.

No lookup and no open orders anything: what is listed and read here was made before.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import trio

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.blocks.whole.fetch import fetch_whole
from dmfs.blocks.whole.window import Window
from dmfs.errors import AccessError, DriveError, GoneError, SignedOutError
from dmfs.exports.maker import Maker
from dmfs.exports.overlay import ExportOverlay
from dmfs.exports.records import Export, ExportedFile, Key, export_name, key_of
from dmfs.exports.steps import Wish
from dmfs.model import Directory, Shortcut
from dmfs.namespace.listings import Listings
from dmfs.system.clock import wall_time_s
from dmfs.system.concurrency import deadline
from dmfs.system.disk_threads import DiskThreads

log = logging.getLogger(__name__)

LOOK_S = 2.0
"""How often a mount looks whether another process keeps something, or nothing any more."""
GONE = "the service has the exported file no more"


@dataclass(frozen=True, slots=True)
class Tools:
    """The parts of a drive that exports use."""

    listings: Listings
    blocks: BlockCache
    sizes: ObjectSizes
    require_orders: Callable[[], Awaitable[None]]
    """AccessError where this sign-in may order nothing."""
    timeout_s: float
    """Of a call."""
    patience_s: float
    """Of a job."""
    has_disk: bool
    """Whether there is a cache on disk."""


class Exports:
    """``load``, then ``show``; mounts ``start`` it, too."""

    def __init__(self, maker: Maker, tools: Tools) -> None:
        self.maker = maker
        self.tools = tools
        self.overlay = ExportOverlay()
        self._threads = DiskThreads(1)
        self._window = Window()
        self._shown: dict[Key, Export] = {}
        self._formats: dict[str, tuple[str, ...]] = {}
        self._asking = trio.Lock()

    # What is shown

    async def load(self) -> None:
        """What was kept before. What cannot be read now is not shown, with a line in the log."""
        try:
            self._use(await self._read())
        except (DriveError, OSError) as error:
            log.warning("exports: %s", error)

    def show(self) -> None:
        """From now on listings have what is kept."""
        self.tools.listings.show_as(self.overlay.apply)

    def shown(self, key: Key) -> Export | None:
        """The export if it is shown in the drive."""
        return self._shown.get(key)

    def start(self, nursery: trio.Nursery) -> None:
        """See to what is kept for as long as the drive lives."""
        nursery.start_soon(self._run, nursery)

    async def is_here(self, file: ExportedFile) -> bool:
        """Whether all of its bytes are at rest: it can be read whatever the service forgets."""
        if not self.tools.has_disk:
            return False
        try:
            found = (await self.tools.blocks.disk.at_rest([file.storage_id])).get(file.storage_id)
        except DriveError:
            return False
        return found.whole and found.size_bytes == file.size_bytes if found else not file.size_bytes

    async def ready_to_open(self, file: ExportedFile) -> bool:
        """Whether all of it is here, so that it opens without a word to the service. One that the
        service has forgotten is shown no more: GoneError, AccessError."""
        if await self.is_here(file):
            return True
        try:
            await self.tools.sizes.authoritative(file)
        except DriveError as error:
            gone = isinstance(error, GoneError | AccessError)
            if gone and not isinstance(error, SignedOutError):
                await self._lost(file)
            raise
        return False

    async def _lost(self, file: ExportedFile) -> None:
        export = await self.maker.get(Key(file.project_id, file.version_id, file.export_format))
        if export is not None and export.storage_id == file.storage_id:
            await self._forget([export])

    async def _read(self) -> list[Export]:
        return await self._threads.run(partial(self.maker.store.load, self.maker.scope))

    def _use(self, exports: Iterable[Export]) -> None:
        """From now on these; names that mean something else now are told."""
        before, self._shown = self._shown, {each.key: each for each in exports if each.shown}
        changed = [
            each
            for key, each in {**before, **self._shown}.items()
            if before.get(key) != self._shown.get(key)
        ]
        if changed:
            self.overlay.load(self._shown.values())
        for each in changed:
            for directory, names in self._names(each):
                self.tools.listings.shown_anew(directory, names)

    def _names(self, export: Export) -> list[tuple[Directory, Sequence[str]]]:
        """Where an export is shown, as far as is known."""
        design, cache = export.design, self.tools.listings.cache
        found: list[tuple[Directory, Sequence[str]]] = []
        for identity in (
            f"folder {design.project_id} {design.folder_id}",
            f"project {design.hub_id} {design.project_id}",
        ):
            cached = cache.get(identity)
            if cached is not None:
                names = [
                    export_name(name, export.format, design.item_id)
                    for name, node in cached.listing.entries.items()
                    if isinstance(node, Shortcut) and node.item_id == design.item_id
                ]
                names = names or [export_name(design.name, export.format, design.item_id)]
                found.append((cached.listing.directory, names))
        return found

    # What is made

    async def formats(self, design: Shortcut) -> tuple[str, ...]:
        """What the service makes of designs of this extension type: one call a day for each."""
        kind, maker = design.extension_type, self.maker
        async with self._asking:
            known = self._formats.get(kind) or await maker.do(
                partial(maker.store.formats, maker.scope, kind, wall_time_s())
            )
            if known is None:
                known = await self._ask_formats(design)
                await maker.do(partial(
                    maker.store.remember_formats, maker.scope, kind, known, wall_time_s()
                ))  # fmt: skip
            self._formats[kind] = known
        return known

    async def _ask_formats(self, design: Shortcut) -> tuple[str, ...]:
        assert design.version_id is not None
        with deadline(self.tools.timeout_s, "ask for the formats of a design"):
            return await self.maker.calls.formats(design.project_id, design.version_id)

    async def find(self, design: Shortcut, file_type: str) -> Export | None:
        """What is known of an export; no call."""
        return await self.maker.get(key_of(design, file_type))

    async def obtain(
        self, design: Shortcut, file_type: str, wish: Wish, *, keep: bool = False
    ) -> Export:
        """An export whose bytes the service has: with its size, and its sha1 where it is told.
        Ordered if nobody did; once more if the service forgot what was made before. DriveErrors of
        ``Maker.made``."""
        patience_s = self.tools.patience_s
        made = partial(self.maker.made, design, file_type, wish, patience_s=patience_s, keep=keep)
        export = await made()
        if export.shown and await self.is_here(export.file):
            return export
        try:
            return await self._sized(export)
        except GoneError:
            await self._forget([export])
            if export.since_s >= wish.at_s:
                raise _forgotten() from None
        export = await made()
        try:
            return await self._sized(export)
        except GoneError:
            await self._forget([export])
            raise _forgotten() from None

    async def _sized(self, export: Export) -> Export:
        file = replace(export.file, size_bytes=None)
        with deadline(self.tools.timeout_s, "look for an exported file"):
            size_bytes = await self.tools.sizes.authoritative(file)
        sha1 = self.tools.blocks.disk.sha1_of(file) or export.sha1
        sized = replace(export, size_bytes=size_bytes, sha1=sha1)
        if sized != export:
            await self.maker.put(sized)
        return sized

    async def keep(self, design: Shortcut, file_type: str, wish: Wish) -> Export:
        """An export that is shown in the drive, with all its bytes in the cache on disk (where
        there is one), out of reach of eviction. NoRoomError if they do not fit."""
        export = await self.obtain(design, file_type, wish, keep=True)
        if export.shown:
            return export
        await self._bring(export)
        shown = replace(export, keep=True, shown=True)
        await self.maker.put(shown)
        self._use([*self._shown.values(), shown])
        return shown

    async def _bring(self, export: Export) -> None:
        """Held first: what a kill leaves is a row that says what is held."""
        blocks = self.tools.blocks
        if not self.tools.has_disk or not export.size_bytes:
            return
        await blocks.disk.hold(hold=[export.storage_id])
        try:
            await fetch_whole(blocks, self.tools.sizes, export.file, self._window, prove=True)
        except GoneError:
            await self._forget([export])
            raise _forgotten() from None
        except DriveError:
            await blocks.disk.hold(let_go=[export.storage_id])
            raise

    async def _forget(self, exports: Sequence[Export]) -> None:
        """They are not shown, and their bytes need not stay."""
        keys = {each.key for each in exports}
        await self.maker.forget(*keys)
        held = [each.storage_id for each in exports if each.keep and each.storage_id]
        if held and self.tools.has_disk:
            try:
                await self.tools.blocks.disk.hold(let_go=held)
            except DriveError as error:
                log.info("exports: %s", error.message)
        self._use([each for key, each in self._shown.items() if key not in keys])

    # In a mount

    async def _run(self, nursery: trio.Nursery) -> None:
        warned, first = "", True
        while True:
            try:
                if await self._threads.run(self.maker.store.changed):
                    exports = await self._read()
                    self._use(exports)
                    if first:
                        await self._begin(exports, nursery)
                    first = False
                outdated, self.overlay.outdated = self.overlay.outdated, {}
                if outdated:
                    await self._forget([*outdated.values()])
            except (DriveError, OSError) as error:
                if str(error) != warned:
                    warned = str(error)
                    log.warning("exports: %s", error)
            await trio.sleep(LOOK_S)

    async def _begin(self, exports: Iterable[Export], nursery: trio.Nursery) -> None:
        """What was ordered and to be kept when its process ended is looked at on; nothing is
        ordered here. (Not later: a process that works now sees to its own.)"""
        for each in exports:
            if each.keep and not each.shown and each.state in ("posted", "ready"):
                nursery.start_soon(self._finish, each)
        maker = self.maker
        await maker.do(partial(maker.store.forget_old, maker.scope, wall_time_s()))

    async def _finish(self, export: Export) -> None:
        try:
            # as of then: neither a job that took too long nor a file that is gone is made anew
            await self.keep(export.design, export.format, Wish(export.since_s, by_pin=True))
        except DriveError as error:
            log.info("%r as %s: %s", export.design.name, export.format, error.message)


def _forgotten() -> DriveError:
    return DriveError(GONE, hint="the same command orders it anew")
