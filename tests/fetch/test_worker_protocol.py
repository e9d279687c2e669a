"""Messages between the drive and its fetching process."""

from __future__ import annotations

import pytest

from dmfs.errors import (
    BadResponseError,
    UrlRefusedError,
)
from dmfs.fetch.curl.transfer import ETAG_MAX_CHARS, ETagGuard, Transfer
from dmfs.fetch.curl.worker_protocol import PACKET_MAX_BYTES, decode, encode, from_error, to_error
from tests.support.helpers import a_get


@pytest.mark.parametrize("length", [ETAG_MAX_CHARS, ETAG_MAX_CHARS + 1, 60_000])
def test_an_etag_always_fits_a_packet(length: int) -> None:
    """One that did not was lost on the way, and bytes counted without it."""
    told: list[str] = []

    class Guard(ETagGuard):
        def admits(self, etag: str) -> bool:
            told.append(etag)
            return True

    transfer = Transfer(a_get("https://x/", 10, guard=Guard()), lambda _: None, lambda _: None)
    transfer.on_header(b"HTTP/1.1 206 Partial Content\r\n")
    transfer.on_header(b"Content-Range: bytes 0-9/10\r\n")
    transfer.on_header(b"ETag: " + b"\xff" * length + b"\r\n")
    transfer.on_body(bytes(10))
    transfer.finish(0, "")
    if length > ETAG_MAX_CHARS:
        assert isinstance(transfer.error, BadResponseError)
        assert (told, transfer.filled) == ([], 0)
    else:
        assert (transfer.error, transfer.filled) == (None, 10)
        assert len(encode({"head": 1 << 60, "etag": told[0]})) < PACKET_MAX_BYTES


def test_refused_urls_are_known_as_such() -> None:
    error = UrlRefusedError("cannot read 'x'", hint="wait")
    error.status, error.retry_after_s, error.request_id = 403, 1.5, "abc"
    twin = to_error(decode(encode({"error": from_error(error)}))["error"])
    assert type(twin) is UrlRefusedError
    assert twin.__dict__ == error.__dict__
    assert to_error(None) is None
