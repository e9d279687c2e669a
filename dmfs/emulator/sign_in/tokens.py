"""Access tokens: issued, checked, revoked (facts 1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass

from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.http.messages import Request
from dmfs.emulator.settings import Settings
from dmfs.emulator.sign_in.apps import App

EXPIRED_TEXT = "Access token provided is invalid or expired."


@dataclass(frozen=True, slots=True)
class Token:
    """An access token as issued. ``user_id`` is empty for two-legged ones."""

    app: App
    scopes: frozenset[str]
    expires_s: float
    user_id: str = ""
    is_service_account: bool = False

    @property
    def sees_teams(self) -> bool:
        """Service accounts reach accounts only (facts 1.2)."""
        return not self.is_service_account and (self.app.sees_teams or bool(self.user_id))


class Tokens:
    """All access tokens that were issued and are not yet revoked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = secrets.token_bytes(32)
        self._issued: dict[str, Token] = {}
        self.ever: set[str] = set()
        """All tokens ever issued, revoked ones too: tests search files for them."""

    def issue(
        self,
        app: App,
        scopes: frozenset[str],
        user_id: str = "",
        *,
        is_service_account: bool = False,
    ) -> tuple[str, float]:
        """A token in the shape of a JWT and its lifetime in seconds."""
        now_s, ttl_s = time.time(), self._settings.token_ttl_s
        claims = {
            "scope": sorted(scopes),
            "client_id": app.client_id,
            "iss": "https://developer.api.autodesk.com",
            "aud": "https://autodesk.com",
            "jti": ("SA-" if is_service_account else "") + secrets.token_urlsafe(24),
            "exp": int(now_s + ttl_s),
        }
        if user_id:
            claims["userid"] = user_id
        signed = ".".join(_jwt_part(part) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        signature = hmac.new(self._key, signed.encode(), hashlib.sha256).digest()
        text = f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
        self.ever.add(text)
        self._issued[text] = Token(app, scopes, now_s + ttl_s, user_id, is_service_account)
        return text, ttl_s

    def expire_all(self) -> None:
        self._issued.clear()

    def find(self, text: str) -> Token | None:
        """A token that is still good."""
        token = self._issued.get(text)
        return token if token is not None and token.expires_s > time.time() else None

    def revoke(self, text: str, app: App) -> None:
        """An app's own token is good no more."""
        token = self._issued.get(text)
        if token is not None and token.app is app:
            del self._issued[text]

    def identify(self, request: Request) -> None:
        """Write down whose request it is, where its token says so; refuses nothing."""
        token = self.find(request.headers.get("authorization", "").partition(" ")[2].strip())
        if token is not None:
            request.client_id = token.app.client_id
            request.user_id = user_of(request, token)

    def require(self, request: Request, scope: str) -> Token:
        """The token of a request, or the gateway's 401. Wrong scope is a 401 too (facts 1.5).

        ``scope``: ``a b`` needs both, ``a|b`` one of them.
        """
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        is_oss = request.segments[:1] == ["oss"]
        if kind.lower() != "bearer" or not text:
            raise Refusal(errors.gateway(401, "AUTH-010", "Authorization header is not present."))
        token = self._issued.get(text.strip())
        if token is None or token.expires_s <= time.time():
            message = EXPIRED_TEXT if is_oss else "The access token provided is not valid."
            raise Refusal(errors.gateway(401, "AUTH-006", message))
        request.client_id = token.app.client_id
        groups = [set(group.split("|")) for group in scope.split()]
        if not all(group & token.scopes for group in groups):
            message = "Token does not have the privilege for this request."
            raise Refusal(errors.gateway(401, "AUTH-012", message))
        return token


def user_of(request: Request, token: Token) -> str:
    """In whose name a call is made: the token's user, or the one that ``x-user-id`` names. The
    storage knows no such header (facts 1.2): a two-legged call is the app's own there."""
    if token.user_id or request.segments[:1] == ["oss"]:
        return token.user_id
    return request.headers.get("x-user-id", "")


def _jwt_part(value: object) -> str:
    raw = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
