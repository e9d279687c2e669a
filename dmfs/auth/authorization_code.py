"""The authorization code flow (RFC 6749, 4.1) with PKCE (RFC 7636): state, verifier, URLs. Pure."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from dmfs.errors import AccessError
from dmfs.http.errormap import clean

AUTHORIZE_PATH = "/authentication/v2/authorize"
VERIFIER_CHARS = 64
STATE_CHARS = 32
_ALPHABET = string.ascii_letters + string.digits
"""All that the service accepts in a state; a verifier may hold more."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in: the page for the person, and what must come back."""

    url: str
    callback: str
    state: str = field(repr=False)
    verifier: str = field(repr=False)


def new_attempt(
    api_url: str, client_id: str, callback: str, scopes: str, *, prompt_login: bool
) -> Attempt:
    """Fresh state and PKCE verifier, and the URL that carries their public side."""
    verifier, state = _random_text(VERIFIER_CHARS), _random_text(STATE_CHARS)
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": callback,
        "scope": scopes,
        "state": state,
        "code_challenge": code_challenge(verifier),
        "code_challenge_method": "S256",
    }
    if prompt_login:
        query["prompt"] = "login"
    return Attempt(f"{api_url}{AUTHORIZE_PATH}?{urlencode(query)}", callback, state, verifier)


def _random_text(chars: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(chars))


def code_challenge(verifier: str) -> str:
    """The S256 challenge of RFC 7636: base64url of the SHA-256, without padding."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return urlsafe_b64encode(digest).decode("ascii").rstrip("=")


def looks_like_callback(text: str, callback: str) -> bool:
    """Whether ``text`` is the callback URL with a query."""
    given, expected = _split(text), _split(callback)
    return given is not None and given[:3] == (expected and expected[:3]) and bool(given[3])


def _split(url: str) -> tuple[str, str, str, str] | None:
    try:
        at = urlsplit(url)
        return at.scheme, at.netloc.lower(), at.path or "/", at.query
    except ValueError:
        return None


def belongs_to(text: str, attempt: Attempt) -> bool:
    """Whether a URL carries the attempt's state, which only its own page and browser know."""
    try:
        given = dict(parse_qsl(urlsplit(text).query, keep_blank_values=True))
    except ValueError:
        return False
    return hmac.compare_digest(given.get("state", "").encode(), attempt.state.encode())


def code_of(text: str, attempt: Attempt) -> str:
    """The code in a callback URL. AccessError: denied, refused, of another attempt, no code."""
    if not looks_like_callback(text, attempt.callback):
        raise AccessError(
            f"that is not the callback URL: it should begin with {attempt.callback}?",
            hint="copy the whole address from the browser after you allowed access",
        )
    # State first: an error text in a URL of unknown origin must not be shown.
    if not belongs_to(text, attempt):
        raise AccessError(
            "the answer belongs to another attempt to sign in (wrong state)",
            hint="run dmfs login again and use the page that it opens",
        )
    given = dict(parse_qsl(urlsplit(text).query, keep_blank_values=True))
    if "error" in given:
        raise _refusal(given)
    if not given.get("code"):
        raise AccessError("the callback URL holds no code", hint="run dmfs login again")
    return given["code"]


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
