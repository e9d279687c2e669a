"""Who asks: access tokens. Floor 1.

One source per drive; whoever finds the token expired or refused renews it for all who wait. The
interactive sign-in and the processes that share it come as other sources with the same two verbs.
"""

from __future__ import annotations

import base64
from typing import Protocol

import trio

from dmfs.errors import AccessError, BadAnswerError, TokenRefusedError
from dmfs.wire import Call, Wire

EXPIRY_MARGIN_S = 60.0
"""A token is renewed this long before its end, so that none expires on its way."""
NO_CREDENTIALS_HINT = (
    "set DMFS_CLIENT_ID and DMFS_CLIENT_SECRET to those of your APS app "
    "(https://aps.autodesk.com/myapps), or try `dmfs demo`"
)


class TokenSource(Protocol):
    """What the API client needs to know about signing in."""

    async def token(self) -> str:
        """A token that is believed to be valid."""
        ...

    async def renew(self, refused: str) -> str:
        """A token other than ``refused``, which the service has just answered 401 to."""
        ...


class TwoLegged:
    """The app itself, without a user: client id and secret (BIM 360 and ACC hubs only)."""

    def __init__(self, wire: Wire, client_id: str, client_secret: str, scopes: str) -> None:
        if not client_id or not client_secret:
            missing = "client id" if not client_id else "client secret"
            raise AccessError(f"no {missing} is configured", hint=NO_CREDENTIALS_HINT)
        self._wire = wire
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        # Held over the request: all who find the token gone wait here for the one who fetches it.
        self._renewing = trio.Lock()
        self._token = ""
        self._expires_at = -1.0

    async def token(self) -> str:
        if trio.current_time() >= self._expires_at:
            async with self._renewing:
                if trio.current_time() >= self._expires_at:
                    await self._fetch()
        return self._token

    async def renew(self, refused: str) -> str:
        async with self._renewing:
            if self._token == refused:
                await self._fetch()
        return self._token

    async def _fetch(self) -> None:
        basic = base64.b64encode(f"{self._client_id}:{self._client_secret}".encode()).decode()
        call = Call(
            what="sign in with the app's client id and secret",
            route="token",
            method="POST",
            path="/authentication/v2/token",
            form={"grant_type": "client_credentials", "scope": self._scopes},
            headers={"Authorization": f"Basic {basic}"},
        )
        started = trio.current_time()
        try:
            answer = await self._wire.ask(call)
        except TokenRefusedError as error:
            raise AccessError(
                error.message, hint="check DMFS_CLIENT_ID and DMFS_CLIENT_SECRET"
            ) from None
        token, lifetime_s = answer.get("access_token"), answer.get("expires_in")
        if (
            not isinstance(token, str)
            or not token.isascii()
            or not token.isprintable()
            or not token
        ):
            raise BadAnswerError("cannot sign in: the answer holds no usable token")
        if (
            isinstance(lifetime_s, bool)
            or not isinstance(lifetime_s, int | float)
            or lifetime_s < 0
        ):
            lifetime_s = 300
        self._token = token
        # a short-lived token keeps at least half of its life
        self._expires_at = started + max(lifetime_s - EXPIRY_MARGIN_S, lifetime_s / 2)
