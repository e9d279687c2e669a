"""``warm``: bring folders and files into the cache ahead of need, when nobody waits for it.

First the listings, then an estimate of what is to come, then the bytes. Everything is asked at the
priority of speculation: people go first. Only what is missing is fetched, so that a job that was
ended goes on where it was when it is begun again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import trio

from dmfs.blocks.whole.fetch import fetch_whole
from dmfs.blocks.whole.window import Window
from dmfs.drive import Drive
from dmfs.errors import DriveError, NoRoomError, UsageError
from dmfs.jobs.estimate import Estimate, least_s
from dmfs.jobs.job import Parameters, Tell, flag_of, texts_of
from dmfs.jobs.reports import EVERYBODYS, Reports, size_words
from dmfs.jobs.selection import filter_of
from dmfs.jobs.tree import DirectoryPlace, Walk, find, folders_in
from dmfs.model import Directory, File, Listing, Shortcut, StorageId
from dmfs.ratelimit.call_tally import calls_in, tallying
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.spans import MIB
from dmfs.system.clock import wall_time_s
from dmfs.system.concurrency import bare_errors

FILES_AT_ONCE = 12
"""A small file takes three round trips; a large one waits for its part of the window."""
FILES_MAX = 200_000
"""A kilobyte each while the job runs, and more than three hours of signing."""
WINDOW_BYTES = 64 * MIB
"""On its way to the disk: some parts of 8 MiB at once, so that one connection does not set the
pace."""
IDS_IN_QUESTION = 1024
RECENT_S = 3600.0
"""What was read within the last hour is not given up for what may be read later."""
LOOK_AGAIN_S = 10.0
"""Others fill the cache too: the room is looked at again."""
TRIES = 3


async def warm(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"paths", "match", "newer", "max_size", "listings_only", "dry_run"}``; all but the first
    may be missing.

    Events: ``listing`` (``done``, ``known``: folders), ``estimate`` (see ``Estimate``), then
    unless it is a dry run or for listings only ``progress`` (``files_done``, ``files``,
    ``bytes_done``, ``bytes``: of what was missing), at any time ``failed`` and ``waiting``, and
    ``done``. NoRoomError for more than the cache holds, and where something would have to go that
    is pinned or was read lately.
    """
    paths = texts_of(parameters, "paths")
    dry_run = flag_of(parameters, "dry_run")
    listings_only = flag_of(parameters, "listings_only")
    work = _Survey(drive, Reports(tell), parameters, with_files=not listings_only)
    with at_priority(RequestPriority(Priority.AHEAD)), tallying() as tally:
        await work.run(paths)
        estimate, missing = await _estimate(drive, work, calls_in(tally))
        await work.reports.tell("estimate", **estimate._asdict())
        fetching = _Fetching(drive, work.reports, [] if dry_run else missing)
        if not listings_only:
            _refuse_too_much(drive, estimate)
        if fetching.files:
            await drive.parts.blocks.disk.touch(work.storage_ids)
        error = await fetching.run()
    failed, first = work.reports.failures, work.reports.first
    await work.reports.tell(
        "done", folders=work.folders, files=fetching.files_done, bytes=fetching.bytes_done,
        calls=calls_in(tally), failed=failed,
    )  # fmt: skip
    if error is not None:
        raise error
    if first is not None:
        raise DriveError(f"{failed} folders or files failed: {first.message}", hint=first.hint)


class Chosen(NamedTuple):
    """A file to fetch."""

    path: str
    file: File


class Missing(NamedTuple):
    """A file that is not whole on disk."""

    path: str
    file: File
    missing_bytes: int


class _Survey:
    """What the paths mean: folders, fresh, and the files in them that are to be taken."""

    def __init__(
        self, drive: Drive, reports: Reports, parameters: Parameters, *, with_files: bool
    ) -> None:
        self._drive = drive
        self.reports = reports
        self._filter = filter_of(parameters, wall_time_s())
        self._with_files = with_files
        self._walk = Walk([])
        self.files: dict[str, Chosen] = {}
        """By storage id: what two items share is one."""
        self.folders = self.unlisted = 0

    @property
    def storage_ids(self) -> list[StorageId]:
        """Of the files."""
        return [chosen.file.storage_id for chosen in self.files.values()]

    async def run(self, paths: Sequence[str]) -> None:
        """List what is not fresh."""
        tops: list[DirectoryPlace] = []
        for path in paths:
            here, _ = await find(self._drive, path, self._fresh)
            if isinstance(here.node, File):
                self._add(here.path, here.node)
            elif not isinstance(here.node, Shortcut):
                tops.append(DirectoryPlace(here.node, here.path))
        self._walk = Walk(tops)
        await self._walk.run(self._visit)

    async def _visit(self, at: DirectoryPlace) -> list[DirectoryPlace]:
        try:
            listing = await self._fresh(at.node)
        except EVERYBODYS:
            raise
        except DriveError as error:
            self.unlisted += 1
            await self.reports.failed(at.path, error)
            return []
        self.folders += 1
        for name, node in listing.entries.items() if self._with_files else ():
            if isinstance(node, File):
                self._add(at.below(name), node)
        below = folders_in(listing, at)
        done, known = self.folders + self.unlisted, self._walk.known + len(below)
        await self.reports.progress(of="listing", done=done, known=known)
        return below

    async def _fresh(self, directory: Directory) -> Listing:
        """The listing: no call if it is fresh."""
        listings = self._drive.parts.listings

        async def ahead() -> Listing:
            await listings.ahead(directory, lambda: True)
            listing = await listings.recall(directory)
            if listing is None or listings.fresh_for(directory) <= 0:
                self._drive.parts.client.breaker.check(f"list {directory.name or '/'!r}")
            return listing or await listings.get(directory)

        return await self.reports.patiently(ahead, tries=TRIES)

    def _add(self, path: str, file: File) -> None:
        size_bytes = self._drive.size_of(file)
        if not size_bytes or not self._filter.takes(file, path, size_bytes):
            return
        if len(self.files) >= FILES_MAX:
            raise UsageError(
                f"more than {FILES_MAX} files are to be warmed",
                hint="take a part of them at a time",
            )
        self.files.setdefault(file.storage_id or file.identity, Chosen(path, file))


