"""The one place where HTTP becomes a DriveError. Floor 1; shared by both planes.

Autodesk answers in four shapes (JSON:API errors, the gateway's developerMessage, OSS's reason,
S3's XML) and OAuth's own; each becomes one line a person understands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from dmfs.errors import (
    AccessError,
    BadAnswerError,
    BusyError,
    DriveError,
    GoneError,
    TokenRefusedError,
    UnreachableError,
)

ERROR_BODY_MAX_BYTES = 64 * 1024
RETRY_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_DETAIL_MAX_CHARS = 200
_SECRETS = re.compile(
    r"(?i)(bearer\s+[\w.~+/=-]+|eyJ[\w-]{8,}[\w.-]*|https?://\S+|"
    r"(?:signature|client_secret|access_token|refresh_token)=[^&\s]+)"
)


def from_status(what: str, status: int, body: bytes) -> DriveError:
    """The error for an answer that is not a success.

    ``what`` names the question in the user's words ("list folder Plans"). The text of the answer
    is quoted where it says something, cut and cleared of anything that looks like a secret.
    """
    detail = explain(body)
    message = f"cannot {what}: HTTP {status}" + (f" ({detail})" if detail else "")
    if status == 429:
        return BusyError(
            message, hint="the rate limit of this app is used up; it refills within a minute"
        )
    if status == 401:
        return TokenRefusedError(message, hint="the token or its scopes were refused")
    if status in (403, 423):
        return AccessError(message, hint=_access_hint(detail))
    if status in (404, 410):
        return GoneError(message)
    if status in RETRY_STATUSES or status >= 500:
        return UnreachableError(message)
    return BadAnswerError(message)


def _access_hint(detail: str) -> str:
    if "not active" in detail:
        return "the project is archived or inactive"
    return "no permission, or the account's admin has not admitted this app"


def from_transport(what: str, error: BaseException) -> DriveError:
    """The error for a conversation that broke: names the kind of failure, never a URL."""
    text = clean(str(error)) or type(error).__name__
    return UnreachableError(f"cannot {what}: {text}", hint="check the network connection")


def explain(body: bytes) -> str:
    """The human part of an error body of any of the known shapes; '' where there is none."""
    text = body[:ERROR_BODY_MAX_BYTES].decode("utf-8", "replace").strip()
    if text.startswith("<"):
        return _explain_markup(text)
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(answer, dict):
        return ""
    errors = answer.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return _first(errors[0], "detail", "title", "code")
    return _first(
        answer,
        "developerMessage",
        "reason",
        "error_description",
        "detail",
        "error",
        "errorCode",
        "title",
    )


def _explain_markup(text: str) -> str:
    if text[:200].lower().lstrip("<!").startswith(("doctype html", "html")):
        return "an HTML page instead of an answer: a proxy or a sign-in page of this network?"
    found = re.search(r"<Message>([^<]{1,400})</Message>", text)
    return clean(found[1]) if found else ""


def _first(table: Mapping[str, object], *keys: str) -> str:
    for key in keys:
        value = table.get(key)
        if isinstance(value, str) and value.strip():
            return clean(value)
    return ""


def clean(text: str) -> str:
    """One printable line without secrets, cut to a readable length."""
    line = _SECRETS.sub("…", " ".join(text.split()))
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= _DETAIL_MAX_CHARS else line[: _DETAIL_MAX_CHARS - 1] + "…"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """``Retry-After`` in seconds (Apigee sends whole seconds); None where absent or nonsense."""
    raw = headers.get("retry-after", "").strip()
    if not re.fullmatch(r"\d{1,6}(\.\d+)?", raw):
        return None
    return min(float(raw), 3600.0)
