"""Grants of the token endpoint: an app's own and those of users (facts 1).

A grant takes the service, the authenticated app and the form; it returns tokens or refuses.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time

from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.http.messages import Answer, json_answer
from dmfs.emulator.sign_in.apps import App, requested_scopes
from dmfs.emulator.sign_in.service import SignIn

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def client_credentials(service: SignIn, app: App, form: dict[str, str]) -> Answer:
    """``client_credentials``: a two-legged token of a confidential app."""
    if app.is_public:
        text = "A public client has no credentials of its own."
        return errors.oauth(400, "unauthorized_client", text)
    text, ttl_s = service.tokens.issue(app, requested_scopes(form))
    return json_answer(
        {"access_token": text, "token_type": "Bearer", "expires_in": max(0, int(ttl_s))}
    )


def _invalid_grant(service: SignIn, text: str) -> Refusal:
    service.sessions.counts["refused"] += 1
    return Refusal(errors.oauth(400, "invalid_grant", text))


def authorization_code(service: SignIn, app: App, form: dict[str, str]) -> Answer:
    """``authorization_code``, with PKCE where the request had a challenge."""
    code = service.sessions.codes.get(form.get("code", ""))
    if code is None or code.used or code.expires_s <= time.time() or code.request.app is not app:
        raise _invalid_grant(service, "The authorization code is invalid or has expired.")
    code.used = True  # one attempt spends a code, whatever its outcome
    request = code.request
    if form.get("redirect_uri") != request.redirect_uri:
        raise _invalid_grant(service, "The redirect_uri is not that of the authorization.")
    if request.challenge:
        verifier = form.get("code_verifier", "")
        digest = hashlib.sha256(verifier.encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        matches = hmac.compare_digest(proof, request.challenge)
        if not _VERIFIER.fullmatch(verifier) or not matches:
            raise _invalid_grant(service, "PKCE verification failed.")
    return _with_refresh_token(service, app, request.scopes, request.user_id)


def refresh_token(service: SignIn, app: App, form: dict[str, str]) -> Answer:
    """``refresh_token``: rotates; a spent token is an invalid grant."""
    refresh = service.sessions.refreshes.get(form.get("refresh_token", ""))
    if refresh is None or not refresh.honoured or refresh.app is not app:
        raise _invalid_grant(service, "The refresh token is invalid or expired.")
    scopes = refresh.scopes
    if form.get("scope"):
        scopes = requested_scopes(form)
        if not scopes <= refresh.scopes:
            raise Refusal(errors.oauth(400, "invalid_scope", "The scope exceeds the original."))
    refresh.spent = True
    service.sessions.counts["refreshed"] += 1
    return _with_refresh_token(service, app, scopes, refresh.user_id, refresh.family)


def _with_refresh_token(
    service: SignIn, app: App, scopes: frozenset[str], user_id: str, family: str = ""
) -> Answer:
    """An access token and the refresh token to go on with."""
    text, ttl_s = service.tokens.issue(app, scopes, user_id)
    refresh = service.sessions.new_refresh(app, user_id, scopes, family)
    return json_answer(
        {
            "access_token": text,
            "token_type": "Bearer",
            "expires_in": max(0, int(ttl_s)),
            "refresh_token": refresh,
        }
    )
