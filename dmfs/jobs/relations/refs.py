"""``refs``: what files refer to, and what refers to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from dmfs.aps.questions.refs import VERSIONS_A_CALL, Refs, Relation
from dmfs.drive import Drive
from dmfs.errors import DriveError, NotFoundError, UsageError
from dmfs.jobs.job import Parameters, Tell, text_of
from dmfs.jobs.relations.places import Places
from dmfs.jobs.relations.splitting import Splitting
from dmfs.jobs.relations.verdict import State, fields_of
from dmfs.jobs.reports import Reports
from dmfs.model import (
    DeletedItem,
    File,
    Folder,
    Hub,
    ItemId,
    Leaf,
    Node,
    Project,
    ProjectId,
    Root,
    Shortcut,
    VersionId,
    VersionList,
)
from dmfs.names import printable
from dmfs.ratelimit.call_tally import calls_in, tallying
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.system.concurrency import deadline

FORMER_MAX = 200
"""Four calls; a file that is saved often has hundreds of versions."""
Subjects = Mapping[VersionId, tuple[str, Leaf]]
"""Versions, with the path and the node of each."""


async def refs(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"path"}``: a file, or a directory of which all items are asked about, 50 a call. Of a file
    alone also what still refers to its former versions, which are listed once (one call).

    Events: ``ref`` for each relation (``of``: the path that was asked about, and
    ``verdict.fields_of``), ``failed`` for each file of several that the service refuses,
    ``waiting``, ``progress``, ``done`` (``items``, ``uses``, ``used_by``, ``stale``, ``calls``,
    ``failed``). An error at the end if any failed.
    """
    path = "/" + "/".join(
        part for part in text_of(parameters, "path").split("/") if part not in ("", ".")
    )
    work = _Refs(drive, Reports(tell))
    with at_priority(RequestPriority(Priority.WALK)), tallying() as tally:
        node = await work.reports.patiently(partial(drive.resolve, path))
        subjects = await work.subjects(path, node)
        for some in _in_parts(subjects):
            work.items += await work.ask(some)
            await work.reports.progress(items=work.items, of_items=len(subjects))
        if isinstance(node, File | Shortcut):
            for some in _in_parts(await work.former(path, node)):
                await work.ask(some, tip=node)
    counts = work.counts
    await work.reports.tell(
        "done", items=work.items, uses=counts["uses"], used_by=counts["used by"],
        stale=counts["stale"], calls=calls_in(tally), failed=work.reports.failures,
    )  # fmt: skip
    error = work.reports.first
    if error is not None:
        message = f"{work.reports.failures} of {len(subjects)} files could not be asked about"
        raise DriveError(f"{message}: {error.message}", hint=error.hint)


class _Refs:
    """One run."""

    def __init__(self, drive: Drive, reports: Reports) -> None:
        self._drive = drive
        self._refs = Refs(drive.parts.aps.service)
        self._places = Places(drive, reports)
        self._splitting = Splitting()
        self.reports = reports
        self.items = 0
        self.counts: Counter[str] = Counter()

    async def subjects(self, path: str, node: Node) -> Subjects:
        """The versions that a path stands for. UsageError, NotFoundError."""
        if isinstance(node, Root | Hub):
            raise UsageError(
                f"{printable(path)!r} is no file and no folder of a project",
                hint="dmfs refs asks about files: name one, or the folder that has some",
            )
        if isinstance(node, File | Shortcut):
            if not node.version_id:
                raise NotFoundError(_no_version(path, node))
            return {node.version_id: (path, node)}
        listing = await self.reports.patiently(partial(self._drive.prepare, node))
        found = {
            child.version_id: (f"{path.rstrip('/')}/{name}", child)
            for name, child in listing.entries.items()
            if isinstance(child, File | Shortcut) and child.version_id
        }
        if not found:
            raise NotFoundError(
                f"there are no files in {printable(path)!r}, so nothing refers to any",
                hint="folders below are not asked about: name one that has files",
            )
        return found

    async def former(self, path: str, node: Leaf) -> Subjects:
        """The versions of an item before its newest one, the latest first; none where the path is
        not that of the newest."""
        if (node.version_number or 0) < 2:
            return {}
        above, _, name = path.rpartition("/")
        directory = await self._drive.resolve(above)
        if not isinstance(directory, Project | Folder):
            return {}
        child = (await self._drive.prepare(directory)).entries.get(name)
        if child is None or child.identity != node.identity:
            return {}
        listing = await self.reports.patiently(
            partial(self._drive.parts.listings.get, VersionList(node))
        )
        older = [
            each
            for each in listing.entries.values()
            if isinstance(each, File | Shortcut) and not isinstance(each, DeletedItem)
            and each.version_id and each.version_id != node.version_id
        ]  # fmt: skip
        older.sort(key=lambda each: each.version_number or 0, reverse=True)
        return {each.version_id: (path, each) for each in older[:FORMER_MAX] if each.version_id}

    async def ask(self, subjects: Subjects, *, tip: Leaf | None = None) -> int:
        """Tell the relations of up to ``VERSIONS_A_CALL`` versions; returns how many could be asked
        about. ``tip``: they are former versions of it, and only what refers to them counts."""
        project_id = next(leaf.project_id for _, leaf in subjects.values())
        answered = 0

        async def ask(versions: Sequence[VersionId]) -> list[Relation]:
            nonlocal answered
            items = {version: subjects[version][1].item_id for version in versions}
            found = await self.reports.patiently(partial(self._relations, project_id, items))
            answered += len(versions)
            return found

        async def refused(version: VersionId, error: DriveError) -> None:
            await self.reports.failed(subjects[version][0], error)

        relations = await self._splitting.ask([*subjects], ask, refused)
        order = {version: at for at, version in enumerate(subjects)}
        relations.sort(key=lambda each: (order[each.version_id], not each.uses))
        for relation in relations:
            if tip is None or not relation.uses:
                await self._tell(subjects[relation.version_id], relation, tip)
        return answered

    async def _relations(
        self, project_id: ProjectId, items: Mapping[VersionId, ItemId]
    ) -> list[Relation]:
        with deadline(self._drive.settings.metadata_timeout, "ask what refers to what"):
            return await self._refs.relations(project_id, items)

    async def _tell(self, subject: tuple[str, Leaf], relation: Relation, tip: Leaf | None) -> None:
        path, leaf = subject
        found = await self._places.of(leaf.project_id, relation.other)
        fields = fields_of(relation, found)
        fields["of_version_number"] = leaf.version_number
        fields["of_tip_number"] = (tip or leaf).version_number
        self.counts[fields["direction"]] += 1
        self.counts["stale"] += fields["state"] == State.STALE.value or tip is not None
        await self.reports.tell("ref", of=path, **fields)


def _in_parts(subjects: Subjects) -> list[Subjects]:
    """Each for one call."""
    rows = [*subjects.items()]
    return [
        dict(rows[first : first + VERSIONS_A_CALL])
        for first in range(0, len(rows), VERSIONS_A_CALL)
    ]


def _no_version(path: str, leaf: Leaf) -> str:
    if getattr(leaf, "draft_id", ""):
        return f"{printable(path)!r} has not gone up yet, so the service knows nothing of it"
    return f"the service shows no version of {printable(path)!r} to you"
