"""Sources of access tokens.

One source per drive; a task that finds the token expired or refused renews it for all tasks. Here
are the sources that sign in by themselves, as often as they like: an app and a service account.
A person's sign-in, which can be lost, is in ``user_session``.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import trio

from dmfs.auth.jwt_assertion import assertion, read_key
from dmfs.auth.token_endpoint import App, request_grant
from dmfs.auth.tokens import Grant, useful_life_s
from dmfs.errors import AccessError, DeadlineError, GrantRefusedError, SetupError
from dmfs.http.json_client import JsonClient
from dmfs.system.clock import wall_time_s
from dmfs.system.concurrency import SingleFlight, computed

ASSERTION_LIFE_S = 240.0
"""The service takes 0 to 5 minutes; the rest is for clocks that differ a little."""
NO_CREDENTIALS_HINT = (
    "set DMFS_CLIENT_ID and DMFS_CLIENT_SECRET to those of your APS app "
    "(https://aps.autodesk.com/myapps), or try `dmfs demo`"
)
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class TokenSource(Protocol):
    """What the API client needs to know about signing in."""

    async def token(self) -> str:
        """A token that is believed to be valid."""
        ...

    async def renew(self, refused: str) -> str:
        """A token other than ``refused``, which the service has just answered 401 to."""
        ...


class _SelfMade(ABC):
    """A token source that needs no person: its token may be dropped and requested anew."""

    def __init__(self, nursery: trio.Nursery) -> None:
        # fifty tasks without a token make one request, and share its failure
        self._flights: SingleFlight[str, None] = SingleFlight(nursery)
        self._token = ""
        self._expires_at = -1.0
        self.signed_out_since_s: float | None = None
        """Wall clock; None while a token is to be had, as far as is known."""

    async def token(self) -> str:
        if self._is_over():
            await self._fetch_if(self._is_over)
        return self._token

    async def renew(self, refused: str) -> str:
        await self._fetch_if(lambda: self._token == refused)
        return self._token

    def _is_over(self) -> bool:
        return trio.current_time() >= self._expires_at

    async def _fetch_if(self, is_stale: Callable[[], bool]) -> None:
        """One new token, unless another task's request brings one."""
        while is_stale():
            deadline_at = trio.current_effective_deadline()
            flight = self._flights.join("token", partial(self._fetch, deadline_at))
            try:
                await flight.wait()
                return
            except DeadlineError:
                # of the task that started the flight; this one may have more time
                if trio.current_time() >= deadline_at:
                    raise

    async def _fetch(self, deadline_at: float) -> None:
        """In the nursery, yet within the deadline of the task that needs the token: calls read it
        and give up early where a rate limit asks to wait for longer."""
        started = trio.current_time()
        with trio.CancelScope(deadline=deadline_at):
            try:
                grant = await self._request()
            except AccessError:
                self.signed_out_since_s = self.signed_out_since_s or wall_time_s()
                raise
            self.signed_out_since_s = None
            self._token = grant.access_token
            self._expires_at = started + useful_life_s(grant.lifetime_s)
            return
        raise DeadlineError("the service does not answer the sign-in", hint="dmfs doctor")

    @property
    def person(self) -> str:
        """Whom the service takes us for; '' for nobody in particular."""
        return ""

    @abstractmethod
    async def _request(self) -> Grant:
        """A new token, by whatever this source has."""


class TwoLegged(_SelfMade):
    """The app itself, without a user: client id and secret (BIM 360 and ACC hubs only)."""

    def __init__(
        self, json_client: JsonClient, nursery: trio.Nursery, app: App, scopes: str
    ) -> None:
        super().__init__(nursery)
        if not app.client_id or not app.client_secret:
            missing = "client id" if not app.client_id else "client secret"
            raise AccessError(f"no {missing} is configured", hint=NO_CREDENTIALS_HINT)
        self._json_client = json_client
        self._app = app
        self._scopes = scopes

    async def _request(self) -> Grant:
        form = {"grant_type": "client_credentials", "scope": self._scopes}
        action = "sign in with the app's client id and secret"
        try:
            return await request_grant(self._json_client, self._app, action, form)
        except GrantRefusedError as error:
            if error.code == "invalid_client":
                hint = "check DMFS_CLIENT_ID and DMFS_CLIENT_SECRET"
                raise AccessError(error.message, hint=hint) from None
            raise


class ServiceAccount(_SelfMade):
    """A Secure Service Account: an assertion signed with its key becomes a user's token."""

    def __init__(
        self,
        json_client: JsonClient,
        nursery: trio.Nursery,
        app: App,
        scopes: str,
        *,
        key_file: str,
        key_id: str,
        account_id: str,
    ) -> None:
        super().__init__(nursery)
        if not app.client_id or not app.client_secret:
            raise SetupError(
                "a service account needs its app's client_id and client_secret",
                hint=NO_CREDENTIALS_HINT,
            )
        if not account_id:
            raise SetupError("a service account needs account_id", hint="see `dmfs help config`")
        self._json_client = json_client
        self._app = app
        self._scopes = scopes
        self._key_file = Path(key_file).expanduser()
        self._key_id = key_id
        self._account_id = account_id

    async def _request(self) -> Grant:
        form = {"grant_type": JWT_BEARER, "assertion": await computed(self._assertion)}
        try:
            return await request_grant(
                self._json_client, self._app, "sign in as a service account", form
            )
        except GrantRefusedError as error:
            hint = error.hint
            if error.code == "invalid_grant":
                hint = (
                    "check key_id, account_id and key_file, and this machine's clock "
                    "(dmfs doctor compares it with the service's)"
                )
            raise AccessError(error.message, hint=hint) from None

    def _assertion(self) -> str:
        return assertion(
            read_key(self._key_file, self._key_id, os.geteuid()),
            client_id=self._app.client_id,
            account_id=self._account_id,
            scopes=self._scopes.split(),
            expires_s=wall_time_s() + ASSERTION_LIFE_S,
            unique=uuid4().hex,
        )
