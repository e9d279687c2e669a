"""Which designs a person means by paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dmfs.drive import Drive
from dmfs.errors import DriveError, UsageError
from dmfs.exports.records import SHORTCUT, designs_of, is_design
from dmfs.jobs.reports import EVERYBODYS, Reports
from dmfs.jobs.tree import DirectoryPlace, Walk, folders_in
from dmfs.model import File, Listing, Shortcut
from dmfs.names import printable
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority

DESIGNS_MAX = 50_000
TRIES = 3


@dataclass(frozen=True, slots=True)
class Design:
    """A design that was asked for."""

    node: Shortcut
    path: str
    """In the drive, with ``.url``."""
    below: str
    """The path of the file to be, without its ending, below the directory where it goes."""
    is_named: bool
    """Whether a person named it, and no folder above it."""


async def find_designs(
    drive: Drive, paths: Sequence[str], reports: Reports, *, recursive: bool
) -> list[Design]:
    """Those at the paths, and with ``recursive`` those below; each once. UsageError for what is no
    design; folders that cannot be listed are told as failed."""
    found: dict[str, Design] = {}
    tops: list[tuple[DirectoryPlace, str]] = []
    for path in paths:
        node = await drive.resolve(path)
        clean = "/" + "/".join(part for part in path.split("/") if part and part != ".")
        if isinstance(node, Shortcut):
            _refuse_other(node, clean)
            name = clean.rpartition("/")[2].removesuffix(SHORTCUT)
            found.setdefault(node.identity, Design(node, clean, name, is_named=True))
        elif isinstance(node, File):
            raise UsageError(
                f"{printable(clean)!r} has bytes of its own: nothing is to be exported",
                hint="copy it, as any file",
            )
        elif not recursive:
            raise UsageError(
                f"{printable(clean)!r} is a directory", hint="-r exports all designs below it"
            )
        else:
            tops.append((DirectoryPlace(node, clean), clean.rstrip("/")))
    for top, prefix in tops:
        await _walk(drive, top, prefix, reports, found)
    return list(found.values())


def _refuse_other(node: Shortcut, path: str) -> None:
    if is_design(node):
        return
    kind = node.extension_type.rpartition(":")[2] or "shortcut"
    raise UsageError(
        f"{printable(path)!r} is a {kind}: the service makes no file of it",
        hint="Fusion designs and drawings can be exported",
    )


async def _walk(
    drive: Drive, top: DirectoryPlace, prefix: str, reports: Reports, found: dict[str, Design]
) -> None:
    walk = Walk([top])
    listed = 0

    async def visit(at: DirectoryPlace) -> list[DirectoryPlace]:
        nonlocal listed
        try:
            listing = await reports.patiently(lambda: _list(drive, at), tries=TRIES)
        except EVERYBODYS:
            raise
        except DriveError as error:
            await reports.failed(at.path, error)
            return []
        for name, node in designs_of(listing).items():
            path = at.below(name)
            below = path.removeprefix(prefix).lstrip("/").removesuffix(SHORTCUT)
            found.setdefault(node.identity, Design(node, path, below, is_named=False))
        if len(found) > DESIGNS_MAX:
            raise UsageError(
                f"more than {DESIGNS_MAX} designs are to be exported",
                hint="take a part of them at a time",
            )
        listed += 1
        await reports.progress(of="listing", done=listed, known=walk.known)
        return folders_in(listing, at)

    await walk.run(visit)


async def _list(drive: Drive, at: DirectoryPlace) -> Listing:
    with at_priority(RequestPriority(Priority.WALK)):
        return await drive.prepare(at.node)
