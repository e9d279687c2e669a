"""Calls with the token of the sign-in: renewed once where the service refuses it."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import trio

from dmfs.auth.token_sources import TokenSource
from dmfs.auth.tokens import granted_scopes
from dmfs.errors import StalledError, TokenRefusedError
from dmfs.http.json_body import Decode, T
from dmfs.http.json_client import Call, JsonClient
from dmfs.ratelimit.stall_gate import BLAME_MIN_S
from dmfs.ratelimit.stall_memory import StallMemory, Stretch

SIGN_IN = Stretch("token", "")


def path_id(identifier: str) -> str:
    """An id as a path segment: ``?version=1`` must become ``%3Fversion%3D1``."""
    return quote(identifier, safe="")


class SignedIn:
    """``JsonClient.request`` in the name of a user."""

    def __init__(self, http: JsonClient, tokens: TokenSource, x_user_id: str = "") -> None:
        self._http = http
        self._tokens = tokens
        self._x_user_id = x_user_id
        self._sign_in = StallMemory()

    async def request(self, call: Call, decode: Decode[T]) -> T:
        """``call`` with the token. A 401 renews the token once: it may also mean a missing scope,
        so never in a loop. A change that is answered so has not happened."""
        token = await self._token(call.action)
        try:
            return await self._http.request(self._authorized(call, token), decode)
        except TokenRefusedError:
            token = await self._tokens.renew(token)
            return await self._http.request(self._authorized(call, token), decode)

    async def scopes(self, requested: str) -> frozenset[str]:
        """What the sign-in may do, as far as its token tells, else as it was ``requested``."""
        return granted_scopes(await self._token("sign in"), requested)

    def _authorized(self, call: Call, token: str) -> Call:
        headers = {**call.headers, "Authorization": f"Bearer {token}"}
        # Project and Data accept it; storage and folders/search do not
        takes_user = call.path.startswith(("/project/", "/data/")) and call.route != "search"
        if self._x_user_id and takes_user:
            headers["x-user-id"] = self._x_user_id
        return replace(call, headers=headers)

    async def _token(self, action: str) -> str:
        """StalledError at once while the sign-in lets deadlines pass: one call at a time waits for
        it, not each of a walk. It is no call of ours: who makes it has patience of its own."""
        began = trio.current_time()
        deadline_at = trio.current_effective_deadline()
        verdict = self._sign_in.blocked(SIGN_IN, began, patient=True)
        if verdict.refused:
            hint = f"it is tried again in {max(verdict.again_s, 1):.0f} s"
            raise StalledError(f"cannot {action}: the sign-in does not answer", hint=hint)
        try:
            token = await self._tokens.token()
        finally:
            if trio.current_time() >= deadline_at and trio.current_time() - began >= BLAME_MIN_S:
                self._sign_in.timed_out(SIGN_IN, trio.current_time())
        self._sign_in.answered(SIGN_IN, trio.current_time())
        return token
