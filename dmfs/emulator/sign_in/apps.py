"""Registered apps, and the client credentials and scopes of a request (facts 1)."""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass, field

from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.http.messages import Request

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
