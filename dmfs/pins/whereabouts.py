"""Where pinned items and folders went that their folders no longer have.

Asked once in a while, and what is not answered yet keeps its files: failure never looks like
absence, and neither does a move of which only one half is known.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial

import trio

from dmfs.errors import DriveError, NotFoundError
from dmfs.model import Child, Directory, File, Folder, Project, Root
from dmfs.pins.pin_plan import Survey, absent
from dmfs.pins.pins import Pins
from dmfs.pins.records import Key, Pin, PinnedFile
from dmfs.pins.retries import Retries
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority

log = logging.getLogger(__name__)

ABSENT_S = 60.0
"""What is listed no more may have moved to another pinned directory: by then the poller has shown
it there."""
ABSENT_WAITING_S = 600.0
"""The same while some of them cannot be listed: one without permission may stay so for ever."""


class Absences:
    """Since when files are listed no more."""

    def __init__(self) -> None:
        self._since: dict[Key, float] = {}
        self._limit_s = ABSENT_S

    def spared(
        self,
        found: Survey,
        files: Mapping[Key, PinnedFile],
        unanswered: Collection[Key],
        *,
        waiting: bool,
    ) -> set[Key]:
        """Those that are not to be let go of now. ``unanswered``: nobody said yet where they went;
        ``waiting``: what is in some directories is not known, or out of date."""
        now = trio.current_time()
        self._limit_s = ABSENT_WAITING_S if waiting else ABSENT_S
        self._since = {key: self._since.get(key, now) for key in absent(found, files)}
        if len(found.directories) < 2:
            return {key for key in self._since if key in unanswered}
        return {
            key
            for key, since in self._since.items()
            if key in unanswered
            or (files[key].directory in found.directories and now < since + self._limit_s)
        }

    def due(self) -> bool:
        """Whether one was spared for long enough."""
        return any(trio.current_time() >= each + self._limit_s for each in self._since.values())


class Whereabouts:
    """Of what one sign-in pinned."""

    def __init__(self, pins: Pins, retries: Retries) -> None:
        self._pins = pins
        self._tools = pins.tools
        self._retries = retries
        self._absences = Absences()
        self.due = self._absences.due
        self._deleted: set[int] = set()
        """Pins of items of which the service said so."""

    def spared(
        self, pins: Iterable[Pin], found: Survey, files: Mapping[Key, PinnedFile], *, waiting: bool
    ) -> set[Key]:
        """Files that are not to be let go of now though they are listed no more."""
        self._deleted &= found.gone
        unanswered = {
            (pin.project_id, pin.node_id)
            for pin in pins
            if pin.id in found.gone and pin.id not in self._deleted
        }
        return self._absences.spared(found, files, unanswered, waiting=waiting)

    async def follow_folders(self, pins: Collection[Pin]) -> None:
        """A folder that is listed elsewhere now: what is above it there tells of its changes."""
        for pin in pins:
            if pin.kind != "folder":
                continue
            chain = self._tools.listings.cache.chain(pin.top)[:-1]
            moved = [each.identity for each in chain] != [each.identity for each in pin.chain]
            if chain and moved and isinstance(chain[0], Root):
                await self._move(replace(pin, chain=chain))

    async def follow(self, gone: Iterable[Pin]) -> bool:
        """Ask once in a while where pinned items went that their folders no longer have; whether
        there is something new."""
        moved = False
        for pin in gone:
            if not isinstance(pin.node, File) or not self._retries.may_try(("gone", pin.id)):
                continue
            self._retries.failed(("gone", pin.id), None)
            project = next((each for each in pin.chain if isinstance(each, Project)), None)
            if project is None or self._tools.is_offline():
                continue
            moved = await self._follow(pin, pin.node, project) or moved
        return moved

    async def _follow(self, pin: Pin, node: File, project: Project) -> bool:
        child: Child | None = None
        try:
            with at_priority(RequestPriority(Priority.POLL)):
                try:
                    child = await self._tools.item(project, node.item_id)
                except NotFoundError:
                    child = None
                if isinstance(child, File) and child.folder_id == node.folder_id:
                    await self._tools.listings.renew(pin.top)  # it is back, or was listed wrongly
                    return True
        except DriveError as error:
            log.debug("%s", error.message)
            return False
        if child is None:
            known = pin.id in self._deleted
            self._deleted.add(pin.id)
            return not known
        if not isinstance(child, File) or not child.folder_id:
            return False
        folder = Folder(child.folder_id, child.project_id, child.hub_id, "")
        above: list[Directory] = [each for each in pin.chain if not isinstance(each, Folder)]
        await self._move(replace(pin, node=child, chain=[*above, folder]))
        self._retries.worked(("gone", pin.id))
        return True

    async def _move(self, there: Pin) -> None:
        await self._pins.do(partial(self._pins.store.move, self._pins.scope, there))
        await self._pins.reload()
