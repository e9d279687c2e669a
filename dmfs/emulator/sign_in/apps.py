"""Apps, tokens and the token endpoint (facts 1).

Only ``client_credentials`` is here. The other grants (``oauth``, ``serviceaccounts``) enter
themselves in :data:`GRANTS`; what they issue goes through :meth:`Tokens.issue` as well, with the
user they speak for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from dmfs.emulator.api import errors
from dmfs.emulator.api.errors import Refusal
from dmfs.emulator.server.http import Answer, Request, json_answer
from dmfs.emulator.server.settings import Settings

if TYPE_CHECKING:
    from dmfs.emulator.server.state import Emulator

EXPIRED_TEXT = "Access token provided is invalid or expired."
KNOWN_SCOPES = frozenset(
    "user:read user:write user-profile:read viewables:read data:read data:write data:create "
    "data:search bucket:create bucket:read bucket:update bucket:delete code:all account:read "
    "account:write openid application:service_account:read".split()
)

CALLBACK = "http://localhost:8080/callback"


@dataclass(frozen=True, slots=True)
class App:
    """A registered app. ``sees_teams``: its two-legged token shows ``a.`` hubs as well.

    Without a secret it is a public one (PKCE); ``callbacks`` can be changed by control.
    """

    client_id: str
    secret: str
    admitted: bool = True
    sees_teams: bool = False
    may_download: bool = True
    callbacks: list[str] = field(default_factory=list)

    @property
    def is_public(self) -> bool:
        return not self.secret


APPS = {
    app.client_id: app
    for app in (
        App("emulator-app", "emulator-secret", sees_teams=True),
        App("emulator-strict", "strict-secret"),
        App("emulator-unadmitted", "unadmitted-secret", admitted=False),
        App("emulator-viewonly", "viewonly-secret", sees_teams=True, may_download=False),
        App("emulator-desktop", "", callbacks=[CALLBACK]),
        App("emulator-web", "web-secret", callbacks=[CALLBACK]),
    )
}


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
        """Also those that were revoked: a test looks for all of them."""

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

    def require(self, request: Request, scope: str) -> Token:
        """The token of a request, or the gateway's 401. Wrong scope is a 401 too (facts 1.5)."""
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        is_oss = request.segments[:1] == ["oss"]
        if kind.lower() != "bearer" or not text:
            raise Refusal(errors.gateway(401, "AUTH-010", "Authorization header is not present."))
        token = self._issued.get(text.strip())
        if token is None or token.expires_s <= time.time():
            message = EXPIRED_TEXT if is_oss else "The access token provided is not valid."
            raise Refusal(errors.gateway(401, "AUTH-006", message))
        request.client_id = token.app.client_id
        if scope not in token.scopes:
            message = "Token does not have the privilege for this request."
            raise Refusal(errors.gateway(401, "AUTH-012", message))
        return token


def _jwt_part(value: object) -> str:
    raw = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


Grant = Callable[["Emulator", App, dict[str, str]], Answer]


async def token(emulator: Emulator, request: Request, args: list[str]) -> Answer:
    """``POST /authentication/v2/token``, a form."""
    form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    app = client_of(request, form)
    request.client_id = app.client_id
    retry_after_s = emulator.limits.retry_after_s(app.client_id, "token")
    if retry_after_s is not None:
        return errors.quota(retry_after_s)
    grant = GRANTS.get(form.get("grant_type", ""))
    if grant is None:
        return errors.oauth(400, "unsupported_grant_type", "The grant type is not supported.")
    return grant(emulator, app, form)


def client_of(request: Request, form: dict[str, str]) -> App:
    """The app by Basic header or by body, never both (facts 1.2)."""
    header = request.headers.get("authorization", "")
    if header and ("client_secret" in form or "client_id" in form):
        raise Refusal(errors.oauth(400, "invalid_request", "Two kinds of client credentials."))
    client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    if header:
        try:
            decoded = base64.b64decode(header.partition(" ")[2], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            decoded = ""
        client_id, _, secret = decoded.partition(":")
    app = APPS.get(client_id)
    # a public app has no secret, so a Basic header is not for it
    wrong_kind = app is not None and app.is_public and bool(header)
    if app is None or wrong_kind or not hmac.compare_digest(app.secret.encode(), secret.encode()):
        message = "The client_id (application key)/client_secret are not valid"
        raise Refusal(errors.gateway(401, "AUTH-003", message))
    return app


def requested_scopes(form: dict[str, str]) -> frozenset[str]:
    """Scopes of a form; at least one, at most 50, all known or dynamic (facts 1.2, 1.3)."""
    if not scopes_are_known(form.get("scope", ""), 3000):
        message = "The requested scope is invalid, unknown, or malformed."
        raise Refusal(errors.oauth(400, "invalid_scope", message))
    return frozenset(form["scope"].split())


def scopes_are_known(text: str, chars_max: int) -> bool:
    """1 to 50 scopes, all known or dynamic, in a text that is not too long."""
    scopes = text.split()
    known = all(scope in KNOWN_SCOPES or scope.startswith("data:read:") for scope in scopes)
    return known and 0 < len(scopes) <= 50 and len(text) <= chars_max


def _client_credentials(emulator: Emulator, app: App, form: dict[str, str]) -> Answer:
    if app.is_public:
        text = "A public client has no credentials of its own."
        return errors.oauth(400, "unauthorized_client", text)
    text, ttl_s = emulator.tokens.issue(app, requested_scopes(form))
    return json_answer(
        {"access_token": text, "token_type": "Bearer", "expires_in": max(0, int(ttl_s))}
    )


GRANTS: dict[str, Grant] = {"client_credentials": _client_credentials}
"""By grant_type; later phases add theirs."""
