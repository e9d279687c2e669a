"""Who writes for a profile: a mount that is asked by its socket, or nobody, and then a drive of
this process does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import trio

from dmfs.cli import DONE
from dmfs.cli.control.runner import Show, with_drive
from dmfs.cli.control.target import socket_of
from dmfs.cli.settings import Invocation, read_settings
from dmfs.config import Settings
from dmfs.control.cards import is_alive, read_cards, run_directories
from dmfs.control.mounts import Seen
from dmfs.errors import MountGoneError, SpoolTakenError
from dmfs.system.concurrency import bare_errors
from dmfs.write.spool.owner import owner_of, spool_of_mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dmfs.drive import Drive
    from dmfs.write.care.journalled import Journalled

OWNER_S = 10.0
LOOK_S = 0.1


def spool_directory(settings: Settings) -> Path:
    """Of the profile."""
    return spool_of_mount(settings.state_dir, settings.profile)


def sign_in_of(call: Invocation) -> str | None:
    """Whose drafts are told: those of the present sign-in; None, of everybody, where nobody is
    signed in. Takes half a second: ask where there are any."""
    from dmfs.assembly import owner_of_drafts

    with bare_errors():
        return trio.run(owner_of_drafts, read_settings(call))


def journal_of(call: Invocation) -> Journalled | None:
    """What the journal says without a mount, of ``sign_in_of``. None where nothing was ever
    written. SpoolError."""
    from dmfs.write.care.journalled import Journalled

    settings = read_settings(call)
    directory = spool_directory(settings)
    if not (directory / "lock").exists():
        return None
    return Journalled.look(directory, settings.spool_size, owner=sign_in_of(call))


def writer(call: Invocation) -> Seen | None:
    """The mount that has the spool of this profile, mounted where we see it or not."""
    settings = read_settings(call)
    pid, _ = owner_of(spool_directory(settings) / "lock")
    if not pid:
        return None
    for path, card in read_cards(
        run_directories(call.environ, settings.state_dir, os.getuid())
    ).items():
        if card.pid == pid and is_alive(path):
            return Seen(card.mountpoint, True, os.getuid(), card, path.with_suffix(".sock"))
    return None


def run_writing_job(
    call: Invocation, verb: str, parameters: Mapping[str, Any], show: Show,
    spool: Path | None = None,
) -> Mapping[str, Any]:  # fmt: skip
    """Run a job where the profile is written, to the end or to Ctrl-C; its last event. ``spool``:
    on that of a process that has ended. DriveErrors."""
    last: Mapping[str, Any] = {}

    def pass_on(event: Mapping[str, Any]) -> None:
        nonlocal last
        if event["event"] != "idle":
            last = event
            show(event)

    mount = writer(call) if spool is None else None
    if mount is not None:
        from dmfs.control.client import stream

        try:
            for event in stream(socket_of(mount), mount.owner, f"/v1/{verb}", parameters):
                pass_on(event)
            return last
        except MountGoneError:
            if last:
                raise  # else it was just ending
    own_drive(call, verb, parameters, pass_on, spool=spool)
    return last


def _wait_for_owner(directory: Path) -> None:
    """A mount that is just ending, or another command like this one, has the spool for a moment.
    Who has it for longer is named in the refusal that follows."""
    lock = directory / "lock"
    for _ in range(int(OWNER_S / LOOK_S)):
        pid, _ = owner_of(lock)
        if not pid or not Path(f"/proc/{pid}").exists():
            return
        time.sleep(LOOK_S)


def own_drive(
    call: Invocation, verb: str, parameters: Mapping[str, Any],
    pass_on: Callable[[Mapping[str, Any]], None], *, spool: Path | None = None,
) -> int:  # fmt: skip
    """The job in a drive of this process, which has the spool for so long; ``spool``: instead of
    that of the mount. SpoolTakenError."""
    from dmfs.jobs.table import JOBS
    from dmfs.write.opening import Writes

    async def tell(event: Mapping[str, Any]) -> None:
        pass_on(event)

    if spool is None:
        _wait_for_owner(spool_directory(read_settings(call)))

    async def work(drive: Drive) -> None:
        await JOBS[verb](drive, parameters, tell)

    try:
        with_drive(call, work, writes=Writes(f"dmfs {verb}", spool=spool))
    except SpoolTakenError:
        if spool is None:
            raise
        raise SpoolTakenError(
            "another process has just taken over what one had left, and sends it",
            hint="dmfs uploads --wait waits for it",
        ) from None
    return DONE
