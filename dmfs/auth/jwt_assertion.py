"""A service account's private key, and the JWT assertion (RFC 7523) signed with it. Blocking."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dmfs.errors import SetupError

AUDIENCE = "https://developer.api.autodesk.com/authentication/v2/token"
"""The service wants this one, whatever URL it is called at."""
KEY_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """A private key in PEM, and its id at the service."""

    key_id: str
    pem: str = field(repr=False)


def read_key(path: Path, key_id: str, owner: int) -> ServiceKey:
    """A key file: PEM, or the service's JSON (``kid``, ``privateKey``). SetupError otherwise.

    ``key_id`` from the configuration replaces the file's own. Only ``owner`` may read the file.
    """
    try:
        status = path.stat()
        with path.open("rb") as file:
            text = file.read(KEY_MAX_BYTES).decode("utf-8", "replace").strip()
    except OSError as error:
        raise SetupError(f"the key file {path} cannot be read: {error.strerror}") from None
    if stat.S_ISREG(status.st_mode) and (status.st_mode & 0o077 or status.st_uid not in (owner, 0)):
        raise SetupError(f"the key file {path} is readable by others", hint=f"chmod 600 {path}")
    if text.startswith("{"):
        try:
            given = json.loads(text)
            key_id, text = key_id or str(given["kid"]), str(given["privateKey"])
        except (ValueError, KeyError, TypeError):
            raise SetupError(
                f"the key file {path} is not the JSON that the service gave (kid, privateKey)"
            ) from None
    if not text.startswith("-----BEGIN") or "PRIVATE KEY-----" not in text:
        raise SetupError(f"the key file {path} holds no private key in PEM")
    if not key_id:
        raise SetupError("a service account needs key_id", hint="the `kid` that came with the key")
    return ServiceKey(key_id, text)


def assertion(
    key: ServiceKey,
    *,
    client_id: str,
    account_id: str,
    scopes: Sequence[str],
    expires_s: float,
    unique: str,
) -> str:
    """The signed JWT. SetupError if the key is no RSA key."""
    from joserfc import jwt  # noqa: PLC0415 - servers only, and cryptography takes 100 ms to load
    from joserfc.jwk import RSAKey  # noqa: PLC0415 - the same

    claims = {
        "iss": client_id,
        "sub": account_id,
        "aud": AUDIENCE,
        "exp": int(expires_s),
        "scope": list(scopes),
        "jti": unique,
    }
    try:
        rsa = RSAKey.import_key(key.pem)
        return jwt.encode({"alg": "RS256", "kid": key.key_id}, claims, rsa)
    except Exception:  # noqa: BLE001 - whatever it says might quote the key
        raise SetupError("the service account's key is not a usable RSA private key") from None
