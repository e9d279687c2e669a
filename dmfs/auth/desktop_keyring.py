"""The desktop keyring, as far as there is one. Floor 1; sole user of ``keyring``.

It is a conversation with another program, which may be asking the person for a password or may
never answer: everything runs in a thread, within a deadline, and one silence is remembered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import trio

from dmfs.errors import KeyringError

log = logging.getLogger(__name__)
T = TypeVar("T")

SERVICE = "dmfs"
PATIENCE_S = 10.0
"""A keyring that is unlocked answers in milliseconds. A person at the prompt of one that is not
may need longer; the sign-in is then asked for again with the next request."""
THREADS = 2
SILENCE_S = 60.0
"""After a silence nobody waits again for this long (each waiting costs a thread)."""


def _locked(why: str) -> KeyringError:
    return KeyringError(
        f"the desktop keyring cannot be used ({why})",
        hint='unlock it, or keep the sign-in in a file: token_store = "file", then dmfs login',
    )


class Vault:
    """The keyring's entry of one profile."""

    def __init__(self, entry: str) -> None:
        self._entry = entry
        self._silent_until = float("-inf")
        # of its own: threads that hang in the keyring must not use up those that serve the drive
        self._threads = trio.CapacityLimiter(THREADS)

    async def available(self) -> bool:
        """Is there a keyring that keeps things better than a private file would?"""
        try:
            return await self._ask(_is_real)
        except KeyringError as error:
            log.debug("%s", error.message)
            return False

    async def get(self) -> str | None:
        """What is kept. KeyringError if the keyring cannot be asked."""
        return await self._ask(lambda ring: ring.get_password(SERVICE, self._entry))

    async def set(self, text: str) -> None:
        """Keep it. KeyringError if it cannot be."""
        await self._ask(lambda ring: ring.set_password(SERVICE, self._entry, text))

    async def delete(self) -> None:
        """Forget it; nothing to forget is no error."""

        def work(ring: Any) -> None:
            if ring.get_password(SERVICE, self._entry) is not None:
                ring.delete_password(SERVICE, self._entry)

        await self._ask(work)

    async def _ask(self, work: Callable[[Any], T]) -> T:
        if trio.current_time() < self._silent_until:
            raise _locked("it does not answer")
        with trio.move_on_after(PATIENCE_S):
            return await trio.to_thread.run_sync(
                _guarded, work, abandon_on_cancel=True, limiter=self._threads
            )
        self._silent_until = trio.current_time() + SILENCE_S
        raise _locked("it does not answer")


def _guarded(work: Callable[[Any], T]) -> T:
    """Backends raise whatever the library below them does; none of it may carry what was kept."""
    import keyring  # noqa: PLC0415 - 60 ms, and most drives never need it

    try:
        return work(keyring.get_keyring())
    except Exception as error:  # noqa: BLE001 - see above
        raise _locked(type(error).__name__) from None


def _is_real(ring: Any) -> bool:
    """Not the one that refuses everything, not the one that forgets, not one that is worse than a
    file: those have a priority below 1."""
    module = type(ring).__module__
    return not module.endswith(("backends.fail", "backends.null")) and ring.priority >= 1
