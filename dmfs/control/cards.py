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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from dmfs.system.private_files import private_directory

CARD_MAX_BYTES = 64 * 1024
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
            card = _read(path)
            if card is not None and path.stem == stem_of(card.mountpoint):
                cards[path] = card
    return cards


def _read(path: Path) -> Card | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if os.fstat(descriptor).st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
                return None
            raw: Any = json.loads(file.read(CARD_MAX_BYTES))
        known = {each.name: raw[each.name] for each in fields(Card) if each.name in raw}
        card = Card(**known)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    well = isinstance(card.pid, int) and all(
        isinstance(value, str) for name, value in asdict(card).items() if name != "pid"
    )
    return card if well else None


def is_alive(card_path: Path) -> bool:
    """Whether the mount of a card has its process still."""
    try:
        descriptor = os.open(card_path.with_suffix(".lock"), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


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
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
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
