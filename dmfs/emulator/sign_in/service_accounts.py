"""Secure Service Accounts: the JWT-bearer grant (facts 1.2)."""

from __future__ import annotations

import base64
import binascii
import json
import time
from typing import Any

from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.http.messages import Answer, json_answer
from dmfs.emulator.sign_in.apps import App, scopes_are_known
from dmfs.emulator.sign_in.service import SignIn
from dmfs.emulator.sign_in.service_keys import Key, verifies

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCE = "https://developer.api.autodesk.com/authentication/v2/token"
LIFE_MAX_S = 300.0


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _refuse(text: str) -> Refusal:
    return Refusal(errors.oauth(400, "invalid_grant", text))


def _claims(service: SignIn, app: App, assertion: str) -> tuple[Key, dict[str, Any]]:
    """Key and claims of an assertion that is signed as it should be."""
    parts = assertion.split(".")
    try:
        header, claims = (json.loads(_decode(part)) for part in parts[:2])
        signature = _decode(parts[2])
        algorithm, kid = header["alg"], header["kid"]
    except (ValueError, IndexError, KeyError, TypeError, binascii.Error):
        raise _refuse("The assertion is not a JWT.") from None
    key = service.service_keys.get(str(kid))
    if algorithm != "RS256" or key is None or key.client_id != app.client_id:
        raise _refuse("The assertion's algorithm or key is unknown.")
    if not verifies(key, ".".join(parts[:2]).encode(), signature):
        raise _refuse("The assertion's signature is wrong.")
    if not isinstance(claims, dict):
        raise _refuse("The assertion has no claims.")
    return key, claims


def jwt_bearer(service: SignIn, app: App, form: dict[str, str]) -> Answer:
    """The JWT-bearer grant: a token for the account that signed the assertion."""
    if app.is_public:
        raise Refusal(errors.oauth(400, "unauthorized_client", "Confidential clients only."))
    key, claims = _claims(service, app, form.get("assertion", ""))
    if claims.get("iss") != app.client_id or claims.get("sub") != key.account_id:
        raise _refuse("The assertion's iss or sub is wrong.")
    if claims.get("aud") != AUDIENCE:
        raise _refuse("The assertion's aud is wrong.")
    expires_s, now_s = claims.get("exp"), time.time() + service.settings.date_offset_s
    if isinstance(expires_s, bool) or not isinstance(expires_s, int | float):
        raise _refuse("The assertion has no exp.")
    if not now_s < expires_s <= now_s + LIFE_MAX_S + 1:
        raise _refuse("The assertion has expired, or lives for more than 5 minutes.")
    scopes = claims.get("scope")
    if not isinstance(scopes, list) or not scopes_are_known(" ".join(map(str, scopes)), 3000):
        raise Refusal(errors.oauth(400, "invalid_scope", "The claim scope is an array of scopes."))
    text, ttl_s = service.tokens.issue(
        app, frozenset(scopes), key.account_id, is_service_account=True
    )
    return json_answer(
        {"access_token": text, "token_type": "Bearer", "expires_in": max(0, int(ttl_s))}
    )
