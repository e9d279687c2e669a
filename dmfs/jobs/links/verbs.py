"""``path``: where a link leads to in the drive. ``url``: the web page of what is at a path."""

from __future__ import annotations

from typing import Any

from dmfs.drive import Drive
from dmfs.errors import DriveError, NotFoundError
from dmfs.grammar.version_names import version_name
from dmfs.jobs.job import Parameters, Tell, text_of
from dmfs.jobs.links.following import Following, Place
from dmfs.jobs.links.page import page_of
from dmfs.jobs.reports import Reports
from dmfs.jobs.tree import find
from dmfs.model import (
    HISTORIES,
    SNAPSHOTS,
    Child,
    File,
    Folder,
    Hub,
    LiveDirectory,
    Node,
    Project,
    Shortcut,
    VersionList,
)
from dmfs.names import printable
from dmfs.namespace.views.versions import numbered
from dmfs.namespace.xattrs import PREFIX, attributes_of
from dmfs.ratelimit.call_tally import calls_in, tallying
from dmfs.system.clock import iso_time
from dmfs.web_links.parse import parse

_TYPES = {Hub: "hub", Project: "project", Folder: "folder", File: "file", Shortcut: "shortcut"}


async def path(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"link"}``: any text that ``web_links.parse`` reads. One event, ``done``: ``path`` in the
    whole drive, ``type``, the service's ids, ``calls``, and ``as_of``: when the directory was so.

    A link to a version leads to the file if it is the newest one, else to the version beside it.
    DriveError if it leads nowhere.
    """
    link = parse(text_of(parameters, "link"))
    with tallying() as tally:
        following = Following(drive, Reports(tell), link)
        place = await following.place()
        name = place.name
        if link.version_number is not None:
            place, name = await _version(drive, following, place, link.version_number)
    shown = _shown_name(drive, place)
    if name == place.name:
        name = shown
    moment = place.moment or drive.parts.listings.listed_at(place.at.node)
    await tell({
        "event": "done",
        "path": place.at.below(name),
        **_facts(place.node),
        "version": link.version_number,
        "calls": calls_in(tally),
        "as_of": None if moment is None else iso_time(int(moment[0] * 1e9)),
    })  # fmt: skip


async def url(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"path"}``. One event, ``done``: ``url``, ``path``, ``type`` and the service's ids.

    No call for what is known. DriveErrors for a path that is not there, and for what has no page.
    """
    where = text_of(parameters, "path")
    with tallying() as tally:
        node = await _node_at(drive, where)
        of_version = isinstance(node, File) and await _is_version(drive, where)
        page = page_of(node, await _project_of(drive, where), of_version=of_version)
    await tell({
        "event": "done", "url": page, "path": where, **_facts(node), "calls": calls_in(tally),
    })  # fmt: skip


async def _node_at(drive: Drive, where: str) -> Node:
    """By what is known however old, else as ``Drive.resolve``."""
    try:
        return (await find(drive, where))[0].node
    except NotFoundError:
        return await drive.resolve(where)


async def _is_version(drive: Drive, where: str) -> bool:
    """Whether a path means one version of a file, whatever comes after it."""
    above, _, name = where.rstrip("/").rpartition("/")
    directory = await _node_at(drive, above)
    if not isinstance(directory, LiveDirectory):
        return True
    listing = await drive.recall(directory)
    return listing is not None and name not in listing.entries


async def _project_of(drive: Drive, where: str) -> Project | None:
    """The project that a path is in, as far as it has one of now."""
    parts = [part for part in where.split("/") if part and part != "."]
    if parts[:1] == [SNAPSHOTS]:
        parts = parts[2:]
    try:
        node = await _node_at(drive, "/".join(["", *parts[:2]]))
    except NotFoundError:
        return None
    return node if isinstance(node, Project) else None


def _facts(node: Node) -> dict[str, Any]:
    ids = {key.removeprefix(PREFIX): value for key, value in attributes_of(node).items()}
    kind = next((word for kind, word in _TYPES.items() if isinstance(node, kind)), "directory")
    return {"type": kind, **ids}


def _shown_name(drive: Drive, place: Place) -> str:
    """Its name as the mount shows it now: what was written here may have another one."""
    listing = drive.known(place.at.node)
    for name, child in (listing.entries if listing else {}).items():
        if child.identity == place.node.identity:
            return name
    return place.name


async def _version(
    drive: Drive, following: Following, place: Place, number: int
) -> tuple[Place, str]:
    """The file, or the version of it, with its name. What is known of the newest one may be old."""
    tip = _tip_of(place.node)
    if place.moment is not None and number > tip:
        place = await following.again(place)
        tip = _tip_of(place.node)
    shown = printable(place.path)
    if not 1 <= number <= tip:
        raise NotFoundError(
            f"there is no version {number} of {shown!r}", hint=f"its newest one is version {tip}"
        )
    if number == tip:
        return place, place.name
    if isinstance(place.node, Shortcut):
        raise DriveError(
            f"version {number} of {shown!r} has no bytes that the drive could show",
            hint=f"the path of the newest one: {shown}",
        )
    return place, await _name_of(drive, place, number)


async def _name_of(drive: Drive, place: Place, number: int) -> str:
    """Under which an older version is answered: beside its file, unless an entry has that name.
    NotFoundError where it is known that it has no bytes, as of a deletion."""
    listings = drive.parts.listings
    assert isinstance(place.node, File)
    known = await listings.recall(VersionList(place.node))
    if known is not None and numbered(known.entries.values(), number) is None:
        raise NotFoundError(
            f"version {number} of {printable(place.path)!r} is one without bytes",
            hint="a deletion, or it was never stored: dmfs versions tells",
        )
    name = version_name(place.name, number)
    listing = await drive.recall(place.at.node)
    is_taken = listing is not None and name in listing.entries
    return f"{HISTORIES}/{place.name}/{name}" if is_taken else name


def _tip_of(node: Child) -> int:
    return (node.version_number or 0) if isinstance(node, File | Shortcut) else 0
