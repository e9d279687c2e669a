"""The messages between the drive and its fetching process.

JSON, one message a packet, over a socket that keeps packets whole and in order: ``drop`` arrives
before the ``get`` that follows it, an ETag before the first byte that came under it. Both ends are
of one version of dmfs, so nothing here is checked twice.

To the process: ``hello`` (once, with the arena's descriptor), ``get``, ``want``, ``drop``.
From it: ``ready`` (once), ``head`` (an ETag), ``filled``, ``end`` (exactly once for each ``get``).
"""

from __future__ import annotations

import json
from typing import Any

from dmfs.errors import (
    AccessError,
    BadResponseError,
    BusyError,
    DriveError,
    ETagDiffersError,
    GoneError,
    GrantRefusedError,
    ObjectChangedError,
    ShortageError,
    TokenRefusedError,
    UnreachableError,
    UrlRefusedError,
)

PACKET_MAX_BYTES = 64 * 1024
"""A signed URL has two thousand characters; one of more than an eighth of this is not sent (JSON
may take six for one). An ETag has at most ``transfer.ETAG_MAX_CHARS``."""
_ERRORS: dict[str, type[DriveError]] = {
    error.__name__: error
    for error in (
        AccessError, BadResponseError, BusyError, DriveError, GoneError, GrantRefusedError,
        TokenRefusedError, UnreachableError, ETagDiffersError, ObjectChangedError, ShortageError,
        UrlRefusedError,
    )
}  # fmt: skip

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def decode(packet: bytes) -> Message:
    message: Message = json.loads(packet)
    return message


def from_error(error: DriveError | None) -> Message | None:
    """An error as a message; None for None."""
    if error is None:
        return None
    return {
        "class": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "status": error.status,
        "request_id": error.request_id,
        "retry_after_s": error.retry_after_s,
    }


def to_error(message: Message | None) -> DriveError | None:
    """The error of a message; None for None."""
    if message is None:
        return None
    error = _ERRORS.get(message["class"], DriveError)(message["message"], hint=message["hint"])
    error.status, error.request_id = message["status"], message["request_id"]
    error.retry_after_s = message["retry_after_s"]
    return error
