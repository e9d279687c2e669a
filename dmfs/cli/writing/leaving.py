"""What waits when a drive is taken away, or a sign-in ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dmfs.cli.settings import Invocation
from dmfs.cli.writing.table import OPEN, Row, is_bad, what_waits
from dmfs.errors import DriveError, SetupError
from dmfs.fuse.mount_place import true_path
from dmfs.write.spool.owner import owner_of, spool_of_mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dmfs.control.cards import Card

ASK_S = 2.0


def rows_of_mount(call: Invocation, mountpoint: str) -> list[Row]:
    """What waits in a mount that writes; nothing where that cannot be learned: a drive must go
    away whatever state it is in."""
    from dmfs.cli.control.target import mounts_of

    try:
        path = true_path(mountpoint)
        for seen in mounts_of(call):
            if seen.mountpoint == path and seen.socket is not None and _writes(seen.card):
                from dmfs.control.client import ask  # a fifth of a second: for those that write

                answer: Any = ask(seen.socket, seen.owner, "/v1/uploads", timeout_s=ASK_S)
                return list(answer["uploads"])
    except (DriveError, KeyError, TypeError):
        pass
    return []


def _writes(card: Card | None) -> bool:
    if card is None:
        return False
    pid, _ = owner_of(spool_of_mount(Path(card.state_dir), card.profile) / "lock")
    return pid == card.pid


def send_first(call: Invocation, mountpoint: str) -> None:
    """``umount --wait``. DriveError if something does not go up: the drive stays."""
    from dmfs.cli.control.target import mounts_of, the_mount
    from dmfs.cli.writing.uploads import wait_for_all

    if not rows_of_mount(call, mountpoint):
        return
    mount = the_mount(true_path(mountpoint), mounts_of(call))
    if mount.card is not None:
        call.options.profile = mount.card.profile
    call.options.json = False
    last = wait_for_all(call, None)
    if is_bad(last.get("left", ())):
        raise SetupError(
            f"{mountpoint} stays mounted: {what_waits(last['left']) or 'there are conflicts'}",
            hint="dmfs uploads tells why; dmfs umount without --wait leaves it for later",
        )


def say_what_waits(rows: Sequence[Row]) -> None:
    """After a drive was taken away."""
    words = what_waits(rows)
    if not words:
        return
    goes_on = any(row["state"] in OPEN for row in rows)
    hint = "they go on with the next mount, or now with dmfs uploads --wait"
    if not goes_on:
        hint = "dmfs uploads tells why"
    sys.stderr.write(f"dmfs: {words}: {hint}\n")
