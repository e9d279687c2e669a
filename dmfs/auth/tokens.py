"""A sign-in as it is stored: tokens, their owner, their expiry. Pure.

Times are seconds of the wall clock, because a sign-in outlives the process. Whatever is secret is
left out of ``repr``, so that no traceback or log line can show it by accident.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from dmfs.errors import SignedOutError

FORMAT_VERSION = 1
REFRESH_LIFE_S = 15 * 86400.0
"""Life of a refresh token; the service's response does not say it."""
EXPIRY_MARGIN_S = 60.0
"""A token is renewed this long before its end, so that none expires on its way."""
LOGIN_HINT = "run dmfs login"


def login_hint(profile: str, *, to_write: bool = False) -> str:
    """The command that helps. It names the profile: otherwise another one would be signed in."""
    hint = LOGIN_HINT if profile == "default" else f"{LOGIN_HINT} --profile {profile}"
    return f"{hint} --write" if to_write else hint


READ_SCOPE = "data:read"
CREATE_SCOPE = "data:create"
WRITE_SCOPES = (CREATE_SCOPE, "data:write")
"""Storage, items, versions and exports need the first; folders, names and parts the second."""
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A response of the token endpoint. ``refresh_token`` is empty where the grant has none."""

    access_token: str = field(repr=False)
    lifetime_s: float
    refresh_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """One person's sign-in to one app, as of its last refresh."""

    api_url: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    """Empty for public apps. Stored, so that a mount at boot needs no environment."""
    scopes: str = ""
    access_token: str = field(default="", repr=False)
    access_expires_s: float = 0.0
    refresh_token: str = field(default="", repr=False)
    refresh_expires_s: float = 0.0
    signed_in_s: float = 0.0
    refreshed_s: float = 0.0
    user_id: str = ""
    user_name: str = ""
    user_email: str = ""

    def usable(self, now_s: float) -> bool:
        """Whether the access token may be used, by this machine's clock.

        If the clock was wrong at the refresh, the service's 401 corrects the answer.
        """
        return bool(self.access_token) and now_s < self.access_expires_s

    def renewed(self, grant: Grant, now_s: float) -> SignIn:
        """This sign-in after a grant that was requested at ``now_s``."""
        return replace(
            self,
            access_token=grant.access_token,
            access_expires_s=now_s + useful_life_s(grant.lifetime_s),
            refresh_token=grant.refresh_token or self.refresh_token,
            refresh_expires_s=now_s + REFRESH_LIFE_S,
            refreshed_s=now_s,
        )


def useful_life_s(lifetime_s: float) -> float:
    """Seconds of use of a new token: a minute less than its life, and at least half of it."""
    return max(lifetime_s - EXPIRY_MARGIN_S, lifetime_s / 2)


def with_writing(scopes: str) -> str:
    """The scopes of a sign-in that may write, from those that are configured."""
    words = scopes.split()
    return " ".join([*words, *(each for each in (READ_SCOPE, *WRITE_SCOPES) if each not in words)])


def granted_scopes(access_token: str, requested: str) -> frozenset[str]:
    """What a sign-in may do: as its token says (a person may have consented to less, or an app be
    cut down since), else as it was requested. A token that is no JWT says nothing."""
    found = claims(access_token).get("scope")
    words = found.split() if isinstance(found, str) else found
    if isinstance(words, list) and words and all(isinstance(each, str) for each in words):
        return frozenset(words)
    return frozenset(requested.split())


def may_write(access_token: str, requested: str) -> bool:
    """Whether a sign-in has the scopes that all of writing needs."""
    return granted_scopes(access_token, requested).issuperset(WRITE_SCOPES)


def is_token(value: object) -> bool:
    """Printable ASCII without blanks: what fits into a header."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def claims(token: str) -> dict[str, Any]:
    """The claims inside a token that is a JWT; unverified, for display only. {} if it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        raw = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        found = json.loads(raw)
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class StoredSignIn:
    """A sign-in and where it lies: ``file`` or ``keyring``."""

    sign_in: SignIn
    where: str


def encode(stored: StoredSignIn, *, with_secrets: bool) -> str:
    """One JSON object. Without secrets: what the file says of a sign-in that a keyring holds."""
    values = asdict(stored.sign_in)
    if not with_secrets:
        for name in ("client_secret", "access_token", "refresh_token"):
            del values[name]
    head = {"what": "a dmfs sign-in", "version": FORMAT_VERSION, "where": stored.where}
    return json.dumps(head | values, indent=1) + "\n"


def decode(text: str, name: str, login: str = LOGIN_HINT) -> StoredSignIn:
    """The reverse. SignedOutError, naming ``name``: damaged, or of a newer dmfs;
    ``login`` is its remedy."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or isinstance(values.get("version"), bool):
        raise _damaged(name, login)
    version = values.get("version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise SignedOutError(
            f"{name} was written by a newer dmfs (format {version})",
            hint=f"upgrade dmfs, or {login} again with this one",
        )
    where = values.get("where")
    if version != FORMAT_VERSION or where not in ("file", "keyring"):
        raise _damaged(name, login)
    known: dict[str, Any] = {}
    for each in fields(SignIn):
        if each.name not in values:
            continue
        value = values[each.name]
        wanted = (int, float) if str(each.type) == "float" else str
        if isinstance(value, bool) or not isinstance(value, wanted):
            raise _damaged(name, login)
        known[each.name] = value
    try:
        return StoredSignIn(SignIn(**known), where)
    except TypeError:
        raise _damaged(name, login) from None


def _damaged(name: str, login: str) -> SignedOutError:
    return SignedOutError(f"{name} is damaged", hint=f"{login} again")
