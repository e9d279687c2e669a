"""Where a sign-in is kept: the keyring if there is one, else a private file. Floor 1.

The file is always there and tells which of the two has the tokens; so a look at its stamp tells
every process whether somebody signed in, out, or refreshed, without a word to the keyring.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import trio

from dmfs.auth.desktop_keyring import Vault
from dmfs.auth.token_file import Stamp, TokenFile
from dmfs.auth.tokens import SignIn, StoredSignIn, decode, encode, login_hint
from dmfs.errors import DeadlineError, KeyringError, SignedOutError

log = logging.getLogger(__name__)

LOCK_POLL_S = 0.05
"""A refresh takes some 200 ms; flock in a thread could not be called off."""


class PendingWrite:
    """A write that has its room on the disk."""

    def __init__(self, file: TokenFile, vault: Vault, descriptor: int) -> None:
        self._file = file
        self._vault = vault
        self._descriptor = descriptor
        self._done = False

    async def commit(self, sign_in: SignIn, where: str) -> str:
        """Keep it, durably; where it went: a keyring that refuses is passed by, with a warning."""
        self._done = True
        kept = StoredSignIn(sign_in, where)
        if where == "keyring":
            try:
                await self._vault.set(encode(kept, with_secrets=True))
            except KeyringError as error:
                log.warning("%s; keeping the sign-in in %s", error.message, self._file.path)
                kept = StoredSignIn(sign_in, "file")
        text = encode(kept, with_secrets=kept.where == "file")
        await trio.to_thread.run_sync(self._file.commit, self._descriptor, text)
        return kept.where

    async def close(self) -> None:
        if not self._done:
            await trio.to_thread.run_sync(self._file.discard, self._descriptor)


class TokenStore:
    """The sign-in of one profile, shared with every process that uses it."""

    def __init__(self, state_dir: Path, profile: str) -> None:
        self.profile = profile
        self._login = login_hint(profile)
        self.file = TokenFile(state_dir, profile)
        self.vault = Vault(f"{profile} {state_dir}")

    async def stamp(self) -> Stamp | None:
        """Changes with every write of anybody. Cheap."""
        return await trio.to_thread.run_sync(self.file.stamp)

    async def read(self) -> StoredSignIn | None:
        """What is kept, None if nothing. SignedOutError with the remedy if it cannot be used."""
        text = await trio.to_thread.run_sync(self.file.read)
        if text is None:
            return None
        kept = decode(text, f"the sign-in file {self.file.path}", self._login)
        if kept.where == "file":
            return kept
        secret = await self.vault.get()
        if secret is None:
            raise SignedOutError("the desktop keyring has lost the sign-in", hint=self._login)
        # The keyring is written first, so it is never older than the file.
        return replace(decode(secret, "the keyring's entry", self._login), where="keyring")

    async def read_locked(self) -> StoredSignIn | None:
        """The same under the lock, after finishing what a killed process had begun to write."""
        if await trio.to_thread.run_sync(self.file.recover, _is_whole):
            log.warning("finished the write of a process that was killed")
        return await self.read()

    async def describe(self) -> StoredSignIn | None:
        """What the file alone says: no tokens if a keyring has them."""
        text = await trio.to_thread.run_sync(self.file.read)
        if text is None:
            return None
        return decode(text, f"the sign-in file {self.file.path}", self._login)

    async def place(self, choice: str) -> str:
        """``keyring`` or ``file`` for a new sign-in, by the setting ``token_store``."""
        if choice == "auto":
            return "keyring" if await self.vault.available() else "file"
        if choice == "keyring" and not await self.vault.available():
            raise KeyringError(
                "there is no desktop keyring, or it is locked",
                hint='unlock it, or set token_store = "file"',
            )
        return choice

    @asynccontextmanager
    async def lock(self, timeout_s: float) -> AsyncIterator[None]:
        """One process at a time. DeadlineError if another one keeps it for longer than that."""
        give_up = trio.current_time() + timeout_s
        while (descriptor := await trio.to_thread.run_sync(self.file.try_lock)) is None:
            if trio.current_time() > give_up:
                raise DeadlineError(
                    "another dmfs process is refreshing this sign-in and does not finish",
                    hint=f"see who has {self.file.directory} open",
                )
            await trio.sleep(LOCK_POLL_S * (0.5 + random.random()))
        try:
            yield
        finally:
            os.close(descriptor)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[PendingWrite]:
        """Room for a new version first; the lock is held by the caller."""
        descriptor = await trio.to_thread.run_sync(self.file.prepare)
        write = PendingWrite(self.file, self.vault, descriptor)
        try:
            yield write
        finally:
            await write.close()

    async def forget(self) -> None:
        """Remove it from wherever it lies; the keyring's silence does not keep the file."""
        await trio.to_thread.run_sync(self.file.remove)
        if await self.vault.available():
            await self.vault.delete()


def _is_whole(text: str) -> bool:
    try:
        decode(text, "")
    except SignedOutError:
        return False
    return True
