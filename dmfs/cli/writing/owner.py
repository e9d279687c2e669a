"""Who writes for a profile: a mount that is asked by its socket, or nobody, and then a drive of
this process does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dmfs.cli import DONE
from dmfs.cli.control.runner import Show, with_drive
from dmfs.cli.control.target import mounts_of, socket_of
from dmfs.cli.settings import Invocation, read_settings
from dmfs.config import Settings
from dmfs.control.mounts import Seen
from dmfs.write.spool.owner import owner_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dmfs.drive import Drive

OWNER_S = 10.0
LOOK_S = 0.1


def spool_directory(settings: Settings) -> Path:
    """Of the profile."""
    return settings.state_dir / "spool" / settings.profile


def writer(call: Invocation) -> Seen | None:
    """The mount that has the spool of this profile."""
    pid, _ = owner_of(spool_directory(read_settings(call)) / "lock")
    for seen in mounts_of(call) if pid else ():
        if seen.socket is not None and seen.card is not None and seen.card.pid == pid:
            return seen
    return None


def run_writing_job(
    call: Invocation, verb: str, parameters: Mapping[str, Any], show: Show
) -> Mapping[str, Any]:
    """Run a job where the profile is written, to the end or to Ctrl-C; its last event.
    DriveErrors."""
    last: Mapping[str, Any] = {}

    def told(event: Mapping[str, Any]) -> None:
        nonlocal last
        if event["event"] != "idle":
            last = event
            show(event)

    mount = writer(call)
    if mount is not None:
        from dmfs.control.client import stream

        for event in stream(socket_of(mount), mount.owner, f"/v1/{verb}", parameters):
            told(event)
        return last
    own_drive(call, verb, parameters, told)
    return last


def _wait_for_owner(call: Invocation) -> None:
    """A mount that is just ending, or another command like this one, has the spool for a moment.
    Who has it for longer is named in the refusal that follows."""
    lock = spool_directory(read_settings(call)) / "lock"
    for _ in range(int(OWNER_S / LOOK_S)):
        pid, _ = owner_of(lock)
        if not pid or not Path(f"/proc/{pid}").exists():
            return
        time.sleep(LOOK_S)


def own_drive(
    call: Invocation, verb: str, parameters: Mapping[str, Any],
    told: Callable[[Mapping[str, Any]], None],
) -> int:  # fmt: skip
    """The job in a drive of this process, which has the spool for so long."""
    from dmfs.jobs.table import JOBS
    from dmfs.write.opening import Writes

    async def tell(event: Mapping[str, Any]) -> None:
        told(event)

    _wait_for_owner(call)

    async def work(drive: Drive) -> None:
        await JOBS[verb](drive, parameters, tell)

    with_drive(call, work, writes=Writes(f"dmfs {verb}"))
    return DONE
