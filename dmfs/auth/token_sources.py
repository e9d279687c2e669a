"""Who asks: access tokens. Floor 1.

One source per drive; whoever finds the token expired or refused renews it for all who wait. Here
are the sources that sign in by themselves, as often as they like: an app and a service account.
A person's sign-in, which can be lost, is ``session.py``'s.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import trio

from dmfs.auth.jwt_assertion import ServiceKey, assertion, read_key
from dmfs.auth.token_endpoint import App, ask_grant
from dmfs.auth.tokens import Grant, useful_life_s
from dmfs.errors import AccessError, DriveError, GrantRefusedError, SetupError
from dmfs.http.json_client import JsonClient
from dmfs.system.clock import wall_time_s

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
    """A token source that needs nobody: what it holds may be thrown away and fetched anew."""

    def __init__(self) -> None:
        # Held over the request: all who find the token gone wait here for the one who fetches it.
        self._renewing = trio.Lock()
        self._token = ""
        self._expires_at = -1.0
        self._failures = 0
        self._failure: DriveError | None = None

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
        """Fetch a token unless somebody did while we waited. Who waited for a failure shares it:
        fifty waiters would else be refused fifty times, one after another."""
        failures = self._failures
        async with self._renewing:
            if not is_stale():
                return
            if failures != self._failures and self._failure is not None:
                raise self._failure.copy()
            try:
                await self._fetch()
            except DriveError as error:
                self._failures += 1
                self._failure = error
                raise

    async def _fetch(self) -> None:
        started = trio.current_time()
        grant = await self._ask()
        self._token = grant.access_token
        self._expires_at = started + useful_life_s(grant.lifetime_s)

    @abstractmethod
    async def _ask(self) -> Grant:
        """A new token, by whatever this source has."""


class TwoLegged(_SelfMade):
    """The app itself, without a user: client id and secret (BIM 360 and ACC hubs only)."""

    def __init__(self, wire: JsonClient, client_id: str, client_secret: str, scopes: str) -> None:
        super().__init__()
        if not client_id or not client_secret:
            missing = "client id" if not client_id else "client secret"
            raise AccessError(f"no {missing} is configured", hint=NO_CREDENTIALS_HINT)
        self._wire = wire
        self._app = App(client_id, client_secret)
        self._scopes = scopes

    async def _ask(self) -> Grant:
        form = {"grant_type": "client_credentials", "scope": self._scopes}
        what = "sign in with the app's client id and secret"
        try:
            return await ask_grant(self._wire, self._app, what, form)
        except GrantRefusedError as error:
            if error.code == "invalid_client":
                hint = "check DMFS_CLIENT_ID and DMFS_CLIENT_SECRET"
                raise AccessError(error.message, hint=hint) from None
            raise


class ServiceAccount(_SelfMade):
    """A Secure Service Account: an assertion signed with its key becomes a user's token."""

    def __init__(
        self,
        wire: JsonClient,
        app: App,
        scopes: str,
        *,
        key_file: str,
        key_id: str,
        account_id: str,
    ) -> None:
        super().__init__()
        if not app.client_id or not app.client_secret:
            raise SetupError(
                "a service account needs its app's client_id and client_secret",
                hint=NO_CREDENTIALS_HINT,
            )
        if not account_id:
            raise SetupError("a service account needs account_id", hint="see `dmfs help config`")
        self._wire = wire
        self._app = app
        self._scopes = scopes
        self._key_file = Path(key_file).expanduser()
        self._key_id = key_id
        self._account_id = account_id

    async def _ask(self) -> Grant:
        key = await trio.to_thread.run_sync(read_key, self._key_file, self._key_id, os.geteuid())
        signed = await trio.to_thread.run_sync(self._assertion, key, wall_time_s())
        form = {"grant_type": JWT_BEARER, "assertion": signed}
        try:
            return await ask_grant(self._wire, self._app, "sign in as a service account", form)
        except GrantRefusedError as error:
            hint = error.hint
            if error.code == "invalid_grant":
                hint = (
                    "check key_id, account_id and key_file, and this machine's clock "
                    "(dmfs doctor compares it with the service's)"
                )
            raise AccessError(error.message, hint=hint) from None

    def _assertion(self, key: ServiceKey, now_s: float) -> str:
        return assertion(
            key,
            client_id=self._app.client_id,
            account_id=self._account_id,
            scopes=self._scopes.split(),
            expires_s=now_s + ASSERTION_LIFE_S,
            unique=uuid4().hex,
        )
