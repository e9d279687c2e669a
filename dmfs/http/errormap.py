"""The one place where HTTP becomes a DriveError, for API calls, ranged GETs and parts.

Autodesk sends four shapes of error bodies (JSON:API errors, the gateway's developerMessage, OSS's
reason, S3's XML) and OAuth's own; each becomes one line that a person understands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from dmfs.errors import (
    AccessError,
    BadInputError,
    BadResponseError,
    BusyError,
    CertificateError,
    DriveError,
    GoneError,
    GrantRefusedError,
    InUseError,
    LockedError,
    NameTakenError,
    PartsRefusedError,
    ShortageError,
    TokenRefusedError,
    UnknownOutcomeError,
    UnreachableError,
)
from dmfs.http.client import (
    ERROR_BODY_MAX_BYTES,
    CertificateRejectedError,
    LocalShortageError,
    NestedEncodingError,
    TransportError,
)
from dmfs.system.resources import HINTS

RETRY_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
RETRY_AFTER_MAX_S = 3600.0
_DETAIL_MAX_CHARS = 200
_SECRETS = re.compile(
    r"(?i)(bearer\s+[\w.~+/=-]+|eyJ[\w-]{8,}[\w.-]*|https?://\S+|"
    r"(?:signature|client_secret|access_token|refresh_token|uploadkey)=[^&\s]+)"
)
_OAUTH_CODES = frozenset({
    "invalid_grant", "invalid_client", "invalid_scope", "invalid_request",
    "unauthorized_client", "unsupported_grant_type",
})  # fmt: skip
_GRANT_TEXT = re.compile(r"(?i)refresh token|authorization code|PKCE|redirect_?uri")
_INACTIVE_TEXT = "not active"


def from_status(
    action: str, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> DriveError:
    """The error for a response that is no success, with its status, request id, Retry-After.

    ``action`` names the call in the user's words ("list folder Plans"). The body is quoted where
    it has a text, cut and cleared of anything that looks like a secret.
    """
    found = _parsed(body)
    error = _classified(action, status, found, _detail(body, found))
    return _with_facts(error, status, found, headers or {})


def from_refusal(
    action: str, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> DriveError:
    """``from_status`` of a call that changes something: whether it did, and if not, why.

    UnknownOutcomeError for statuses behind which it may have happened (408, 5xx, and any that such
    a call does not have); all others say that it did not.
    """
    found = _parsed(body)
    error = _refused(action, status, found, _detail(body, found))
    return _with_facts(error, status, found, headers or {})


def _with_facts(
    error: DriveError, status: int, found: Mapping[str, object], headers: Mapping[str, str]
) -> DriveError:
    error.status = status
    error.request_id = _request_id(headers, found)
    if status in (429, 503):
        error.retry_after_s = retry_after_s(headers)
    return error


def _parsed(body: bytes) -> dict[str, object]:
    """The body's JSON object; {} if it is none."""
    try:
        found = json.loads(body[:ERROR_BODY_MAX_BYTES].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


_REQUEST_ID_HEADERS = ("x-request-id", "x-ads-request-id", "x-amz-request-id", "x-amz-cf-id")
"""Not documented: what the gateway, Autodesk's own services, S3 and CloudFront send. Without any of
them, the ``id`` of a JSON:API error (which is documented) serves as well."""
_REQUEST_ID = re.compile(r"[\w.:+/=-]{1,128}", re.ASCII)


def _request_id(headers: Mapping[str, str], found: Mapping[str, object]) -> str:
    candidates = [headers.get(name, "") for name in _REQUEST_ID_HEADERS]
    own = _first_error(found).get("id")
    candidates.append(own if isinstance(own, str) else "")
    return next((each for each in candidates if _REQUEST_ID.fullmatch(each)), "")


def _first_error(found: Mapping[str, object]) -> Mapping[str, object]:
    """The first of JSON:API's ``errors``; {} if there is none."""
    errors = found.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return first if isinstance(first, dict) else {}


def _classified(action: str, status: int, found: Mapping[str, object], detail: str) -> DriveError:
    message = f"cannot {action}: HTTP {status}" + (f" ({detail})" if detail else "")
    if status == 429:
        return BusyError(
            message, hint="the rate limit of this app is used up; it refills within a minute"
        )
    code = _oauth_code(status, found, detail)
    if code:
        return GrantRefusedError(message, hint="run dmfs login", code=code)
    if status == 401:
        return TokenRefusedError(message, hint="the token or its scopes were refused")
    if status in (403, 423):
        return _access(status, found, message, detail)
    if status in (404, 410):
        return GoneError(message)
    if status in RETRY_STATUSES or status >= 500:
        return UnreachableError(message)
    return BadResponseError(message)


_RESERVED = "RESERVATION_LINEAGE_RESERVED"
_RESERVED_BY = ("reservedUserName", "reservedBy", "userName")
"""Not documented: wherever a name stands in the error, it helps."""
_NAME_TAKEN = re.compile(
    r"(?i)same name|already exists|name\W+(?:is\W+)?(?:already\W+)?(?:taken|used)"
)


def _access(status: int, found: Mapping[str, object], message: str, detail: str) -> AccessError:
    """A lock is a 403 of this title (the status 423 is what the reference names)."""
    first = _first_error(found)
    texts = [value for value in first.values() if isinstance(value, str)]
    if status != 423 and not any(_RESERVED in text for text in texts):
        return AccessError(message, hint=_access_hint(detail))
    meta = first.get("meta")
    names = [
        value
        for table in (first, meta if isinstance(meta, dict) else {})
        for key in _RESERVED_BY
        if isinstance(value := table.get(key), str) and value.strip()
    ]
    who = clean(names[0]) if names else "somebody else"
    return LockedError(message, hint=f"reserved by {who}: it can be changed when they release it")


def _refused(action: str, status: int, found: Mapping[str, object], detail: str) -> DriveError:
    """As ``_classified``, of a change."""
    message = f"cannot {action}: HTTP {status}" + (f" ({detail})" if detail else "")
    if status in RETRY_STATUSES - {429} or not 400 <= status < 500:
        return UnknownOutcomeError(f"{message}; whether it happened is not known")
    if status in (400, 409):  # a PATCH of a name may answer the former
        texts = [value for value in _first_error(found).values() if isinstance(value, str)]
        if _NAME_TAKEN.search(" ".join([*texts, detail])):
            return NameTakenError(message, hint="there is another object of that name")
    if status == 409:
        return InUseError(message, hint="it was changed meanwhile, or is being processed")
    if status in (401, 403, 404, 410, 423, 429):
        return _classified(action, status, found, detail)
    return parts_refused(action, found) or BadInputError(message)


def parts_refused(action: str, found: Mapping[str, object]) -> PartsRefusedError | None:
    """The error of a completion that failed, which may come with any status, 200 too; None for
    another answer. Its ``parts`` are those that are not in order."""
    if found.get("status") != "error":
        return None
    rows = found.get("parts")
    bad = [
        number
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and row.get("status") != "Ok"
        and isinstance(number := row.get("part"), int) and not isinstance(number, bool)
    ]  # fmt: skip
    reason = _first_text(found, "reason") or "no reason given"
    return PartsRefusedError(f"cannot {action}: the storage refuses the parts ({reason})", bad)


def unknown_outcome(action: str, complaint: str) -> UnknownOutcomeError:
    """The error of a change that was sent, and has no answer that can be used."""
    return UnknownOutcomeError(
        f"cannot {action}: {complaint}; whether it happened is not known",
        hint="it is looked into before it is tried again",
    )


def _oauth_code(status: int, found: Mapping[str, object], detail: str) -> str:
    """OAuth's error code if this is a token endpoint's refusal, '' otherwise.

    The gateway's refusals have no code (their shape is not documented): only their text tells.
    """
    if status not in (400, 401):
        return ""
    code = found.get("error")
    if isinstance(code, str) and code in _OAUTH_CODES:
        return code
    return "invalid_grant" if status == 400 and _GRANT_TEXT.search(detail) else ""


def _access_hint(detail: str) -> str:
    if _INACTIVE_TEXT in detail:  # its code, BIM360DM_ERROR, is that of other errors too
        return "the project is archived or inactive"
    return "no permission, or the account's admin has not admitted this app"


def from_transport(action: str, error: TransportError | NestedEncodingError) -> DriveError:
    """The error for a call without a whole response: names the failure, never a URL."""
    if isinstance(error, NestedEncodingError):
        return BadResponseError(f"cannot {action}: the answer is packed more than once")
    if isinstance(error, LocalShortageError):
        return shortage(action, str(error))
    message = f"cannot {action}: {clean(str(error)) or type(error).__name__}"
    if isinstance(error, CertificateRejectedError):
        return CertificateError(
            message,
            hint="check SSL_CERT_FILE or ca_file: does this network have a proxy of its own?",
        )
    return UnreachableError(message, hint="check the network connection")


def shortage(action: str, what: str) -> ShortageError:
    """The error of a call that this machine had no more of ``what`` for (``system.resources``)."""
    message = f"cannot {action}: this machine has no more {what}"
    return ShortageError(message, hint=HINTS.get(what, ""))


def explain(body: bytes) -> str:
    """The human part of an error body of any of the known shapes; '' where there is none."""
    return _detail(body, _parsed(body))


def _detail(body: bytes, found: Mapping[str, object]) -> str:
    text = body[:ERROR_BODY_MAX_BYTES].decode("utf-8", "replace").strip()
    if text.startswith("<"):
        return _explain_markup(text)
    first = _first_error(found)
    if first:
        return _first_text(first, "detail", "title", "code")
    return _first_text(
        found,
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


def _first_text(table: Mapping[str, object], *keys: str) -> str:
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
    return min(float(raw), RETRY_AFTER_MAX_S)
