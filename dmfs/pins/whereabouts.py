"""Where pinned items and folders went that their folders no longer have.

Asked once in a while, and what is not answered yet keeps its files: failure never looks like
absence, and neither does a move of which only one half is known.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial

from dmfs.errors import DriveError, NotFoundError
from dmfs.model import Child, Directory, File, Folder, Project, Root
from dmfs.pins.pinned_listings import Retries
from dmfs.pins.pins import Pins
from dmfs.pins.records import Pin
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority

log = logging.getLogger(__name__)


class Whereabouts:
    """Of what one sign-in pinned."""

    def __init__(self, pins: Pins, retries: Retries) -> None:
        self._pins = pins
        self._tools = pins.tools
        self._retries = retries

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
        one was found."""
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
                child = await self._tools.item(project, node.item_id)
        except NotFoundError:
            pass
        except DriveError as error:
            log.debug("%s", error.message)
            return False
        if not isinstance(child, File) or not child.folder_id or child.folder_id == node.folder_id:
            return False
        folder = Folder(child.folder_id, child.project_id, child.hub_id, "")
        above: list[Directory] = [each for each in pin.chain if not isinstance(each, Folder)]
        await self._move(replace(pin, node=child, chain=[*above, folder]))
        self._retries.worked(("gone", pin.id))
        return True

    async def _move(self, there: Pin) -> None:
        await self._pins.do(partial(self._pins.store.move, self._pins.scope, there))
        await self._pins.reload()
