"""Secure Service Accounts: the JWT-bearer grant (facts 1.2). RS256 is verified with the stdlib."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dmfs.emulator.api import errors
from dmfs.emulator.api.errors import Refusal
from dmfs.emulator.server.http import Answer, json_answer
from dmfs.emulator.sign_in import apps
from dmfs.emulator.sign_in.apps import App

if TYPE_CHECKING:
    from dmfs.emulator.server.state import Emulator

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCE = "https://developer.api.autodesk.com/authentication/v2/token"
LIFE_MAX_S = 300.0
_SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclass(frozen=True, slots=True)
class Key:
    """A service account's public key: ``modulus`` and ``exponent`` of RSA."""

    account_id: str
    client_id: str
    modulus: int
    exponent: int


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verifies(key: Key, signed: bytes, signature: bytes) -> bool:
    """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 8.2.2): rebuild the padded digest, compare."""
    size = (key.modulus.bit_length() + 7) // 8
    if len(signature) != size:
        return False
    opened = pow(int.from_bytes(signature, "big"), key.exponent, key.modulus)
    digest = _SHA256_INFO + hashlib.sha256(signed).digest()
    padded = b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest
    return hmac.compare_digest(opened.to_bytes(size, "big"), padded)


def _refuse(text: str) -> Refusal:
    return Refusal(errors.oauth(400, "invalid_grant", text))


def _open(emulator: Emulator, app: App, assertion: str) -> tuple[Key, dict[str, Any]]:
    """Key and claims of an assertion that is signed as it should be."""
    parts = assertion.split(".")
    try:
        header, claims = (json.loads(_decode(part)) for part in parts[:2])
        signature = _decode(parts[2])
        algorithm, kid = header["alg"], header["kid"]
    except (ValueError, IndexError, KeyError, TypeError, binascii.Error):
        raise _refuse("The assertion is not a JWT.") from None
    key = emulator.service_keys.get(str(kid))
    if algorithm != "RS256" or key is None or key.client_id != app.client_id:
        raise _refuse("The assertion's algorithm or key is unknown.")
    if not verifies(key, ".".join(parts[:2]).encode(), signature):
        raise _refuse("The assertion's signature is wrong.")
    if not isinstance(claims, dict):
        raise _refuse("The assertion has no claims.")
    return key, claims


def _jwt_bearer(emulator: Emulator, app: App, form: dict[str, str]) -> Answer:
    if app.is_public:
        raise Refusal(errors.oauth(400, "unauthorized_client", "Confidential clients only."))
    key, claims = _open(emulator, app, form.get("assertion", ""))
    if claims.get("iss") != app.client_id or claims.get("sub") != key.account_id:
        raise _refuse("The assertion's iss or sub is wrong.")
    if claims.get("aud") != AUDIENCE:
        raise _refuse("The assertion's aud is wrong.")
    expires_s, now_s = claims.get("exp"), time.time() + emulator.settings.date_offset_s
    if isinstance(expires_s, bool) or not isinstance(expires_s, int | float):
        raise _refuse("The assertion has no exp.")
    if not now_s < expires_s <= now_s + LIFE_MAX_S + 1:
        raise _refuse("The assertion has expired, or lives for more than 5 minutes.")
    scopes = claims.get("scope")
    if not isinstance(scopes, list) or not apps.scopes_are_known(" ".join(map(str, scopes)), 3000):
        raise Refusal(errors.oauth(400, "invalid_scope", "The claim scope is an array of scopes."))
    text, ttl_s = emulator.tokens.issue(
        app, frozenset(scopes), key.account_id, is_service_account=True
    )
    return json_answer(
        {"access_token": text, "token_type": "Bearer", "expires_in": max(0, int(ttl_s))}
    )


apps.GRANTS[GRANT] = _jwt_bearer
