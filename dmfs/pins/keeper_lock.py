"""One keeper for all mounts and processes of a person: a lock that its process's end gives back."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import trio

from dmfs.system.backoff import Cooldown
from dmfs.system.private_files import make_private

AWAY_S = 60.0
"""A keeper that does not reach the service for so long lets another one begin."""
WAY_S = 3.0
"""So long it waits for that one where there is something to do: some looks."""


class KeeperLock:
    """Of one sign-in. All methods block; OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> bool:
        """Whether this is the keeper from now on."""
        if self._descriptor >= 0:
            return self.is_good()
        make_private(self._path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self.is_good()

    def is_good(self) -> bool:
        """Whether the lock is still of the file that others find: one that was deleted locks out
        nobody, and is given back here."""
        if self._descriptor < 0:
            return False
        mine = os.fstat(self._descriptor)
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            found = None
        if found is not None and os.path.samestat(mine, found):
            return True
        self.release()
        return False

    def release(self) -> None:
        """Another one may begin."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Courtesy:
    """Of a keeper that does not reach the service, to one that may."""

    def __init__(self, is_offline: Callable[[], bool], is_forced: Callable[[], bool]) -> None:
        self._is_offline = is_offline
        self._is_forced = is_forced
        self._pause = Cooldown(WAY_S)
        self._away_since_s: float | None = None
        self._wanted = False
        """Whether there was something to do at the last look."""

    def makes_way(self, works: bool, has_work: Callable[[], bool]) -> bool:
        """Whether another keeper is to have the lock first. Where there is none, this one goes on:
        how pins stand is told, and what is unpinned is let go of."""
        if not self._is_offline():
            self._away_since_s = None
            return False
        now = trio.current_time()
        if self._away_since_s is None:
            self._away_since_s = now
        if now < self._away_since_s + AWAY_S and not self._is_forced():
            return False
        wants = has_work()
        if works or not wants or not self._wanted:
            self._pause.start()
            self._wanted = wants
            return True
        return not self._pause.is_over
