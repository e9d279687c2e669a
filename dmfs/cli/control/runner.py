"""Runs a job: in the mount that shows its paths, else in a drive of this process.

PATH is a path of the whole drive, or one below a mountpoint: both name the same entry.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dmfs.cli import DONE
from dmfs.cli.control.target import mounts_of, refuse_strangers, socket_of
from dmfs.cli.settings import Invocation, check_proxies, prepare_limits, start
from dmfs.control.mounts import Seen, drive_path, place_of, shows
from dmfs.errors import SetupError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dmfs.config import Settings
    from dmfs.drive import Drive
    from dmfs.write.opening import Writes

KEEPERS = ("pin", "unpin")
"""Jobs that a keeper carries out."""
Show = Callable[[Mapping[str, Any]], None]
"""Gets each event of a job."""


@dataclass(frozen=True, slots=True)
class Located:
    """Paths of the whole drive, and the mount that answers for them, if one does."""

    paths: list[str]
    mount: Seen | None


def locate(call: Invocation, given: Sequence[str], *, any_mount: bool = False) -> Located:
    """What the person means. UsageError for paths in two mounts, SetupError for a path that two
    mounts show (unless ``any_mount``), and for a mount that is dead."""
    mounts = mounts_of(call)
    places = [place_of(each, mounts) for each in given]
    named = {place.mount.mountpoint: place.mount for place in places if place.mount is not None}
    if len(named) > 1 or (named and any(place.mount is None for place in places)):
        raise UsageError("these paths are in different drives", hint="one command for each drive")
    if named:
        (mount,) = named.values()
        return Located([drive_path(source_of(mount), place.path) for place in places], mount)
    paths = [place.path for place in places]
    ours = [seen for seen in ours_of(call, mounts) if all(shows(seen, path) for path in paths)]
    if len(ours) > 1 and not any_mount:
        places_words = " and ".join(seen.mountpoint for seen in ours[:3])
        raise SetupError(
            f"{len(ours)} mounts show {paths[0]!r}: {places_words}",
            hint="name the path below one of them",
        )
    return Located(paths, ours[0] if ours else None)


def ours_of(call: Invocation, mounts: Sequence[Seen]) -> list[Seen]:
    """The mounts of this user and this profile that answer."""
    settings = start(call)
    return [
        seen
        for seen in mounts
        if seen.socket is not None and seen.owner == os.getuid() and _same_drive(seen, settings)
    ]


def source_of(mount: Seen) -> str:
    """What a mount shows. AccessError for another user's; SetupError where nobody knows."""
    refuse_strangers(mount)
    if mount.card is None:
        raise SetupError(
            f"nobody knows what the drive at {mount.mountpoint} shows: it has no control socket",
            hint="name the path in the drive instead: /HUB/PROJECT/folder",
        )
    return mount.card.source


def _same_drive(seen: Seen, settings: Settings) -> bool:
    card = seen.card
    wanted = settings.profile, settings.api_url, str(settings.state_dir), str(settings.cache_dir)
    return card is not None and wanted == (
        card.profile, card.api_url, card.state_dir, card.cache_dir,
    )  # fmt: skip


def run_job(
    call: Invocation, verb: str, located: Located, parameters: Mapping[str, Any], show: Show
) -> int:
    """Run to the end, or to Ctrl-C, which ends the job too. DriveErrors."""
    if located.mount is not None:
        from dmfs.control.client import stream

        mount = located.mount
        for event in stream(socket_of(mount), mount.owner, f"/v1/{verb}", parameters):
            if event["event"] != "idle":
                show(event)
        return DONE

    from dmfs.jobs.table import JOBS

    async def tell(event: Mapping[str, Any]) -> None:
        if event["event"] != "idle":
            show(event)

    async def work(drive: Drive) -> None:
        await JOBS[verb](drive, parameters, tell)

    return with_drive(call, work, keeper=verb in KEEPERS)


def with_drive(
    call: Invocation, work: Callable[[Drive], Awaitable[None]], *, keeper: bool = False,
    writes: Writes | None = None,
) -> int:  # fmt: skip
    """Run ``work`` with a drive of this process, without a mount; ``keeper``: one that sees to what
    is pinned, too; ``writes``: one that can be changed."""
    import trio

    from dmfs.assembly import open_drive
    from dmfs.system.private_files import own_state_directory

    settings = start(call)
    check_proxies(call.environ)
    os.umask(0o077)  # whatever is made from here on, also by libraries, is ours alone
    own_state_directory(settings.state_dir)
    warning = prepare_limits(settings)
    if warning:
        sys.stderr.write(f"dmfs: {warning}\n")

    async def run() -> None:
        async with open_drive(settings, keeper=keeper, writes=writes) as drive:
            await work(drive)

    trio.run(run)
    return DONE


def in_the_drive(call: Invocation, given: str) -> tuple[Invocation, str]:
    """A path of the whole drive, and the invocation with the profile of the mount below which it
    was named."""
    mounts = mounts_of(call)
    place = place_of(given, mounts)
    if place.mount is None:
        return call, place.path
    source = source_of(place.mount)
    assert place.mount.card is not None
    options = call.options
    if not options.profile:
        options.profile = place.mount.card.profile
    return replace(call, options=options), drive_path(source, place.path)
