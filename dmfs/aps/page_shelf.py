"""Pages of listings that could not be finished: the next try goes on from them.

A folder of 100 000 entries has 500 pages, the published rate is 300 a minute: no deadline is long
enough. In memory, and behind it on disk (``Backing``), so that the next process goes on too.

Between two tries the folder may change, which moves entries from page to page. The last page that
is shelved is requested again: if it shows what it did, nothing before its end has moved the rest.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from dmfs.aps.contents import Contents
from dmfs.aps.paging import PAGES_MAX, Query, Shelved, numbered_query
from dmfs.model import FolderId, Project, own_id

log = logging.getLogger(__name__)

KEEP_FROM_PAGES = 5
"""Fewer are requested again: a second of the rate."""
KEEP_S = 600.0
"""Ten windows of the rate."""
SAVE_S = 10.0


class Backing(Protocol):
    """The pages 0, 1 … of a folder, where they outlive this process."""

    async def load(self, project: Project, folder_id: FolderId, max_age_s: float) -> list[Contents]:
        """None older than ``max_age_s``; empty if there are none."""
        ...

    async def save(self, project: Project, folder_id: FolderId, pages: list[Contents]) -> None:
        """In place of what was saved; none forgets it."""
        ...


class PageShelf:
    """``take`` before a listing, ``put`` after one that failed, ``drop`` once it is whole."""

    def __init__(self, backing: Backing | None = None) -> None:
        self._backing = backing
        self._shelf: OrderedDict[str, tuple[float, Shelved[Contents]]] = OrderedDict()
        self._pages = 0
        self.resumed = 0
        """Pages that were not requested again."""

    async def take(
        self,
        project: Project,
        folder_id: FolderId,
        get_page: Callable[[Query], Awaitable[tuple[Contents, Query | None]]],
        expected: int,
    ) -> Shelved[Contents]:
        """The pages of earlier tries, as far as they are still true; one call if there are any."""
        shelved = self._remove(folder_id)
        if not shelved and self._backing is not None and expected >= KEEP_FROM_PAGES:
            pages = await self._backing.load(project, folder_id, KEEP_S)
            shelved = {n: (page, numbered_query(n + 1)) for n, page in enumerate(pages)}
        if not shelved:
            return {}
        last = max(shelved)
        try:
            page, link = await get_page(numbered_query(last))
        except BaseException:
            self.put(folder_id, shelved)
            raise
        if _ids(page) != _ids(shelved[last][0]):
            log.info("a folder changed while its pages were requested; starting anew")
            return {}
        shelved[last] = page, link
        self.resumed += len(shelved)
        return shelved

    def put(self, folder_id: FolderId, shelved: Shelved[Contents]) -> int:
        """Keep the unbroken chain of pages. Return its length, 0 if it is too short."""
        self._remove(folder_id)
        chain: Shelved[Contents] = {}
        while len(chain) in shelved:
            number = len(chain)
            chain[number] = shelved[number]
            if shelved[number][1] != numbered_query(number + 1):
                break
        if len(chain) < KEEP_FROM_PAGES:
            return 0
        self._shelf[folder_id] = trio.current_time(), chain
        self._pages += len(chain)
        while self._pages > PAGES_MAX and len(self._shelf) > 1:
            self._remove(next(iter(self._shelf)))
        return len(chain)

    async def save(self, project: Project, folder_id: FolderId) -> None:
        """Write what is shelved to disk, also while everything around is cancelled."""
        _, shelved = self._shelf.get(folder_id, (0.0, {}))
        if self._backing is not None and shelved:
            pages = [shelved[number][0] for number in sorted(shelved)]
            whole = next((n for n, page in enumerate(pages) if page.lost), len(pages))
            with trio.move_on_after(SAVE_S, shield=True):
                await self._backing.save(project, folder_id, pages[:whole])

    async def drop(self, project: Project, folder_id: FolderId) -> None:
        """The listing is whole."""
        self._remove(folder_id)
        if self._backing is not None:
            await self._backing.save(project, folder_id, [])

    def _remove(self, folder_id: str) -> Shelved[Contents]:
        shelved_at, shelved = self._shelf.pop(folder_id, (0.0, {}))
        self._pages -= len(shelved)
        return shelved if trio.current_time() - shelved_at < KEEP_S else {}


def _ids(page: Contents) -> list[str]:
    return [own_id(child) for child in (*page.children, *page.tipless)]
