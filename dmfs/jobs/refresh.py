"""``refresh``: list a directory again now, or a whole tree, and tell what changed.

Each directory costs one listing. The kernel learns the names by the feed of changes, as from any
newer listing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial

from dmfs.drive import Drive
from dmfs.errors import DriveError, UsageError
from dmfs.jobs.job import Parameters, Tell, flag_of, text_of
from dmfs.jobs.reports import EVERYBODYS, Reports
from dmfs.jobs.tree import DirectoryPlace, Walk, find_directory, folders_in
from dmfs.model import Child, Directory, Histories, Listing, View
from dmfs.names import printable
from dmfs.ratelimit.call_tally import calls_in, tallying
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.system.concurrency import computed

THREAD_ENTRIES = 1000
"""From so many entries a thread compares them."""


async def refresh(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"path", "recursive"}``. Of a file the directory that it is in is listed.

    Events: ``change`` (``path``, ``what``: added, removed, changed), ``failed``, ``waiting``,
    ``progress`` (``done``, ``known``: directories), ``done``. An error at the end if any failed.
    """
    path, recursive = text_of(parameters, "path"), flag_of(parameters, "recursive")
    work = _Refresh(drive, Reports(tell), recursive=recursive)
    with at_priority(RequestPriority(Priority.WALK)), tallying() as tally:
        top = await find_directory(drive, path, work.list_again)
        if isinstance(top.node, Histories):  # as the folder is, so is its history
            top = DirectoryPlace(top.node.of, top.path.rpartition("/")[0])
        if isinstance(top.node, View):
            raise UsageError(f"{printable(path)!r} does not change", hint="refresh its folder")
        work.walk = Walk([top])
        await work.walk.run(work.visit)
    failures, first = work.reports.failures, work.reports.first
    if first is not None and not work.listed:
        raise first
    await work.reports.tell(
        "done",
        folders=work.listed,
        calls=calls_in(tally),
        **{what: work.changes[what] for what in ("added", "removed", "changed")},
        failed=failures,
    )
    if first is not None:
        raise DriveError(
            f"{failures} of {failures + work.listed} folders could not be listed: {first.message}",
            hint=first.hint,
        )


class _Refresh:
    """One run."""

    def __init__(self, drive: Drive, reports: Reports, *, recursive: bool) -> None:
        self._listings = drive.parts.listings
        self.reports = reports
        self._recursive = recursive
        self.walk = Walk([])
        self.listed = 0
        self.changes: Counter[str] = Counter()

    async def list_again(self, directory: Directory) -> Listing:
        """List a directory now."""
        return await self.reports.patiently(partial(self._listings.list_again, directory))

    async def visit(self, at: DirectoryPlace) -> list[DirectoryPlace]:
        """List one directory; returns what lies below."""
        before = await self._listings.recall(at.node)
        try:
            listing = await self.list_again(at.node)
        except EVERYBODYS:
            raise
        except DriveError as error:
            await self.reports.failed(at.path, error)
            return []
        self.listed += 1
        if before is not None:
            for name, what in await _changes(before, listing):
                self.changes[what] += 1
                await self.reports.tell("change", path=at.below(name), what=what)
        below = folders_in(listing, at) if self._recursive else []
        done = self.listed + self.reports.failures
        await self.reports.progress(done=done, known=self.walk.known + len(below))
        return below


async def _changes(before: Listing, now: Listing) -> list[tuple[str, str]]:
    compare = partial(_compare, before.entries, now.entries)
    if len(before.entries) + len(now.entries) > THREAD_ENTRIES:
        return await computed(lambda: list(compare()))
    return list(compare())


def _compare(old: Mapping[str, Child], new: Mapping[str, Child]) -> Iterator[tuple[str, str]]:
    """Names that mean nothing, another node or a new one, and which of these."""
    for name, child in old.items():
        if name not in new:
            yield name, "removed"
        elif new[name].identity != child.identity:
            yield name, "changed"
    for name in new:
        if name not in old:
            yield name, "added"
