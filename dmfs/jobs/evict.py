"""``evict``: let go of the cached bytes of files, to have their room back.

Goes by the listings that are known: it costs no call, and works offline. What is open, in this
process or another, and what is pinned stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dmfs.blocks.store.eviction import Evicted
from dmfs.drive import Drive
from dmfs.jobs.job import Parameters, Tell, texts_of
from dmfs.jobs.reports import Reports
from dmfs.jobs.tree import DirectoryPlace, Walk, find, folders_in
from dmfs.model import File, Shortcut, StorageId

BATCH_FILES = 256
"""In one call to the cache, and between two events."""


async def evict(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"paths": […]}``.

    Events: ``progress`` and ``done`` (``files``: looked at; ``evicted``, ``open``, ``pinned``: of
    these the objects that went and that stay, each with its ``…_bytes`` at rest).
    """
    work = _Evict(drive, Reports(tell))
    tops: list[DirectoryPlace] = []
    for path in texts_of(parameters, "paths"):
        here, _ = await find(drive, path)
        if isinstance(here.node, File | Shortcut):
            work.add([here.node])
        else:
            tops.append(DirectoryPlace(here.node, here.path))
    await Walk(tops).run(work.visit)
    await work.let_go()
    await work.reports.tell("done", **work.fields())


class _Evict:
    """One run."""

    def __init__(self, drive: Drive, reports: Reports) -> None:
        self._listings, self._blocks = drive.parts.listings, drive.parts.blocks
        self.reports = reports
        self._waiting: dict[StorageId, None] = {}
        self._files = 0
        self._so_far = Evicted()

    def add(self, nodes: Iterable[object]) -> None:
        """These files are to go."""
        for node in nodes:
            if isinstance(node, File) and node.storage_id:
                self._files += 1
                self._waiting[node.storage_id] = None

    async def visit(self, at: DirectoryPlace) -> list[DirectoryPlace]:
        """The files of one directory, if it is known; returns what lies below."""
        listing = await self._listings.recall(at.node)
        if listing is None:
            return []
        self.add(listing.entries.values())
        if len(self._waiting) >= BATCH_FILES:
            await self.let_go()
            await self.reports.progress(**self.fields())
        return folders_in(listing, at)

    async def let_go(self) -> None:
        """Evict what waits for it."""
        chosen, self._waiting = [*self._waiting], {}
        for first in range(0, len(chosen), BATCH_FILES):
            gone = await self._blocks.evict(chosen[first : first + BATCH_FILES])
            self._so_far = self._so_far.plus(gone)

    def fields(self) -> dict[str, Any]:
        """What was done so far."""
        return {"files": self._files, **self._so_far._asdict()}
