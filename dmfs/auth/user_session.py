"""A person's sign-in, kept alive: the token source of a signed-in user. Floor 1.

A refresh token is good once. So, across all processes of a profile: one lock; read again under
it, since another process may have been there; make sure that the answer can be written; only then
ask; write durably; only then use. The one moment that nothing can guard is between the service's
taking the old token and our having written the new one, and it is kept as short as a write.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import trio

from dmfs.auth.token_endpoint import App, ask_grant
from dmfs.auth.token_file import Stamp
from dmfs.auth.token_store import TokenStore
from dmfs.auth.tokens import Grant, SignIn, StoredSignIn, login_hint
from dmfs.errors import DeadlineError, DriveError, GrantRefusedError, SignedOutError
from dmfs.http.json_client import JsonClient
from dmfs.system.clock import wall_time_s
from dmfs.system.concurrency import SingleFlight

log = logging.getLogger(__name__)

REFRESH_S = 60.0
"""A refresh that has begun is not called off before this, whoever has stopped waiting for it."""
LOCK_S = 75.0
"""Longer than the holder of the lock may take."""
KEEP_AFTER_S = 86400.0
"""A mount refreshes at least this often, so that an idle session never nears its 15 days."""
LOOK_S = 1.0
"""How long another process's sign-in goes unnoticed while ours still works."""
KEEP_CHECK_S = 3600.0
"""Looks at the wall clock: a machine that was asleep is late by an hour at most."""


