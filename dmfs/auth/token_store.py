"""The store of a sign-in: the desktop keyring if there is one, else a private file.

The file is always there and says which of the two has the tokens; so its stamp shows every process
whether another one signed in, out, or refreshed, without a call to the keyring.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from dmfs.auth.desktop_keyring import DesktopKeyring
from dmfs.auth.token_file import Stamp, TokenFile
from dmfs.auth.tokens import SignIn, StoredSignIn, decode, encode, login_hint
from dmfs.errors import DeadlineError, KeyringError, SignedOutError
from dmfs.system.disk_threads import DiskHangsError, DiskThreads

log = logging.getLogger(__name__)
T = TypeVar("T")

LOCK_POLL_S = 0.05
"""A refresh takes some 200 ms; flock in a thread could not be cancelled."""
READ_PLACES = 4
READ_TIMEOUT_S = 5.0
"""A read takes milliseconds; a hung disk delays one request by this."""
WRITE_TIMEOUT_S = 30.0
"""fsync waits for whatever else a busy disk has to write: seconds, and that is no hang."""


class _Disk:
    """Calls to the state directory, in threads that are left behind when its disk hangs.

    A call that was left behind may still end. It must not end without the lock: it would remove or
    replace what another process writes meanwhile. So each writing call has a duplicate of the
    lock's descriptor, and the kernel releases the lock with the last of them.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._reads = DiskThreads(READ_PLACES, READ_TIMEOUT_S)
        # the lock excludes tasks of this process too: one place is always enough
        self.writes = DiskThreads(1, WRITE_TIMEOUT_S)

    async def read(self, work: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
        """What ``work`` returns or raises; DeadlineError if the disk hangs. ``undo`` gets a late
        result."""
        try:
            return await self._reads.run(work, undo)
        except DiskHangsError:
            raise self.hangs() from None

    async def write(
        self, lock: int, work: Callable[[], T], undo: Callable[[T], object] | None = None
    ) -> T:
        """The same under the lock whose descriptor is given. ``undo`` runs without the lock."""
        if self.writes.hangs:
            raise self.hangs()
        own_lock = os.dup(lock)

        def work_locked() -> T:
            try:
                return work()
            finally:
                os.close(own_lock)

        try:
            return await self.writes.run(work_locked, undo)
        except DiskHangsError:
            raise self.hangs() from None

    def hangs(self) -> DeadlineError:
        return DeadlineError(
            f"the directory {self._directory} does not answer",
            hint="its disk hangs; choose another place with DMFS_STATE_DIR",
        )


class PendingWrite:
    """A write that has its room on the disk.

    Whatever can be done before the refresh token is spent is done here: each line of ``commit``
    that runs before the new token is in the kernel is a moment in which a crash loses it.
    """

    def __init__(
        self, file: TokenFile, keyring: DesktopKeyring, disk: _Disk, lock: int, descriptor: int
    ) -> None:
        self._file = file
        self._keyring = keyring
        self._disk = disk
        self._lock = lock
        self._own_lock = os.dup(lock)
        self._descriptor = descriptor
        self._done = False

    async def commit(self, sign_in: SignIn, where: str) -> str:
        """Store it durably; returns where. A keyring that refuses is replaced by the file, with a
        warning. DeadlineError: a thread still writes, and owns the lock until it has."""
        self._done = True
        stored = StoredSignIn(sign_in, where)
        if where == "keyring":
            try:
                await self._keyring.set(encode(stored, with_secrets=True))
            except KeyringError as error:
                log.warning("%s; keeping the sign-in in %s", error.message, self._file.path)
                stored = StoredSignIn(sign_in, "file")
        text = encode(stored, with_secrets=stored.where == "file")
        try:
            await self._disk.writes.run(
                partial(self._file.commit, self._descriptor, text, self._own_lock)
            )
        except DiskHangsError:
            raise self._disk.hangs() from None
        return stored.where

    async def close(self) -> None:
        if not self._done:
            os.close(self._own_lock)
            await self._disk.write(self._lock, partial(self._file.discard, self._descriptor))


class TokenStore:
    """The sign-in of one profile, shared with every process that uses it."""

    def __init__(self, state_dir: Path, profile: str) -> None:
        self.profile = profile
        self._login = login_hint(profile)
        self.file = TokenFile(state_dir, profile)
        self.keyring = DesktopKeyring(f"{profile} {state_dir}")
        self._disk = _Disk(self.file.directory)

    async def stamp(self) -> Stamp | None:
        """Changes with every write of any process. Cheap."""
        return await self._disk.read(self.file.stamp)

    async def read(self) -> StoredSignIn | None:
        """The sign-in, None if there is none. SignedOutError with the remedy if it cannot be
        used."""
        stored = await self.describe()
        if stored is None or stored.where == "file":
            return stored
        secret = await self.keyring.get()
        if secret is None:
            raise SignedOutError("the desktop keyring has lost the sign-in", hint=self._login)
        # The keyring is written first, so it is never older than the file.
        return replace(decode(secret, "the keyring's entry", self._login), where="keyring")

    async def read_locked(self, lock: int) -> StoredSignIn | None:
        """The same under ``lock``, after finishing what a killed process had begun to write."""
        if await self._disk.write(lock, partial(self.file.recover, _is_whole)):
            log.warning("finished the write of a process that was killed")
        return await self.read()

    async def describe(self) -> StoredSignIn | None:
        """What the file alone says: no tokens if a keyring has them."""
        text = await self._disk.read(self.file.read)
        if text is None:
            return None
        return decode(text, f"the sign-in file {self.file.path}", self._login)

    async def place(self, choice: str) -> str:
        """``keyring`` or ``file`` for a new sign-in, by the setting ``token_store``."""
        if choice == "auto":
            return "keyring" if await self.keyring.available() else "file"
        if choice == "keyring" and not await self.keyring.available():
            raise KeyringError(
                "there is no desktop keyring, or it is locked",
                hint='unlock it, or set token_store = "file"',
            )
        return choice

    @asynccontextmanager
    async def lock(self, timeout_s: float) -> AsyncIterator[int]:
        """One process at a time; yields the lock's descriptor. DeadlineError if another process
        has the lock for longer than that."""
        give_up = trio.current_time() + timeout_s
        while (lock := await self._disk.read(self.file.try_lock, _close_lock)) is None:
            if trio.current_time() > give_up:
                raise DeadlineError(
                    "another dmfs process is refreshing this sign-in and does not finish",
                    hint=f"see who has {self.file.directory} open",
                )
            await trio.sleep(LOCK_POLL_S * (0.5 + random.random()))
        try:
            yield lock
        finally:
            os.close(lock)

    @asynccontextmanager
    async def writing(self, lock: int) -> AsyncIterator[PendingWrite]:
        """Make room for a new version first. Under ``lock``."""
        # what a late ``prepare`` leaves in the directory, the next one removes
        descriptor = await self._disk.write(lock, self.file.prepare, os.close)
        write = PendingWrite(self.file, self.keyring, self._disk, lock, descriptor)
        try:
            yield write
        finally:
            await write.close()

    async def forget(self, lock: int) -> None:
        """Remove it, under ``lock``, from the file and the keyring; the file goes first, in case
        the keyring does not answer."""
        await self._disk.write(lock, self.file.remove)
        if await self.keyring.available():
            await self.keyring.delete()


def _close_lock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _is_whole(text: str) -> bool:
    try:
        decode(text, "")
    except SignedOutError:
        return False
    return True
