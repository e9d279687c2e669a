"""The token endpoint and its neighbours: grants, revocation, user info."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dmfs.auth.tokens import Grant, is_token
from dmfs.config import DEFAULT_API_URL
from dmfs.errors import (
    BadResponseError,
    DriveError,
    GrantRefusedError,
    TokenRefusedError,
)
from dmfs.http.json_client import Call, JsonClient

TOKEN_PATH = "/authentication/v2/token"  # noqa: S105 - a path
USERINFO_URL = "https://api.userprofile.autodesk.com/userinfo"
"""Another host than the API's; an emulator has this path on its own."""
ONCE_SILENCE_S = 45.0
"""For grants that are good once: the service spends a refresh token when the request arrives, so
hanging up on a slow answer would end the session. (No reader waits that long: ``user_session``.)"""
_GOOD_ONCE = frozenset({"refresh_token", "authorization_code"})
APPS_URL = "https://aps.autodesk.com/myapps"
_HINTS = {
    "invalid_client": f"check client_id and client_secret against {APPS_URL}",
    "unauthorized_client": f"this type of app may not sign in this way; see {APPS_URL}",
    "invalid_scope": "check `scopes` in the configuration (a read-only drive needs data:read)",
    "invalid_request": "check `callback` and `scopes` in the configuration",
    "unsupported_grant_type": f"this type of app may not sign in this way; see {APPS_URL}",
}


@dataclass(frozen=True, slots=True)
class App:
    """An APS app; public ones have no secret."""

    client_id: str
    client_secret: str = field(default="", repr=False)


def _authenticated(app: App, form: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Form and headers: Basic for apps with a secret, client_id in the body for others. Never
    both, which the service refuses."""
    if not app.client_secret:
        return {**form, "client_id": app.client_id}, {}
    pair = f"{app.client_id}:{app.client_secret}".encode()
    return dict(form), {"Authorization": "Basic " + base64.b64encode(pair).decode()}


async def request_grant(
    json_client: JsonClient, app: App, action: str, form: Mapping[str, str]
) -> Grant:
    """One grant. GrantRefusedError with OAuth's code if the service refuses; other DriveErrors.

    ``form``: ``grant_type`` and its parameters.
    """
    body, headers = _authenticated(app, form)
    call = Call(
        action=action,
        route="token",
        method="POST",
        path=TOKEN_PATH,
        form=body,
        headers=headers,
        silence_s=ONCE_SILENCE_S if form.get("grant_type") in _GOOD_ONCE else None,
    )
    try:
        answer = await json_client.request(call)
    except GrantRefusedError as error:
        raise GrantRefusedError(
            error.message, hint=_HINTS.get(error.code, error.hint), code=error.code
        ) from None
    except TokenRefusedError as error:
        hint = _HINTS["invalid_client"]
        raise GrantRefusedError(error.message, hint=hint, code="invalid_client") from None
    return _decode(answer, action)


def _decode(answer: Mapping[str, Any], action: str) -> Grant:
    token, lifetime_s = answer.get("access_token"), answer.get("expires_in")
    refresh = answer.get("refresh_token", "")
    if not is_token(token) or not (refresh == "" or is_token(refresh)):
        raise BadResponseError(f"cannot {action}: the answer holds no usable token")
    known = isinstance(lifetime_s, int | float) and not isinstance(lifetime_s, bool)
    if not known or not 0 <= float(lifetime_s or 0) <= 10 * 86400:
        lifetime_s = 300
    return Grant(
        access_token=str(token), lifetime_s=float(lifetime_s or 0), refresh_token=str(refresh)
    )


async def revoke(json_client: JsonClient, app: App, refresh_token: str) -> None:
    """End a session at the service. DriveError if that failed."""
    form = {"token": refresh_token, "token_type_hint": "refresh_token"}
    body, headers = _authenticated(app, form)
    await json_client.request(
        Call(
            action="revoke the sign-in",
            route="revoke",
            method="POST",
            path="/authentication/v2/revoke",
            form=body,
            headers=headers,
            may_be_empty=True,
        )
    )


async def user_info(json_client: JsonClient, api_url: str, access_token: str) -> dict[str, str]:
    """``sub``, ``name`` and ``email`` of a token's user, as far as the service sends them.

    A token without the scope user-profile:read is refused here; that is no reason to fail.
    """
    url = USERINFO_URL if api_url == DEFAULT_API_URL else ""
    call = Call(
        action="ask who is signed in",
        route="userinfo",
        method="GET",
        path="/userinfo",
        url=url,
        headers={"Authorization": f"Bearer {access_token}"},
    )
    try:
        answer = await json_client.request(call)
    except DriveError:
        return {}
    return {key: str(answer[key]) for key in ("sub", "name", "email") if answer.get(key)}
