"""One PUT of a part under way: libcurl's callbacks, and what its end means. Knows no event loop.

A part may be sent again as often as need be: the last one counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from dmfs.errors import (
    BadResponseError,
    BusyError,
    CertificateError,
    DriveError,
    SpoolError,
    UnreachableError,
    UrlRefusedError,
)
from dmfs.http.client import ERROR_BODY_MAX_BYTES
from dmfs.http.errormap import clean, from_status
from dmfs.http.headers import HEADERS_MAX_BYTES, HeaderParser
from dmfs.urls import acceptable_url
from dmfs.write.parts.slices import EndedEarlyError, FileSlice, Slice, Source

ETAG_MAX_CHARS = 1024
_CODE = re.compile(rb"<Code>(\w{1,64})</Code>")
_BUSY_CODES = frozenset({b"SlowDown", b"ServiceUnavailable", b"InternalError"})
_TIMEOUT_CODE = b"RequestTimeout"
"""The storage waited for bytes of ours: a 400 that says nothing against the part."""


@dataclass(frozen=True, slots=True, eq=False)
class PutRequest:
    """A part to be sent: ``length`` bytes, which the ``pieces`` make up."""

    url: str = field(repr=False)
    pieces: Sequence[Slice] = field(repr=False)
    length: int
    action: str
    """For error texts: ``save 'a.dwg'``."""
    on_sent: Callable[[int], None] = field(default=lambda _sent: None, repr=False)
    """Gets, on the loop, how many bytes of this part have gone so far: in all, not since the last
    call. It is called now and then, and may go back to 0 where the part begins anew."""

    def check(self) -> None:
        """BadResponseError for a URL that nothing may be sent to; ValueError for pieces of another
        length."""
        if Source(self.pieces).length != self.length:
            raise ValueError("the pieces make up another length")
        if not acceptable_url(self.url):
            raise BadResponseError(
                f"cannot {self.action}: the service named a URL that is not https"
            )


class PartSender(Protocol):
    """The engine, wherever it runs."""

    async def put(self, request: PutRequest) -> str:
        """The ETag without quotes, '' if there is none.

        UrlRefusedError for an expired URL (403), BusyError where the storage wants less of us (500,
        503), UnreachableError for what may work the next time, SpoolError for pieces that cannot be
        read, BadResponseError else (its ``status`` tells). Cancelling gives the connection up.
        """
        ...


@dataclass(slots=True, eq=False)
class Put:
    """Owned by libcurl's thread from submit to finish, except ``cancelled``."""

    request: PutRequest
    on_progress: Callable[[Put], None]
    """Bytes have gone. Called in libcurl's thread, as the next one is."""
    on_end: Callable[[Put], None]
    """``error`` and ``etag`` are final."""
    cancelled: bool = False
    read_max_bytes: int = 1 << 30
    """At once: small where the rate is limited, or a large step would look like a stall."""
    error: DriveError | None = None
    etag: str = ""
    head: HeaderParser = field(default_factory=HeaderParser)
    body: bytearray = field(default_factory=bytearray)
    source: Source = field(init=False)
    _descriptors: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Descriptors of its own: the caller may close theirs as soon as they have cancelled, and
        the number may be another file's by then. OSError."""
        own: dict[int, int] = {}
        try:
            for descriptor in Source(self.request.pieces).descriptors():
                own[descriptor] = os.dup(descriptor)
                self._descriptors.append(own[descriptor])
        except OSError:
            self.close()
            raise
        self.source = Source(
            [
                replace(piece, descriptor=own[piece.descriptor])
                if isinstance(piece, FileSlice)
                else piece
                for piece in self.request.pieces
            ]
        )

    @property
    def moved(self) -> tuple[int, int]:
        """Another value whenever a byte has gone or come. For any thread."""
        return self.source.position, self.head.size_bytes

    def close(self) -> None:
        """Close its descriptors."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def on_read(self, most: int) -> bytes | None:
        """libcurl's read callback; None aborts the transfer."""
        if self.cancelled:
            return None
        action = self.request.action
        try:
            some = self.source.read(min(most, self.read_max_bytes))
        except EndedEarlyError:
            self.error = SpoolError(f"cannot {action}: the spool has fewer bytes than it should")
            return None
        except OSError as error:
            self.error = SpoolError(f"cannot {action}: the spool gives no bytes: {error.strerror}")
            return None
        self.on_progress(self)
        return some

    def on_seek(self, offset: int) -> None:
        """libcurl begins anew: a connection that it had kept open was dead."""
        self.source.seek(offset)
        self.on_progress(self)

    def on_header(self, line: bytes) -> int | None:
        """libcurl's header callback; a return other than None aborts the transfer."""
        self.head.feed(line)
        if self.head.size_bytes > HEADERS_MAX_BYTES:
            action = self.request.action
            self.error = BadResponseError(f"cannot {action}: the answer's headers are too large")
            return 0
        return None

    def on_body(self, chunk: bytes) -> int | None:
        """libcurl's write callback: an error's text is of use, and no more than that is kept."""
        self.body += chunk[: ERROR_BODY_MAX_BYTES - len(self.body)]
        return None if len(self.body) < ERROR_BODY_MAX_BYTES else 0

    def finish(self, curl_error: int, curl_text: str, *, certificate: bool = False) -> None:
        """Judge the transfer and call ``on_end``."""
        self.close()
        if self.error is None:
            self.error = self._judge(curl_error, curl_text, certificate=certificate)
        self.on_end(self)

    def _judge(self, curl_error: int, curl_text: str, *, certificate: bool) -> DriveError | None:
        action, status = self.request.action, self.head.status
        if status >= 300:
            return self._refused(action, status)
        if curl_error:
            reason = clean(curl_text) or f"libcurl error {curl_error}"
            kind = CertificateError if certificate else UnreachableError
            return kind(f"cannot {action}: {reason}", hint="check the network connection")
        if not 200 <= status < 300 or self.source.position != self.source.length:
            return BadResponseError(f"cannot {action}: the answer came before the part had gone")
        etag = self.head.fields.get("etag", "").removeprefix("W/").strip('"')
        if len(etag) > ETAG_MAX_CHARS or not etag.isprintable():
            return BadResponseError(f"cannot {action}: the answer's ETag is none")
        self.etag = etag
        return None

    def _refused(self, action: str, status: int) -> DriveError:
        found = from_status(action, status, bytes(self.body), self.head.fields)
        match = _CODE.search(self.body)
        code = match[1] if match else b""
        kind: type[DriveError] = BadResponseError
        if status == 403:
            kind = UrlRefusedError
        elif status in (429, 500, 503) or code in _BUSY_CODES:
            kind = BusyError
        elif code == _TIMEOUT_CODE or isinstance(found, UnreachableError):
            kind = UnreachableError
        error = kind(found.message, hint=found.hint if isinstance(found, kind) else "")
        error.status, error.request_id = status, found.request_id
        error.retry_after_s = found.retry_after_s
        return error