async def _estimate(
    drive: Drive, survey: _Survey, listing_calls: int
) -> tuple[Estimate, list[Missing]]:
    ids = survey.storage_ids
    rests: dict[StorageId, int] = {}
    room = 0
    if ids:
        disk = drive.parts.blocks.disk
        for first in range(0, len(ids), IDS_IN_QUESTION):
            rests |= await disk.rests(ids[first : first + IDS_IN_QUESTION])
        room = (await disk.space(wall_time_s() - RECENT_S)).for_new_bytes
    missing: list[Missing] = []
    total_bytes = signings = 0
    for path, file in survey.files.values():
        size_bytes = drive.size_of(file)
        total_bytes += size_bytes
        missing_bytes = size_bytes - rests.get(file.storage_id, 0)
        if missing_bytes > 0:
            missing.append(Missing(path, file, missing_bytes))
            signings += bool(file.storage_id) and not drive.parts.sizes.is_signed(file)
    return Estimate(
        folders_known=survey.folders,
        folders_to_list=survey.unlisted,
        listing_calls=listing_calls,
        files=len(survey.files),
        bytes=total_bytes,
        files_missing=len(missing),
        bytes_missing=sum(each.missing_bytes for each in missing),
        calls=signings,
        least_s=least_s({"sign": signings}, await drive.parts.limiter.quotas()),
        room=room,
    ), missing


def _refuse_too_much(drive: Drive, estimate: Estimate) -> None:
    """NoRoomError for what can never be in the cache as a whole."""
    limit_bytes = drive.settings.cache_size
    if estimate.bytes > limit_bytes:
        raise NoRoomError(
            f"cannot warm {size_words(estimate.bytes)}: the cache holds {size_words(limit_bytes)}",
            hint="take a part (--match, --newer, --max-size), or make cache_size larger",
        )


class _Fetching:
    """Bytes that are missing, some files at a time."""

    def __init__(self, drive: Drive, reports: Reports, missing: Sequence[Missing]) -> None:
        self._drive = drive
        self._reports = reports
        self.files = len(missing)
        self._next = iter(missing)
        self._bytes = sum(each.missing_bytes for each in missing)
        self._window = Window(WINDOW_BYTES)
        self._room = _Room(drive)
        self._stopped: DriveError | None = None
        self.files_done = self.bytes_done = 0

    async def run(self) -> DriveError | None:
        """To the end, or until there is no room: then the error that says so."""
        with bare_errors():
            async with trio.open_nursery() as nursery:
                for _ in range(FILES_AT_ONCE):
                    nursery.start_soon(self._work)
        return self._stopped

    async def _work(self) -> None:
        # each of the workers asks anew: one that finds no room ends them all
        while self._stopped is None and (each := next(self._next, None)) is not None:
            path, file, missing_bytes = each
            try:
                await self._room.take(path, missing_bytes)
                await self._fetch(file, missing_bytes)
            except EVERYBODYS:
                raise
            except NoRoomError as error:
                self._stopped = self._stopped or error
            except DriveError as error:
                await self._reports.failed(path, error)
            else:
                self.files_done += 1
                await self._tell()

    async def _fetch(self, file: File, missing_bytes: int) -> None:
        parts = self._drive.parts
        coming_bytes = missing_bytes

        def on_progress(more_bytes: int) -> None:
            nonlocal coming_bytes
            coming_bytes -= more_bytes
            self.bytes_done += more_bytes
            self._room.came(more_bytes)

        fetch = partial(fetch_whole, parts.blocks, parts.sizes, file, self._window, on_progress)
        try:
            await self._reports.patiently(fetch, tries=TRIES)
        finally:
            self._room.came(coming_bytes)  # what does not come needs no room

    async def _tell(self) -> None:
        await self._reports.progress(
            files_done=self.files_done, files=self.files,
            bytes_done=self.bytes_done, bytes=self._bytes,
        )  # fmt: skip


class _Room:
    """What may still come before something has to go that is wanted."""

    def __init__(self, drive: Drive) -> None:
        self._blocks = drive.parts.blocks
        self._left_bytes = 0
        self._looked_at = float("-inf")
        self._coming_bytes = 0

    def came(self, more_bytes: int) -> None:
        """So much of what was to come is there."""
        self._coming_bytes -= more_bytes

    async def take(self, path: str, size_bytes: int) -> None:
        """So much more is to come. NoRoomError if that is too much."""
        if size_bytes > self._left_bytes or trio.current_time() - self._looked_at > LOOK_AGAIN_S:
            space = await self._blocks.disk.space(wall_time_s() - RECENT_S)
            self._looked_at = trio.current_time()
            self._left_bytes = space.for_new_bytes - self._coming_bytes
        if size_bytes > self._left_bytes:
            raise NoRoomError(
                f"stopped before {path!r}: it needs {size_words(size_bytes)}, and there is room for"
                f" {size_words(max(0, self._left_bytes))} without what was read within the last"
                " hour or is pinned",
                hint="dmfs evict what is not needed, or make cache_size larger",
            )
        self._left_bytes -= size_bytes
        self._coming_bytes += size_bytes
