"""The token source of a signed-in person; keeps the sign-in alive.

A refresh token is good once. So, across all processes of a profile: take the lock; read again, for
another process may have refreshed; make sure that the response can be written; only then send the
request; write durably; only then use the new tokens. Nothing guards the moment between the service
spending the old token and our write of the new one; it lasts as long as a write.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import trio

from dmfs.auth.token_endpoint import App, request_grant
from dmfs.auth.token_file import Stamp
from dmfs.auth.token_store import TokenStore
from dmfs.auth.tokens import Grant, SignIn, StoredSignIn, login_hint
from dmfs.errors import DeadlineError, DriveError, GrantRefusedError, SignedOutError
from dmfs.http.json_client import JsonClient
from dmfs.system.clock import wall_time_s
from dmfs.system.concurrency import SingleFlight

log = logging.getLogger(__name__)

REFRESH_S = 60.0
"""A refresh that has begun is not cancelled before this, even if no task waits for it any more."""
LOCK_S = 75.0
"""Longer than the owner of the lock may take."""
IDLE_REFRESH_S = 86400.0
"""A mount refreshes at least this often, so that an idle session never nears its 15 days."""
RECHECK_S = 1.0
"""The longest that another process's sign-in goes unnoticed while ours still works."""
IDLE_CHECK_S = 3600.0
"""By the wall clock: a machine that was asleep is late by an hour at most."""


