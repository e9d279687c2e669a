"""The run directory: a socket, a card and a lock for each mountpoint.

    <run>/<16 hex>.sock      the mount answers here; 0600, and a socket's path holds 107 bytes: so
                             the name is a hash of the mountpoint, never the mountpoint
    <run>/<16 hex>.json      its card: what is mounted there, by whom; when it ended, and why
    <run>/<16 hex>.lock      locked for as long as the mount lives

The kernel gives the lock back however its owner ends, so it tells a mount that lives from what one
has left behind. The card stays: it says how the last mount at that place ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from dmfs.system.private_files import is_locked, private_directory

CARD_MAX_BYTES = 64 * 1024
CARD_LIFE_S = 30 * 86400.0
LOCK_S = 0.5
CARDS_MAX = 1000
"""In one directory; more are none of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is known of a mount without asking it. Times are ISO 8601 in UTC."""

    mountpoint: str
    pid: int
    started_at: str
    source: str
    profile: str
    version: str
    api_url: str = ""
    state_dir: str = ""
    cache_dir: str = ""
    log: str = ""
    """Its log file; '' where it logs to stderr or to the journal."""
    ended_at: str = ""
    because: str = ""
    """Why it ended; '' for one that lives, and for one that was killed."""
    descriptor: str = ""
    """``/dev/fd/N`` of a drive that somebody else has mounted, and unmounts; '' for all others."""


def stem_of(mountpoint: str) -> str:
    """The names of a mountpoint's files, without their endings."""
    return hashlib.sha256(os.fsencode(mountpoint)).hexdigest()[:16]


def run_directories(environ: Mapping[str, str], state_dir: Path, uid: int) -> list[Path]:
    """Where a mount of this user may have its files; the first one is where a new mount goes.

    ``sudo``, cron and units of the system have no ``XDG_RUNTIME_DIR``, and a shell of the same user
    has one: who looks for a mount looks everywhere.
    """
    given = environ.get("XDG_RUNTIME_DIR", "")
    found = [Path(given) / "dmfs"] if given.startswith("/") else []
    found += [state_dir / "run", Path(f"/run/user/{uid}/dmfs")]
    return list(dict.fromkeys(found))


def read_cards(directories: Iterable[Path]) -> dict[Path, Card]:
    """Every card there, by its path; what is damaged or another user's is left out."""
    cards = {}
    for directory in directories:
        try:
            paths = sorted(directory.glob("*.json"))[:CARDS_MAX]
        except OSError:
            continue
        for path in paths:
            card = read_card(path)
            if card is not None:
                cards[path] = card
    return cards


def read_card(path: Path) -> Card | None:
    """One card; None if there is none, it is damaged, another's, or of another mountpoint."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if os.fstat(descriptor).st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
                return None
            raw: Any = json.loads(file.read(CARD_MAX_BYTES))
        known = {each.name: raw[each.name] for each in fields(Card) if each.name in raw}
        card = Card(**known)
        named = path.stem == stem_of(card.mountpoint)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    well = isinstance(card.pid, int) and all(
        isinstance(value, str) for name, value in asdict(card).items() if name != "pid"
    )
    return card if well and named else None


def is_alive(card_path: Path) -> bool:
    """Whether the mount of a card has its process still. One that starts just now tries for its
    lock for a while: who looks has it for a moment."""
    return is_locked(card_path.with_suffix(".lock"))


def _try_lock(descriptor: int) -> bool:
    """Those who look whether a mount is alive have the lock for a moment."""
    give_up = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= give_up:
                return False
            time.sleep(LOCK_S / 20)


def prune(directory: Path, now_s: float) -> None:
    """Remove what mounts have left that ended long ago. OSError."""
    for path in sorted(directory.glob("*.json")):
        if now_s - path.stat().st_mtime > CARD_LIFE_S and not is_alive(path):
            for ending in (".json", ".lock", ".sock"):
                path.with_suffix(ending).unlink(missing_ok=True)


class Place:
    """The files of one mountpoint, for the process that mounts there."""

    def __init__(self, directory: Path, card: Card) -> None:
        self.directory = directory
        self.card = card
        stem = stem_of(card.mountpoint)
        self.socket, self._card_path = f"{stem}.sock", directory / f"{stem}.json"
        self._lock_path = directory / f"{stem}.lock"

    @contextlib.contextmanager
    def taken(self) -> Iterator[bool]:
        """Whether the place is ours, until the body ends: False while another process has it (of
        another mount namespace: two mounts at one path). Blocks; OSError."""
        private_directory(self.directory)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._lock_path, flags, 0o600)
        try:
            if not _try_lock(descriptor):
                yield False
                return
            with contextlib.suppress(FileNotFoundError):
                (self.directory / self.socket).unlink()  # of a process that was killed
            self._write(self.card)
            yield True
        finally:
            os.close(descriptor)

    def end(self, ended_at: str, because: str) -> None:
        """The mount ends: the socket goes, the card says why. OSError."""
        with contextlib.suppress(FileNotFoundError):
            (self.directory / self.socket).unlink()
        self._write(replace(self.card, ended_at=ended_at, because=because))

    def _write(self, card: Card) -> None:
        """In one step: a reader finds the old card or the new one."""
        new = self._card_path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
            file.write(json.dumps(asdict(card)).encode())
        new.replace(self._card_path)
