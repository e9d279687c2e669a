"""The JSON object of a response: parsed and decoded, within limits of memory and of the loop."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import trio

from dmfs.errors import BadResponseError
from dmfs.http.client import Response
from dmfs.system.concurrency import computed
from dmfs.system.gc_tuning import uncollected

T = TypeVar("T")
Decode = Callable[[dict[str, Any]], T]
"""From the JSON object to what the caller keeps of it; BadResponseError for another shape."""

MIB = 1024 * 1024
BODY_MAX_BYTES = 8 * MIB
"""A page of 200 entries with their tips is 1.1 MB in real responses (1.5 MB indented)."""
VALUES_MAX = 500_000
"""The same page has 24 000 values. 8 MiB of ``[[[]]],`` would take 320 MiB once parsed; so many
values take 90 at most."""
THREAD_PARSE_BYTES = 256 * 1024
"""A page of 1.5 MB takes some 20 ms to parse, and as long to decode: not on the loop that answers
the kernel."""
PARSERS = trio.CapacityLimiter(1)
"""Parsing takes the GIL: twelve threads would delay the loop twelve times as long and finish no
sooner. One page at a time (10 MB): the holes that a dozen left in the heap stayed, 20 MiB."""


class DamagedBodyError(Exception):
    """A body that is no JSON object: an accident, perhaps. ``error`` is the one to raise."""

    def __init__(self, error: BadResponseError) -> None:
        super().__init__(error.message)
        self.error = error


def is_web_page(headers: Mapping[str, str], body: bytes) -> bool:
    """What proxies and sign-in pages of networks send, with any status."""
    return "html" in headers.get("content-type", "") or body[:64].lstrip()[:1] == b"<"


def as_raw(response: Response) -> dict[str, Any]:
    """What ``decode`` gets of a success that is no JSON."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return {"status": response.status, "type": kind, "body": response.body}


async def decode_body(action: str, response: Response, decode: Decode[T]) -> T:
    """What ``decode`` makes of the body's JSON object. BadResponseError if ``decode`` raises it,
    DamagedBodyError if there is no JSON object."""
    body = response.body
    if is_web_page(response.headers, body):
        raise DamagedBodyError(
            BadResponseError(
                f"cannot {action}: the answer is a web page, not JSON",
                hint="a proxy or a sign-in page of this network?",
            )
        )
    if len(body) <= THREAD_PARSE_BYTES:
        return _decode(action, body, decode)
    if sum(map(body.count, (b",", b"[", b"{"))) > VALUES_MAX:
        raise _damaged(action, "the answer holds too many values")

    def decode_large() -> T:
        with uncollected():  # 30 000 objects, of which 400 stay
            return _decode(action, body, decode)

    return await computed(decode_large, PARSERS)


def _decode(action: str, body: bytes, decode: Decode[T]) -> T:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise _damaged(action, "the answer is not valid JSON") from None
    if not isinstance(found, dict):
        raise _damaged(action, "the answer is not a JSON object")
    return decode(found)


def _damaged(action: str, complaint: str) -> DamagedBodyError:
    return DamagedBodyError(BadResponseError(f"cannot {action}: {complaint}"))
