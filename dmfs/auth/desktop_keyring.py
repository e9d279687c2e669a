"""The desktop keyring, where there is one.

It is another program, which may prompt the person for a password or may never answer: every call
runs in a thread, within a deadline, and after a silence the keyring is left alone for a while.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import trio

from dmfs.errors import KeyringError
from dmfs.system.backoff import Cooldown
from dmfs.system.concurrency import in_thread

log = logging.getLogger(__name__)
T = TypeVar("T")

SERVICE = "dmfs"
TIMEOUT_S = 10.0
"""An unlocked keyring answers in milliseconds. A person at its prompt may need longer: the next
request then tries again."""
THREADS = 2
SILENCE_COOLDOWN_S = 60.0
"""After a silence; each further try costs a thread."""


def _locked(why: str) -> KeyringError:
    return KeyringError(
        f"the desktop keyring cannot be used ({why})",
        hint='unlock it, or keep the sign-in in a file: token_store = "file", then dmfs login',
    )


class DesktopKeyring:
    """The keyring's entry of one profile."""

    def __init__(self, entry: str) -> None:
        self._entry = entry
        self._cooldown = Cooldown(SILENCE_COOLDOWN_S)
        # its own: threads that hang in the keyring must not use up those that serve the drive
        self._threads = trio.CapacityLimiter(THREADS)

    async def available(self) -> bool:
        """Whether there is a keyring that is safer than a private file."""
        try:
            return await self._run(_is_real)
        except KeyringError as error:
            log.debug("%s", error.message)
            return False

    async def get(self) -> str | None:
        """The entry's text, None if there is none. KeyringError if the keyring cannot be used."""
        return await self._run(lambda ring: ring.get_password(SERVICE, self._entry))

    async def set(self, text: str) -> None:
        """Store the text. KeyringError if the keyring cannot be used."""
        await self._run(lambda ring: ring.set_password(SERVICE, self._entry, text))

    async def delete(self) -> None:
        """Remove the entry, if there is one. KeyringError if the keyring cannot be used."""

        def work(ring: Any) -> None:
            if ring.get_password(SERVICE, self._entry) is not None:
                ring.delete_password(SERVICE, self._entry)

        await self._run(work)

    async def _run(self, work: Callable[[Any], T]) -> T:
        if not self._cooldown.is_over:
            raise _locked("it does not answer")
        with trio.move_on_after(TIMEOUT_S):
            try:
                return await in_thread(partial(_guarded, work), self._threads)
            except OSError as error:  # of this machine: not remembered
                raise _locked(str(error)) from None
        self._cooldown.start()
        raise _locked("it does not answer")


def _guarded(work: Callable[[Any], T]) -> T:
    """Backends raise whatever the library below them raises. Their texts may quote the secret, so
    none gets out."""
    import keyring  # noqa: PLC0415 - 60 ms, and most drives never need it

    try:
        return work(keyring.get_keyring())
    except Exception as error:  # noqa: BLE001 - see above
        raise _locked(type(error).__name__) from None


def _is_real(ring: Any) -> bool:
    """Whether it stores things, and is no worse than a file: such backends have a priority of 1 or
    more."""
    module = type(ring).__module__
    return not module.endswith(("backends.fail", "backends.null")) and ring.priority >= 1
