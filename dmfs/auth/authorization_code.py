"""The authorization code flow's arithmetic: PKCE, state, URLs. Floor 1, but pure.

The protocol is authlib's; its httpx client is not used, because it wants httpx's successor (and
warns of httpx), and because requests of ours go through ``wire`` with its limits anyway.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import (
    parse_authorization_code_response,
    prepare_grant_uri,
)
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from dmfs.errors import AccessError, SetupError
from dmfs.http.errormap import clean

AUTHORIZE_PATH = "/authentication/v2/authorize"
LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to sign in: where to send the person, and what must come back."""

    url: str
    callback: str
    state: str = field(repr=False)
    verifier: str = field(repr=False)


def new_attempt(
    api_url: str, client_id: str, callback: str, scopes: str, *, prompt_login: bool
) -> Attempt:
    """Fresh state and PKCE verifier, and the URL that carries their public side."""
    verifier = generate_token(64)
    state = generate_token(32)  # letters and digits: all that the service lets a state hold
    extra = {
        "code_challenge": create_s256_code_challenge(verifier),
        "code_challenge_method": "S256",
    }
    if prompt_login:
        extra["prompt"] = "login"
    url = prepare_grant_uri(
        api_url + AUTHORIZE_PATH, client_id, "code", callback, scopes, state, **extra
    )
    return Attempt(str(url), callback, state, verifier)


def looks_like_callback(text: str, callback: str) -> bool:
    """Is ``text`` the callback URL with something after it?"""
    given, wanted = _split(text), _split(callback)
    return given is not None and given[:3] == (wanted and wanted[:3]) and bool(given[3])


def _split(url: str) -> tuple[str, str, str, str] | None:
    try:
        at = urlsplit(url)
        return at.scheme, at.netloc.lower(), at.path or "/", at.query
    except ValueError:
        return None


def code_of(text: str, attempt: Attempt) -> str:
    """The code in a callback URL. AccessError: denied, refused, of another try, without a code."""
    if not looks_like_callback(text, attempt.callback):
        raise AccessError(
            f"that is not the callback URL: it should begin with {attempt.callback}?",
            hint="copy the whole address from the browser after you allowed access",
        )
    given = dict(parse_qsl(urlsplit(text).query, keep_blank_values=True))
    # State first: whatever else a stranger's URL says is not worth repeating.
    if not hmac.compare_digest(given.get("state", "").encode(), attempt.state.encode()):
        raise AccessError(
            "the answer belongs to another attempt to sign in (wrong state)",
            hint="run dmfs login again and use the page that it opens",
        )
    if "error" in given:
        raise _refusal(given)
    try:
        return str(parse_authorization_code_response(text, attempt.state)["code"])
    except (AuthlibBaseError, KeyError, ValueError):
        raise AccessError("the callback URL holds no code", hint="run dmfs login again") from None


def _refusal(given: dict[str, str]) -> AccessError:
    detail = clean(given.get("error_description", "") or given["error"])
    if given["error"] == "access_denied":
        return AccessError(
            "access was denied on the sign-in page",
            hint="run dmfs login again and allow it; --prompt-login to use another account",
        )
    hint = {
        "invalid_scope": "check `scopes` in the configuration",
        "unauthorized_client": "check the app's type at https://aps.autodesk.com/myapps",
    }.get(given["error"], "check the app at https://aps.autodesk.com/myapps")
    return AccessError(f"the service refused the sign-in: {detail}", hint=hint)


def check_callback(callback: str) -> tuple[str, int, str]:
    """Host, port and path of a loopback callback.

    SetupError if it is no URL; port 0 if it is one that only another machine can answer.
    """
    try:
        at = urlsplit(callback)
        port = at.port
    except ValueError:
        at, port = urlsplit(""), None
    if at.scheme not in ("http", "https") or not at.hostname or at.query or at.fragment:
        raise SetupError(
            f"the callback {callback!r} is not a URL such as http://localhost:8080/callback",
            hint="--callback takes what is registered for the app",
        )
    if at.scheme == "https" or at.hostname not in LOOPBACK:
        return at.hostname, 0, at.path or "/"
    return at.hostname, port or 80, at.path or "/"
