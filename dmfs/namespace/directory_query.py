"""The service's answer to "what is in this directory?", as entries of a listing."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import trio

from dmfs.errors import BadResponseError, DriveError, PartialAnswerError
from dmfs.model import (
    Child,
    DeletedItem,
    Directory,
    File,
    Folder,
    RefusedFile,
    Shortcut,
    VersionList,
    WithDeleted,
    as_listed,
    own_id,
)
from dmfs.names import entry_names
from dmfs.system.concurrency import computed, gather

log = logging.getLogger(__name__)

THREAD_ENTRIES = 1000
"""From this number of entries a thread does the work: naming an entry takes about 10 µs."""
SIZE_CALLS = 8
SIZES_SHARE = 0.5
"""Of the time that is left for a listing."""

ListChildren = Callable[[Directory], Awaitable[list[Child]]]
"""Requests the children of a directory."""
FetchSize = Callable[[File], Awaitable[None]]
"""Makes the authoritative size of a file known. DriveError if it cannot be told now."""


class Entries(NamedTuple):
    """Entries by name; how many of them are not described, and how many are lost (``Listing``)."""

    by_name: dict[str, Child]
    undescribed: int = 0
    lost: int = 0


class _Completed(NamedTuple):
    children: list[Child]
    undescribed: int
    lost: int


def _version_key(child: Child) -> str:
    return str(child.version_id) if isinstance(child, File | Shortcut) else own_id(child)


def _is_undescribed(child: Child) -> bool:
    refused = RefusedFile | DeletedItem  # where a deleted one failed, so did the answer
    return isinstance(child, File) and not child.version and not isinstance(child, refused)


def _completed(
    children: list[Child], lost: Sequence[str], before: Mapping[str, Child]
) -> _Completed:
    """The children, with the descriptions of before where there is none now, and what was there
    before in place of lost rows: failure never looks like absence."""
    undescribed = sum(map(_is_undescribed, children))
    if not undescribed and not lost:
        return _Completed(children, 0, 0)
    old = {own_id(child): child for child in before.values()}
    completed = [
        old.get(own_id(child), child) if _is_undescribed(child) else child for child in children
    ]
    if lost:
        for child in completed:
            old.pop(own_id(child), None)
        named = sum(identifier in old for identifier in lost)
        nameless = len(lost) - named
        # any of those that are missing may be the nameless ones
        filling = list(old.values()) if nameless else [old[each] for each in lost if each in old]
        undescribed += named
        covered = min(nameless, len(filling) - named)
        completed += filling
        return _Completed(completed, undescribed + covered, nameless - covered)
    return _Completed(completed, undescribed, 0)


class DirectoryQuery:
    """Requests a directory, hides service folders, completes sizes, gives unique legal names."""

    def __init__(
        self, list_children: ListChildren, fetch_size: FetchSize, *, service_folders: bool
    ) -> None:
        """``service_folders``: whether folders that BIM 360 tools made for themselves show."""
        self._list_children = list_children
        self._fetch_size = fetch_size
        self._service_folders = service_folders

    async def entries(
        self, directory: Directory, before: Mapping[str, Child] | None = None
    ) -> Entries:
        """Entries by name. ``before``: those of the last listing, which describe what the service
        does not describe now. DriveError if the answer as a whole is missing."""
        if isinstance(directory, Folder) and directory.is_local:
            return Entries({})  # the service does not have it
        if isinstance(directory, VersionList | WithDeleted):
            return await self._source(directory)
        lost: Sequence[str] = ()
        try:
            children = await self._list_children(directory)
        except PartialAnswerError as error:
            log.info("%s", error.message)
            children, lost = list(error.rest), error.lost
        completed = _completed(children, lost, before or {})
        completed = completed._replace(children=[*map(as_listed, completed.children)])
        if len(completed.children) > THREAD_ENTRIES:
            entries = await computed(partial(self._named, completed.children))
        else:
            entries = self._named(completed.children)
        sizeless = await self._fetch_sizes(entries)
        return Entries(entries, completed.undescribed + sizeless, completed.lost)

    async def _source(self, source: VersionList | WithDeleted) -> Entries:
        """By the ids of items and folders, or of versions. A part of an answer is none: what was
        once is looked at as it is, and never again."""
        try:
            children = await self._list_children(source)
        except PartialAnswerError as error:
            raise BadResponseError(error.message, hint=error.hint) from None
        undescribed = sum(_is_undescribed(each) for each in children)
        if undescribed:
            raise BadResponseError(
                f"cannot tell what was in {source.name!r}: {undescribed} entries are not described",
                hint="the service is asked again when the directory is",
            )
        of_versions = isinstance(source, VersionList)
        entries = {
            (_version_key(child) if of_versions else own_id(child)): child
            for child in map(as_listed, children)
            if self._shows(child)
        }
        return Entries(entries, await self._fetch_sizes(entries))

    def _named(self, children: list[Child]) -> dict[str, Child]:
        return entry_names(child for child in children if self._shows(child))

    def _shows(self, child: Child) -> bool:
        return self._service_folders or not (isinstance(child, Folder) and child.service)

    async def _fetch_sizes(self, entries: dict[str, Child]) -> int:
        """Request each size that the listing left out: the drive never guesses one. Return how many
        did not come: these must not take the whole listing with them."""
        slots = trio.CapacityLimiter(SIZE_CALLS)
        done: list[File] = []

        async def fetch(file: File) -> None:
            async with slots:
                try:
                    await self._fetch_size(file)
                except DriveError as error:
                    log.debug("no size for %r: %s", file.name, error.message)
                else:
                    done.append(file)

        files = [
            node
            for node in entries.values()
            if isinstance(node, File) and node.size_bytes is None and node.storage_id
        ]
        left_s = trio.current_effective_deadline() - trio.current_time()
        with trio.move_on_after(left_s * SIZES_SHARE):
            await gather([partial(fetch, file) for file in files])
        return len(files) - len(done)