class UserSession:
    """Tokens of the signed-in user of a profile; picks up what other processes do with them."""

    def __init__(
        self,
        wire: JsonClient,
        store: TokenStore,
        nursery: trio.Nursery,
        *,
        api_url: str,
        client_id: str = "",
    ) -> None:
        self._wire = wire
        self._store = store
        self._api_url = api_url
        self._client_id = client_id
        self._login = login_hint(store.profile)
        # In a nursery of the drive: a request that gives up must not call off a refresh.
        self._flights: SingleFlight[str, str] = SingleFlight(nursery)
        self._stamp: Stamp | None = None
        self._kept: StoredSignIn | None = None
        self._looked_at = float("-inf")
        self._dead = ""
        """The refresh token that the service refused."""
        self._refused = ""
        """The access token that the service refused last."""
        self._told = False
        self._user_id = ""
        """Whose listings and blocks this process holds, as soon as a sign-in told it."""

    async def token(self) -> str:
        """A token that is believed to be valid. SignedOutError if there can be none."""
        return await self._reported(self._token)

    async def renew(self, refused: str) -> str:
        """A token other than ``refused``: another process's if there is one, else a new one."""
        self._refused = refused
        token = await self._reported(lambda: self._join(lambda kept: _is(kept, refused)))
        if token == refused:  # that was a flight of somebody who had nothing against it
            token = await self._reported(lambda: self._join(lambda kept: _is(kept, refused)))
        return token

    async def keep_alive(self) -> None:
        """For ever: refresh what has been idle for a day."""
        while True:
            try:
                await self.refresh_if_idle()
            except DriveError as error:
                log.info("the idle sign-in was not refreshed: %s", error.message)
            await trio.sleep(KEEP_CHECK_S)

    async def refresh_if_idle(self) -> None:
        """One look of ``keep_alive``."""
        kept = await self._look()
        if kept is not None and _is_idle(kept.sign_in):
            await self._reported(lambda: self._join(_is_idle))

    async def _token(self) -> str:
        kept = await self._look()
        if kept is not None:
            works = kept.sign_in.access_token != self._refused
            if works and kept.sign_in.usable(wall_time_s()):
                return kept.sign_in.access_token
            if kept.sign_in.refresh_token == self._dead:
                raise self._gone()
        refused = self._refused
        return await self._join(lambda kept: _is(kept, refused))

    async def _join(self, is_stale: Callable[[SignIn], bool]) -> str:
        return await self._flights.join("refresh", lambda: self._refresh(is_stale)).wait()

    async def _reported(self, work: Callable[[], object]) -> str:
        """Say once that the session is gone, and once that it is back."""
        try:
            token = await work()  # type: ignore[misc]
        except SignedOutError as error:
            if not self._told:
                # a state of the world, not a bug: no traceback
                line = "signed out: %s (%s)"
                log.error(line, error.hint or self._login, error.message)  # noqa: TRY400
            self._told = True
            raise
        # an access token may outlive its session for a while: that is no new sign-in
        if self._told and self._kept and self._kept.sign_in.refresh_token != self._dead:
            log.warning("signed in again")
            self._told = False
        return str(token)

    async def _look(self) -> StoredSignIn | None:
        """What is kept, read again only if somebody has written."""
        now = trio.current_time()
        if self._kept is None or now - self._looked_at > LOOK_S:
            stamp = await self._store.stamp()
            if stamp != self._stamp or self._kept is None:
                self._kept = await self._store.read()
                self._stamp = stamp
            self._looked_at = now
        return self._checked(self._kept)

    def _checked(self, kept: StoredSignIn | None) -> StoredSignIn | None:
        """Tokens go to the service and the app that they are of, and nowhere else."""
        if kept is None:
            return None
        if kept.sign_in.api_url != self._api_url:
            raise SignedOutError(
                f"profile {self._store.profile!r} is signed in to another service",
                hint=self._login,
            )
        if self._client_id not in ("", kept.sign_in.client_id):
            raise SignedOutError(
                f"profile {self._store.profile!r} is signed in to another app "
                f"({kept.sign_in.client_id})",
                hint=f"{self._login}, or use another profile",
            )
        self._user_id = self._user_id or kept.sign_in.user_id
        if kept.sign_in.user_id not in ("", self._user_id):
            # what is in memory was listed with the rights of the one before
            raise SignedOutError(
                f"somebody else has signed in with profile {self._store.profile!r}",
                hint="unmount and mount again to see what that account sees",
            )
        return kept

    async def _refresh(self, is_stale: Callable[[SignIn], bool]) -> str:
        """The access token after a refresh by us, or by another process while we waited."""
        async with self._store.lock(LOCK_S):
            kept = self._checked(await self._store.read_locked())
            if kept is None:
                raise SignedOutError("nobody is signed in", hint=self._login)
            if not is_stale(kept.sign_in):
                await self._adopt(kept)
                return kept.sign_in.access_token
            if kept.sign_in.refresh_token in ("", self._dead):
                raise self._gone()
            with trio.CancelScope(shield=True):
                return await self._spend(kept)
        raise AssertionError("unreachable")

    async def _spend(self, kept: StoredSignIn) -> str:
        """Use the refresh token up. Everything that can fail beforehand comes beforehand."""
        old = kept.sign_in
        app = App(old.client_id, old.client_secret)
        form = {"grant_type": "refresh_token", "refresh_token": old.refresh_token}
        async with self._store.writing() as write:
            asked_s = wall_time_s()
            grant: Grant | None = None
            try:
                with trio.move_on_after(REFRESH_S):
                    grant = await ask_grant(self._wire, app, "refresh the sign-in", form)
            except GrantRefusedError as error:
                if error.code != "invalid_grant":
                    raise SignedOutError(error.message, hint=error.hint) from None
                self._dead = old.refresh_token
                raise self._gone() from None
            if grant is None:
                raise DeadlineError("the service does not answer the refresh", hint="dmfs doctor")
            new = old.renewed(grant, asked_s)
            where = await write.commit(new, kept.where)
        await self._adopt(StoredSignIn(new, where))
        log.info("the sign-in was refreshed")
        return new.access_token

    async def _adopt(self, kept: StoredSignIn) -> None:
        self._kept = kept
        self._stamp = await self._store.stamp()

    def _gone(self) -> SignedOutError:
        return SignedOutError(
            "the service no longer honours this sign-in (expired, revoked or used elsewhere)",
            hint=self._login,
        )


def _is(sign_in: SignIn, access_token: str) -> bool:
    return sign_in.access_token == access_token or not sign_in.usable(wall_time_s())


def _is_idle(sign_in: SignIn) -> bool:
    """A day since the last refresh, or a refresh that lies in the future: the clock was wrong."""
    age_s = wall_time_s() - sign_in.refreshed_s
    return age_s > KEEP_AFTER_S or age_s < -KEEP_AFTER_S


async def store_sign_in(store: TokenStore, sign_in: SignIn, choice: str) -> str:
    """A new sign-in, kept under the lock; where it went. SetupError if it cannot be kept."""
    where = await store.place(choice)
    async with store.lock(LOCK_S), store.writing() as write:
        now_s = wall_time_s()
        return await write.commit(replace(sign_in, signed_in_s=now_s), where)
