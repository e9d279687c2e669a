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
    BadResponseError,
    BusyError,
    DriveError,
    GoneError,
    GrantRefusedError,
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
_OAUTH_CODE = re.compile(
    r'"error"\s*:\s*"(invalid_grant|invalid_client|invalid_scope|invalid_request|'
    r'unauthorized_client|unsupported_grant_type)"'
)
_GRANT_TEXT = re.compile(r"(?i)refresh token|authorization code|PKCE|redirect_?uri")


def from_status(
    what: str, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> DriveError:
    """The error for an answer that is no success, with its status, request id, Retry-After."""
    error = _classified(what, status, body)
    error.status = status
    told = (headers or {}).get
    named = (*(told(name, "") for name in _REQUEST_IDS), _error_id(body))
    error.request_id = next((each for each in named if _REQUEST_ID.fullmatch(each)), "")
    if status in (429, 503):
        error.retry_after_s = retry_after_s(headers or {})
    return error


_REQUEST_IDS = ("x-request-id", "x-ads-request-id", "x-amz-request-id", "x-amz-cf-id")
"""Not documented: what the gateway, Autodesk's own services, S3 and CloudFront send. Where none of
them is there, the ``id`` of a JSON:API error (which is) does the same service."""
_REQUEST_ID = re.compile(r"[\w.:+/=-]{1,128}", re.ASCII)


def _error_id(body: bytes) -> str:
    try:
        found = json.loads(body[:ERROR_BODY_MAX_BYTES])["errors"][0]["id"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return ""
    return found if isinstance(found, str) else ""


def _classified(what: str, status: int, body: bytes) -> DriveError:
    """The kind of error.

    ``what`` names the question in the user's words ("list folder Plans"). The text of the answer
    is quoted where it says something, cut and cleared of anything that looks like a secret.
    """
    detail = explain(body)
    message = f"cannot {what}: HTTP {status}" + (f" ({detail})" if detail else "")
    if status == 429:
        return BusyError(
            message, hint="the rate limit of this app is used up; it refills within a minute"
        )
    code = _grant_refusal(status, detail, body)
    if code:
        return GrantRefusedError(message, hint="run dmfs login", code=code)
    if status == 401:
        return TokenRefusedError(message, hint="the token or its scopes were refused")
    if status in (403, 423):
        return AccessError(message, hint=_access_hint(detail))
    if status in (404, 410):
        return GoneError(message)
    if status in RETRY_STATUSES or status >= 500:
        return UnreachableError(message)
    return BadResponseError(message)


def _grant_refusal(status: int, detail: str, body: bytes) -> str:
    """OAuth's code if this is a token endpoint's refusal, '' otherwise.

    The service's documentation describes the refusals, but not the shape of their body: the
    gateway's is known by its text.
    """
    if status not in (400, 401):
        return ""
    found = _OAUTH_CODE.search(body[:ERROR_BODY_MAX_BYTES].decode("utf-8", "replace"))
    if found:
        return found[1]
    return "invalid_grant" if status == 400 and _GRANT_TEXT.search(detail) else ""


def _access_hint(detail: str) -> str:
    if "not active" in detail:
        return "the project is archived or inactive"
    return "no permission, or the account's admin has not admitted this app"


def from_transport(what: str, error: BaseException) -> DriveError:
    """The error for a conversation that broke: names the kind of failure, never a URL."""
    text, hint = "", "check the network connection"
    cause: BaseException | None = error
    while not text and cause is not None:  # trio's and httpcore's own say nothing: what TLS said
        text, cause = clean(str(cause)), cause.__cause__ or cause.__context__
    if "CERTIFICATE" in text:
        hint = "check SSL_CERT_FILE or ca_file: does this network have a proxy of its own?"
    return UnreachableError(f"cannot {what}: {text or type(error).__name__}", hint=hint)


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
