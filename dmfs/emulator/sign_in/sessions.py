"""Users, authorization codes and refresh tokens (facts 1)."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

from dmfs.emulator.settings import Settings
from dmfs.emulator.sign_in.apps import App


@dataclass(frozen=True, slots=True)
class User:
    """A made-up person."""

    id: str
    name: str
    email: str


USERS = {
    user.id: user
    for user in (
        User("ADAEMU000001", "Ada Emulated", "ada@emulator.invalid"),
        User("BOBEMU000002", "Bob Emulated", "bob@emulator.invalid"),
    )
}
ADA = "ADAEMU000001"


@dataclass(slots=True)
class AuthorizationRequest:
    """An authorization request that waits for the consent page's form."""

    app: App
    redirect_uri: str
    scopes: frozenset[str]
    state: str
    challenge: str
    user_id: str = ""


@dataclass(slots=True)
class Code:
    """An authorization code: good once, for a few minutes."""

    request: AuthorizationRequest
    expires_s: float
    used: bool = False


@dataclass(slots=True)
class Refresh:
    """A refresh token: good once; ``family`` is the session that it belongs to."""

    app: App
    user_id: str
    scopes: frozenset[str]
    family: str
    expires_s: float
    spent: bool = False
    revoked: bool = False

    @property
    def honoured(self) -> bool:
        return not self.spent and not self.revoked and self.expires_s > time.time()


class Sessions:
    """Pending requests, codes and refresh tokens. ``signed_in``: user of the browser."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.signed_in = ""
        self.pending: dict[str, AuthorizationRequest] = {}
        self.codes: dict[str, Code] = {}
        self.refreshes: dict[str, Refresh] = {}
        self.counts = {"refreshed": 0, "refused": 0, "consented": 0, "denied": 0, "revoked": 0}

    def add_pending(self, request: AuthorizationRequest) -> str:
        """Store a request until its consent form arrives; its id."""
        name = secrets.token_urlsafe(18)
        self.pending[name] = request
        return name

    def new_code(self, request: AuthorizationRequest) -> str:
        code = secrets.token_urlsafe(30)
        self.codes[code] = Code(request, time.time() + self._settings.code_ttl_s)
        return code

    def new_refresh(self, app: App, user_id: str, scopes: frozenset[str], family: str = "") -> str:
        """A refresh token of a session; without a family a new session begins."""
        text = "RT" + secrets.token_urlsafe(40)
        self.refreshes[text] = Refresh(
            app, user_id, scopes, family or secrets.token_hex(8),
            time.time() + self._settings.refresh_ttl_s,
        )  # fmt: skip
        return text

    def end(self, family: str | None = None) -> int:
        """Revoke a session, or all of them; how many live refresh tokens that ended."""
        ended = 0
        for refresh in self.refreshes.values():
            if family in (None, refresh.family) and refresh.honoured:
                refresh.revoked = True
                ended += 1
        self.counts["revoked"] += ended
        return ended

    def expire(self) -> None:
        """Let every code and refresh token reach its end."""
        for code in self.codes.values():
            code.expires_s = 0.0
        for refresh in self.refreshes.values():
            refresh.expires_s = 0.0

    def status(self, text: str) -> dict[str, Any]:
        """What the service would do with a refresh token, without using it.

        ``session_alive``: some token of its session, perhaps a later one, is still honoured.
        """
        refresh = self.refreshes.get(text)
        if refresh is None:
            return {"known": False, "honoured": False, "spent": False, "session_alive": False}
        family = [each for each in self.refreshes.values() if each.family == refresh.family]
        return {
            "known": True,
            "honoured": refresh.honoured,
            "spent": refresh.spent,
            "session_alive": any(each.honoured for each in family),
        }
