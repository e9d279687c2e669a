"""The service's answer to "what is in this directory?", as entries of a listing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from dmfs.model import Child, Directory, File, Folder
from dmfs.names import entry_names
from dmfs.system.concurrency import gather

THREAD_ENTRIES = 1000
"""From this number of entries a thread does the work: naming an entry takes about 10 µs."""
SIZE_CALLS = 8

ListChildren = Callable[[Directory], Awaitable[tuple[list[Child], tuple[str, ...]]]]
"""Requests the children of a directory; also returns warnings for users, which listings ignore."""
FetchSize = Callable[[File], Awaitable[None]]
"""Makes the authoritative size of a file known."""


class DirectoryQuery:
    """Requests a directory, hides service folders, completes sizes, gives unique legal names."""

    def __init__(
        self, list_children: ListChildren, fetch_size: FetchSize, *, service_folders: bool
    ) -> None:
        """``service_folders``: whether folders that BIM 360 tools made for themselves show."""
        self._list_children = list_children
        self._fetch_size = fetch_size
        self._service_folders = service_folders

    async def entries(self, directory: Directory) -> dict[str, Child]:
        """Entries by name. DriveError if any part of the answer is missing."""
        children, _ = await self._list_children(directory)
        if len(children) > THREAD_ENTRIES:
            entries = await trio.to_thread.run_sync(self._named, children)
        else:
            entries = self._named(children)
        await self._fetch_sizes(entries)
        return entries

    def _named(self, children: list[Child]) -> dict[str, Child]:
        return entry_names(child for child in children if self._shows(child))

    def _shows(self, child: Child) -> bool:
        return self._service_folders or not (isinstance(child, Folder) and child.service)

    async def _fetch_sizes(self, entries: dict[str, Child]) -> None:
        """Request each size that the listing left out: the drive never guesses one."""
        slots = trio.CapacityLimiter(SIZE_CALLS)

        async def fetch(file: File) -> None:
            async with slots:
                await self._fetch_size(file)

        files = [
            node for node in entries.values() if isinstance(node, File) and node.size_bytes is None
        ]
        await gather([partial(fetch, file) for file in files])
