"""The messages between the drive and its fetching process.

One message a packet, over a socket that keeps packets whole and in order: ``drop`` arrives before
the ``get`` that follows it. Both ends are of one version of dmfs, so nothing here is checked twice.

To the process: ``hello`` (once, with the descriptors of the arena and of the positions), ``get``,
``drop``, and a reader's wish. From it: ``ready`` (once), ``head`` (an ETag), ``end`` (exactly once
for each ``get``), and that a wish is met. Wishes are binary, the rest is JSON.

How far each transfer has come is no message: the process writes it into ``SharedNumbers`` with
every chunk, and the drive looks when it needs to know. (It was a packet each 512 KiB: a tenth of
the time of both.) The drive believes the number once it has had the ``head``, so an ETag still
comes before the first byte under it. Wishes are messages in both directions, so that none can be
lost: the process compares a wish with its own number when it comes, and with every chunk after.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from dmfs.errors import (
    AccessError,
    BadResponseError,
    BusyError,
    DriveError,
    ETagDiffersError,
    GoneError,
    GrantRefusedError,
    LockedError,
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
        LockedError, UrlRefusedError,
    )
}  # fmt: skip

Message = dict[str, Any]
_WISH = struct.Struct("<cqq")
_WISH_MARK = b"w"
"""No JSON begins like that."""


def encode_wish(number: int, filled: int) -> bytes:
    """To the process: say when so many bytes of a transfer are there. From it: they are."""
    return _WISH.pack(_WISH_MARK, number, filled)


def decode_wish(packet: bytes) -> tuple[int, int] | None:
    """Transfer and bytes; None for another message."""
    if not packet.startswith(_WISH_MARK):
        return None
    _, number, filled = _WISH.unpack(packet)
    return number, filled


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
