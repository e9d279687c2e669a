"""Which mount a command is about."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from pathlib import Path

from dmfs.cli.settings import Invocation, read_settings
from dmfs.control.mounts import Seen, all_mounts, at_places
from dmfs.errors import AccessError, NotFoundError, SetupError
from dmfs.fuse.mount_place import split_at
from dmfs.names import printable
from dmfs.system.mountinfo import mount_table


def mounts_of(call: Invocation) -> list[Seen]:
    """Every drive of this machine."""
    return all_mounts(call.environ, read_settings(call).state_dir, os.getuid())


def mount_named(given: str, mounts: Sequence[Seen]) -> Seen:
    """The drive at (or around) a path, mounted or not. NotFoundError, SetupError."""
    named = at_places(mounts)
    if given in named:  # also /dev/fd/3, which leads elsewhere in this process
        return _only(given, mounts)
    mounted = [seen.mountpoint for seen in mounts if seen.is_mounted]
    at, rest = split_at(given, mounted)
    if rest is None and at not in named:
        others = {row.mountpoint: row.kind for row in mount_table()}
        if at in others:
            raise SetupError(f"{given} is not a dmfs drive but {others[at]}")
        raise NotFoundError(f"no drive is mounted at {given}", hint=_list(mounted))
    return _only(at, mounts)


def _only(mountpoint: str, mounts: Sequence[Seen]) -> Seen:
    """The drive of a name that some drive has: one that is mounted: here, or else ours.
    SetupError where that leaves several."""
    found = [seen for seen in mounts if seen.mountpoint == mountpoint]
    living = [seen for seen in found if seen.is_mounted]
    if len(living) < 2:
        return found[0]
    here = [seen for seen in living if seen.is_here]
    ours = [seen for seen in living if seen.owner == os.getuid()]
    for some in (here, ours):
        if len(some) == 1:
            return some[0]
    names = " and ".join(user_name(seen.owner) for seen in living)
    raise SetupError(
        f"{len(living)} drives have the name {mountpoint}: of {names}",
        hint="dmfs status shows all; the others are for their users to ask",
    )


def the_mount(given: str | None, mounts: Sequence[Seen]) -> Seen:
    """The drive at a path, or the only one. DriveErrors for none, for several, for one that does
    not answer, and for another user's."""
    if given is None:
        mounted = [seen for seen in mounts if seen.is_mounted and seen.owner == os.getuid()]
        if not mounted:
            raise NotFoundError("no drive is mounted", hint="dmfs mount / DIRECTORY")
        if len(mounted) > 1:
            raise SetupError(
                f"{len(mounted)} drives are mounted", hint=f"name one of them: {_list(mounted)}"
            )
        return mounted[0]
    return mount_named(given, mounts)


def socket_of(seen: Seen) -> Path:
    """Where a drive answers. AccessError for another user's, SetupError for one that does not."""
    refuse_strangers(seen)
    if not seen.is_mounted:
        raise SetupError(
            f"no drive is mounted at {seen.mountpoint}",
            hint=f"the last one ended: {how_it_ended(seen)}",
        )
    if seen.socket is None:
        raise SetupError(
            f"the drive at {seen.mountpoint} does not answer: {how_it_ended(seen)}",
            hint=f"dmfs umount {seen.mountpoint}, then mount it again",
        )
    return seen.socket


def refuse_strangers(seen: Seen) -> None:
    """AccessError if the drive is another user's, also where everybody may read it."""
    if os.getuid() not in (0, seen.owner):
        raise AccessError(
            f"the drive at {seen.mountpoint} is {user_name(seen.owner)}'s: "
            "only its owner and root may ask it"
        )


def user_name(uid: int | None) -> str:
    """For people."""
    try:
        return pwd.getpwuid(uid).pw_name if uid is not None else "another user"
    except KeyError:
        return f"user {uid}"


def how_it_ended(seen: Seen) -> str:
    """What the card and the log know of a drive without a process."""
    card = seen.card
    if card is None:
        return "its process is gone, or has no control socket"
    if card.ended_at:
        return f"{card.ended_at}, {card.because}"
    last = _last_line(card.log)
    said = f"; the last line of its log: {last}" if last else ""
    return f"its process ({card.pid}) was killed or the machine was{said}"


def _last_line(log: str) -> str:
    try:
        with Path(log).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read(4096).decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return printable(lines[-1]) if lines else ""


def _list(mounts: Sequence[Seen | str]) -> str:
    names = [each if isinstance(each, str) else each.mountpoint for each in mounts]
    return ", ".join(names) if names else "no drive is mounted anywhere"
