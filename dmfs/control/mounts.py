"""Which dmfs drives there are on this machine, found without a look at any of them.

The kernel's table tells what is mounted and whose it is; cards tell what is mounted there, and how
what is no longer there ended. A stat of a mountpoint may hang: nobody makes one.
"""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmfs.control.cards import Card, is_alive, read_card, read_cards, run_directories, stem_of
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


def all_mounts(environ: Mapping[str, str], state_dir: Path, uid: int) -> list[Seen]:
    """What is mounted, in the order of mountpoints; behind it, what was and left a card."""
    directories = run_directories(environ, state_dir, uid)
    owners = {row.mountpoint: row.owner for row in mount_table() if row.kind == FILESYSTEM}
    # root alone asks other users' drives, and nobody else listens to a socket in whose name only a
    # hash is: anybody can make one
    strangers = _listening() if uid == 0 else {}
    living: list[Seen] = []
    for mountpoint in sorted(owners):
        path, card = _card_of(mountpoint, directories)
        socket = None
        if path is not None and is_alive(path):
            socket = path.with_suffix(".sock")
        elif stem_of(mountpoint) in strangers:  # of another user, somewhere else
            socket = strangers[stem_of(mountpoint)]
            card = read_card(socket.with_suffix(".json"))
        elif card is not None and card.ended_at:
            card = None  # of a drive before this one, which says nothing of itself
        living.append(Seen(mountpoint, True, owners[mountpoint], card, socket))
    living += _given(directories, strangers, owners, uid)
    ended = [
        Seen(card.mountpoint, False, uid, card)
        for path, card in read_cards(directories).items()
        if card.mountpoint not in owners and not is_alive(path)
    ]
    living.sort(key=lambda seen: seen.mountpoint)
    return living + sorted(ended, key=lambda seen: seen.mountpoint)


def _given(
    directories: Sequence[Path], strangers: Mapping[str, Path], known: Container[str], uid: int
) -> list[Seen]:
    """Drives that others mounted for them, under another type or in another mount namespace: the
    kernel's table does not tell that they are dmfs's, their cards do."""
    found = {
        card.mountpoint: Seen(card.mountpoint, True, uid, card, path.with_suffix(".sock"))
        for path, card in read_cards(directories).items()
        if card.descriptor and is_alive(path)
    }
    for socket in strangers.values():
        card = read_card(socket.with_suffix(".json"))
        if card is not None and card.descriptor and card.mountpoint not in found:
            with contextlib.suppress(OSError):  # it has just ended
                owner = socket.stat().st_uid
                found[card.mountpoint] = Seen(card.mountpoint, True, owner, card, socket)
    return [seen for seen in found.values() if seen.mountpoint not in known]


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


def _card_of(mountpoint: str, directories: Sequence[Path]) -> tuple[Path | None, Card | None]:
    """The card of a mountpoint; of several (in two run directories) the best."""
    paths = [directory / f"{stem_of(mountpoint)}.json" for directory in directories]
    own = [(path, card) for path in paths if (card := read_card(path)) is not None]
    own.sort(key=lambda each: (is_alive(each[0]), each[1].started_at))
    return own[-1] if own else (None, None)


def _listening() -> dict[str, Path]:
    """Sockets of drives by their stems, as the kernel lists them: also those whose run directory is
    named by another user's environment. (They may have been bound through /proc/self/fd.)"""
    try:
        table = Path("/proc/net/unix").read_bytes()
    except OSError:
        return {}
    paths = [Path(match[1].decode("utf-8", "surrogateescape")) for match in _SOCKET.finditer(table)]
    return {path.stem: path for path in paths if not path.is_relative_to("/proc")}


@dataclass(frozen=True, slots=True)
class Place:
    """A path that somebody named: below a drive that is mounted, or in the drive as a whole."""

    mount: Seen | None
    """The drive below whose mountpoint it is."""
    path: str
    """In that mount (``/`` is its root), or in the whole drive where ``mount`` is None."""


def place_of(given: str, mounts: Sequence[Seen]) -> Place:
    """What a person means by PATH. SetupError where a link leads through a dead filesystem."""
    mounted = {seen.mountpoint: seen for seen in mounts if seen.is_mounted}
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
