"""Which dmfs drives there are on this machine, found without a look at any of them.

The kernel's table tells what is mounted and whose it is; cards tell what is mounted there, and how
what is no longer there ended. A stat of a mountpoint may hang: nobody makes one.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dmfs.control.cards import Card, is_alive, read_card, read_cards, run_directories
from dmfs.fuse.mount_place import split_at
from dmfs.system.mountinfo import FILESYSTEM, mount_table

_SOCKET = re.compile(rb" (/[^\n]*/[0-9a-f]{16}\.sock)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Seen:
    """A drive that is mounted, or one that was."""

    mountpoint: str
    is_mounted: bool
    owner: int | None = None
    """User id, as the kernel says."""
    card: Card | None = None
    socket: Path | None = None
    """Where it answers, if its process lives; None also where that is not for us to know."""
    is_here: bool = True
    """Whether the kernel's table has it as one of dmfs; else others mounted it, under another type
    or in another mount namespace."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A drive that a card tells of, looked at once."""

    card: Card
    socket: Path
    owner: int | None
    """User id of the card; None where it has just gone."""
    lives: bool
    is_strangers: bool = False

    def seen(self, mount_owner: int | None) -> Seen:
        """As what is mounted there now."""
        if self.lives:
            return Seen(self.card.mountpoint, True, mount_owner, self.card, self.socket)
        # one that ended is of a drive before this one, which says nothing of itself
        card = None if self.card.ended_at else self.card
        return Seen(self.card.mountpoint, True, mount_owner, card)


def all_mounts(environ: Mapping[str, str], state_dir: Path, uid: int) -> list[Seen]:
    """What is mounted, in the order of mountpoints; behind it, what was and left a card.

    Root may see two drives of one name, of two users or in two mount namespaces: then the one of
    the kernel's table comes first."""
    known = _known(run_directories(environ, state_dir, uid), strangers=uid == 0)
    owners = {row.mountpoint: row.owner for row in mount_table() if row.kind == FILESYSTEM}
    living, taken = [], set()
    for mountpoint, owner in owners.items():
        best = _best(known, mountpoint, owner)
        living.append(Seen(mountpoint, True, owner) if best is None else best.seen(owner))
        if best is not None:
            taken.add(best.socket)
    living += [
        replace(each.seen(each.owner), is_here=False) for each in known
        if each.lives and each.card.descriptor and each.socket not in taken
    ]  # fmt: skip
    ended = [
        Seen(each.card.mountpoint, False, uid, each.card) for each in known
        if not each.lives and each.card.mountpoint not in owners
    ]  # fmt: skip
    living.sort(key=lambda seen: seen.mountpoint)
    return living + sorted(ended, key=lambda seen: seen.mountpoint)


def _known(directories: Sequence[Path], *, strangers: bool) -> list[_Known]:
    """What all cards tell; ``strangers``: also those of other users that listen."""
    found = {}
    for path, card in read_cards(directories).items():
        socket = path.with_suffix(".sock")
        found[socket.resolve()] = _Known(card, socket, _owner(path), is_alive(path))
    # root alone asks other users' drives, and nobody else listens to a socket in whose name only a
    # hash is: anybody can make one
    for socket in _listening() if strangers else ():
        path = socket.with_suffix(".json")
        if socket.resolve() not in found and (theirs := read_card(path)) is not None:
            found[socket.resolve()] = _Known(theirs, socket, _owner(socket), True, True)
    return list(found.values())


def _best(known: Sequence[_Known], mountpoint: str, owner: int | None) -> _Known | None:
    """Who tells of a mount of the kernel's table: of several its owner's, living, youngest. A
    stranger tells of nobody else's. Pure."""
    fits = [
        each for each in known
        if each.card.mountpoint == mountpoint and (each.owner == owner or not each.is_strangers)
    ]  # fmt: skip
    return max(
        fits, default=None,
        key=lambda each: (each.owner == owner, each.lives, each.card.started_at),
    )  # fmt: skip


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None


def at_places(mounts: Sequence[Seen]) -> dict[str, Seen]:
    """By mountpoint: of several the one that is mounted, and that the kernel's table has. Pure."""
    found: dict[str, Seen] = {}
    for seen in mounts:
        found.setdefault(seen.mountpoint, seen)
    return found


def process_is_gone(seen: Seen) -> bool:
    """Whether the process of a drive that is mounted has ended without a word, or is about to:
    killed, and held up by the kernel. False where that is not known."""
    if seen.card is None:
        return False
    return seen.socket is None or is_dying(seen.card.pid)


def is_dying(pid: int) -> bool:
    """Whether nothing but its end is left to a process: SIGKILL was sent, or it is a zombie."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return True
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    pending = [int(fields.get(each, "0"), 16) for each in ("SigPnd", "ShdPnd")]
    killed = any(mask >> (signal.SIGKILL - 1) & 1 for mask in pending)
    return killed or fields.get("State", "").split()[:1] in (["Z"], ["X"])


def _listening() -> list[Path]:
    """Sockets of drives, as the kernel lists them: also those whose run directory is named by
    another user's environment. (They may have been bound through /proc/self/fd.)"""
    try:
        table = Path("/proc/net/unix").read_bytes()
    except OSError:
        return []
    paths = [Path(os.fsdecode(match[1])) for match in _SOCKET.finditer(table)]
    return [path for path in paths if not path.is_relative_to("/proc")]


@dataclass(frozen=True, slots=True)
class Place:
    """A path that somebody named: below a drive that is mounted, or in the drive as a whole."""

    mount: Seen | None
    """The drive below whose mountpoint it is."""
    path: str
    """In that mount (``/`` is its root), or in the whole drive where ``mount`` is None."""


def place_of(given: str, mounts: Sequence[Seen]) -> Place:
    """What a person means by PATH. SetupError where a link leads through a dead filesystem."""
    mounted = at_places([seen for seen in mounts if seen.is_mounted])
    at, rest = split_at(given, mounted) if mounted else (given, None)
    if rest is None:
        return Place(None, given if given.startswith("/") else f"/{given}")
    return Place(mounted[at], f"/{rest}")


def drive_path(source: str, path: str) -> str:
    """The path in the whole drive of a path in a mount of ``source``."""
    return f"{source.rstrip('/')}/{path.lstrip('/')}".rstrip("/") or "/"


def shows(seen: Seen, path: str) -> bool:
    """Whether it is a living mount that shows a path of the whole drive."""
    if seen.socket is None or seen.card is None:
        return False
    source = _parts(seen.card.source)
    return _parts(path)[: len(source)] == source


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part and part != "."]