class UserSession:
    """Tokens of the signed-in user of a profile; picks up what other processes do with them."""

    def __init__(
        self,
        json_client: JsonClient,
        store: TokenStore,
        nursery: trio.Nursery,
        *,
        api_url: str,
        client_id: str = "",
    ) -> None:
        self._json_client = json_client
        self._store = store
        self._api_url = api_url
        self._client_id = client_id
        self._login = login_hint(store.profile)
        # In a nursery of the drive: a request that gives up must not cancel a refresh.
        self._flights: SingleFlight[str, str] = SingleFlight(nursery)
        self._stamp: Stamp | None = None
        self._stored: StoredSignIn | None = None
        self._checked_at = float("-inf")
        self._dead = ""
        """The refresh token that the service refused."""
        self._refused = ""
        """The access token that the service refused last."""
        self._reported_gone = False
        self.signed_out_since_s: float | None = None
        """Wall clock; None while the sign-in works, as far as is known."""
        self._user_id = ""
        """The owner of this process's cached listings and blocks, once known."""

    @property
    def person(self) -> str:
        """Who is signed in: mail address, else name, else id; '' as long as nobody knows."""
        if self._stored is None:
            return ""
        sign_in = self._stored.sign_in
        return sign_in.user_email or sign_in.user_name or sign_in.user_id

    async def token(self) -> str:
        """A token that is believed to be valid. SignedOutError if there can be none."""
        with self._reporting():
            return await self._token()

    async def renew(self, refused: str) -> str:
        """A token other than ``refused``: another process's if there is one, else a new one."""
        self._refused = refused
        is_stale = partial(_is_used_up, refused)
        with self._reporting():
            token = await self._refreshed(is_stale)
            if token == refused:  # this was the flight of a task that did not refuse it
                token = await self._refreshed(is_stale)
            return token

    async def keep_alive(self) -> None:
        """For ever: refresh a sign-in that was idle for a day."""
        while True:
            try:
                await self.refresh_if_idle()
            except DriveError as error:
                log.info("the idle sign-in was not refreshed: %s", error.message)
            await trio.sleep(IDLE_CHECK_S)

    async def refresh_if_idle(self) -> None:
        """One check of ``keep_alive``."""
        stored = await self._look()
        if stored is not None and _is_idle(stored.sign_in):
            with self._reporting():
                await self._refreshed(_is_idle)

    async def _token(self) -> str:
        stored = await self._look()
        if stored is not None:
            works = stored.sign_in.access_token != self._refused
            if works and stored.sign_in.usable(wall_time_s()):
                return stored.sign_in.access_token
            if stored.sign_in.refresh_token == self._dead:
                raise self._gone()
        return await self._refreshed(partial(_is_used_up, self._refused))

    async def _refreshed(self, is_stale: Callable[[SignIn], bool]) -> str:
        """The access token after the refresh that is under way, or a new one."""
        return await self._flights.join("refresh", partial(self._refresh, is_stale)).wait()

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Log once that the session is gone, and once that it is back."""
        try:
            yield
        except SignedOutError as error:
            if not self._reported_gone:
                line = "signed out: %s (%s)"
                hint = error.hint or self._login
                log.error(line, hint, error.message)  # noqa: TRY400 - no bug, so no traceback
                self.signed_out_since_s = wall_time_s()
            self._reported_gone = True
            raise
        # an access token may outlive its session for a while: that is no new sign-in
        alive = self._stored and self._stored.sign_in.refresh_token != self._dead
        if self._reported_gone and alive:
            log.warning("signed in again")
            self._reported_gone = False
            self.signed_out_since_s = None

    async def _look(self) -> StoredSignIn | None:
        """The stored sign-in, read again only after a write of any process."""
        now = trio.current_time()
        if self._stored is None or now - self._checked_at > RECHECK_S:
            stamp = await self._store.stamp()
            if stamp != self._stamp or self._stored is None:
                self._stored = await self._store.read()
                self._stamp = stamp
            self._checked_at = now
        return self._checked(self._stored)

    def _checked(self, stored: StoredSignIn | None) -> StoredSignIn | None:
        """Tokens go only to the service and the app that issued them."""
        if stored is None:
            return None
        if stored.sign_in.api_url != self._api_url:
            raise SignedOutError(
                f"profile {self._store.profile!r} is signed in to another service",
                hint=self._login,
            )
        if self._client_id not in ("", stored.sign_in.client_id):
            raise SignedOutError(
                f"profile {self._store.profile!r} is signed in to another app "
                f"({stored.sign_in.client_id})",
                hint=f"{self._login}, or use another profile",
            )
        self._user_id = self._user_id or stored.sign_in.user_id
        if stored.sign_in.user_id not in ("", self._user_id):
            # the listings in memory came with the rights of the previous user
            raise SignedOutError(
                f"somebody else has signed in with profile {self._store.profile!r}",
                hint="unmount and mount again to see what that account sees",
            )
        return stored

    async def _refresh(self, is_stale: Callable[[SignIn], bool]) -> str:
        """The access token after a refresh by us, or by another process while we waited."""
        async with self._store.lock(LOCK_S) as lock:
            stored = self._checked(await self._store.read_locked(lock))
            if stored is None:
                raise SignedOutError("nobody is signed in", hint=self._login)
            if not is_stale(stored.sign_in):
                await self._adopt(stored)
                return stored.sign_in.access_token
            if stored.sign_in.refresh_token in ("", self._dead):
                raise self._gone()
            with trio.CancelScope(shield=True):
                return await self._spend(stored, lock)
        raise AssertionError("unreachable")

    async def _spend(self, stored: StoredSignIn, lock: int) -> str:
        """Spend the refresh token. What can fail earlier comes earlier."""
        old = stored.sign_in
        app = App(old.client_id, old.client_secret)
        form = {"grant_type": "refresh_token", "refresh_token": old.refresh_token}
        async with self._store.writing(lock) as write:
            sent_s = wall_time_s()
            grant: Grant | None = None
            try:
                with trio.move_on_after(REFRESH_S):
                    grant = await request_grant(self._json_client, app, "refresh the sign-in", form)
            except GrantRefusedError as error:
                if error.code != "invalid_grant":
                    raise SignedOutError(error.message, hint=error.hint) from None
                self._dead = old.refresh_token
                raise self._gone() from None
            if grant is None:
                raise DeadlineError("the service does not answer the refresh", hint="dmfs doctor")
            new = old.renewed(grant, sent_s)
            where = await write.commit(new, stored.where)
        await self._adopt(StoredSignIn(new, where))
        log.info("the sign-in was refreshed")
        return new.access_token

    async def _adopt(self, stored: StoredSignIn) -> None:
        self._stored = stored
        self._stamp = await self._store.stamp()

    def _gone(self) -> SignedOutError:
        return SignedOutError(
            "the service no longer honours this sign-in (expired, revoked or used elsewhere)",
            hint=self._login,
        )


def _is_used_up(refused: str, sign_in: SignIn) -> bool:
    return sign_in.access_token == refused or not sign_in.usable(wall_time_s())


def _is_idle(sign_in: SignIn) -> bool:
    """A day since the last refresh, or a refresh that lies in the future: the clock was wrong."""
    age_s = wall_time_s() - sign_in.refreshed_s
    return age_s > IDLE_REFRESH_S or age_s < -IDLE_REFRESH_S


async def store_sign_in(store: TokenStore, sign_in: SignIn, choice: str) -> str:
    """Store a new sign-in under the lock; returns where. SetupError if that is impossible."""
    where = await store.place(choice)
    async with store.lock(LOCK_S) as lock, store.writing(lock) as write:
        now_s = wall_time_s()
        return await write.commit(replace(sign_in, signed_in_s=now_s), where)
