"""One ranged GET under way: libcurl's callbacks.

Checks status, Content-Range, length and ETag before the first byte counts. Knows no event loop: it
runs both in the drive's curl thread and in the fetching process.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from dmfs.errors import (
    BadResponseError,
    DriveError,
    ETagDiffersError,
    ObjectChangedError,
    UnreachableError,
    UrlRefusedError,
)
from dmfs.fetch.curl.progress import Progress
from dmfs.http.client import ERROR_BODY_MAX_BYTES
from dmfs.http.errormap import clean, from_status
from dmfs.http.headers import HEADERS_MAX_BYTES, HeaderParser
from dmfs.urls import acceptable_url

ETAG_MAX_CHARS = 1024
"""S3's have 34. A longer one would not fit a packet of the fetching process, which reports an ETag
before the first byte under it."""
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


def other_etag(action: str) -> ETagDiffersError:
    """The error of bytes that must not be mixed with those that came before."""
    return ETagDiffersError(f"cannot {action}: the stored object changed its ETag")


class ETagGuard:
    """The ETag of one stretch of an object. Shared by threads, hence the lock."""

    def __init__(self, etag: str = "") -> None:
        self._lock = threading.Lock()
        self.etag = etag

    def admits(self, etag: str) -> bool:
        """Whether bytes under ``etag`` may be mixed with those seen so far; the first one sets."""
        with self._lock:
            if not self.etag:
                self.etag = etag
            return not etag or etag == self.etag


@dataclass(frozen=True, slots=True, eq=False)
class RangeRequest:
    """A ranged GET to be made: ``[start, start + len(buffer))`` of an object of ``total_bytes``."""

    action: str
    """For error texts: ``read 'a.dwg'``."""
    url: str = field(repr=False)
    start: int
    buffer: memoryview = field(repr=False)
    total_bytes: int
    guard: ETagGuard
    progress: Progress
    """Set as the first n bytes of ``buffer`` become valid; they stay valid if the rest fails."""
    unless_etag: str = ""
    """If-None-Match: while the object has this ETag, no byte comes and the guard stays empty."""

    def check_url(self) -> None:
        """BadResponseError for a URL that nothing may be sent to."""
        if not acceptable_url(self.url):
            raise BadResponseError(
                f"cannot {self.action}: the service named a URL that is not https"
            )


class Fetcher(Protocol):
    """The engine, wherever it runs."""

    async def fetch(self, request: RangeRequest) -> None:
        """Fill ``request.buffer``. UrlRefusedError, ObjectChangedError, or another DriveError.
        Cancelling gives the connection up."""
        ...


@dataclass(slots=True, eq=False)
class Transfer:
    """One GET under way. Owned by libcurl's thread from submit to finish, except ``cancelled``."""

    request: RangeRequest
    on_wanted: Callable[[Transfer], None]
    """A reader waits for bytes that have come. Called in libcurl's thread, as the next one is."""
    on_end: Callable[[Transfer], None]
    """``error`` and ``filled`` are final."""
    cancelled: bool = False
    filled: int = 0
    error: DriveError | None = None
    head: HeaderParser = field(default_factory=HeaderParser)
    checked: bool = False
    room: int = 0
    """How many bytes may come; none before the headers have been checked."""
    error_body: bytearray = field(default_factory=bytearray)
    buffer: memoryview = field(init=False, repr=False)
    put: Callable[[int], bool] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.buffer, self.put = self.request.buffer, self.request.progress.put

    @property
    def status(self) -> int:
        return self.head.status

    @property
    def headers(self) -> dict[str, str]:
        return self.head.fields

    def on_header(self, line: bytes) -> int | None:
        """libcurl's header callback; a return other than None aborts the transfer."""
        self.head.feed(line)
        if self.head.size_bytes > HEADERS_MAX_BYTES:
            action = self.request.action
            self.error = BadResponseError(f"cannot {action}: the answer's headers are too large")
            return 0
        return None

    def on_body(self, chunk: bytes) -> int | None:
        """libcurl's write callback; a return other than None aborts the transfer.

        Called 65 536 times a GiB, whatever the size of the receive buffer: libcurl hands out 16 KiB
        at most. So what is seldom the case has a way of its own.
        """
        start = self.filled
        stop = start + len(chunk)
        if stop > self.room or self.cancelled:
            return self._look(chunk)
        self.buffer[start:stop] = chunk
        self.filled = stop
        if self.put(stop):
            self.on_wanted(self)
        return None

    def _look(self, chunk: bytes) -> int | None:
        """``on_body`` of the first chunk, and of those that are not the range's."""
        if self.cancelled:
            return 0
        if not 200 <= self.status < 300:
            self.error_body += chunk[: ERROR_BODY_MAX_BYTES - len(self.error_body)]
            return None if len(self.error_body) < ERROR_BODY_MAX_BYTES else 0
        if self.checked:
            action = self.request.action
            self.error = BadResponseError(f"cannot {action}: more bytes came than were asked for")
            return 0
        self.error = self.check_headers()
        self.checked = True
        if self.error is not None:
            return 0
        self.room = len(self.buffer)
        return self.on_body(chunk)

    def check_headers(self) -> DriveError | None:
        """None if the answer is the requested range of the requested object."""
        request, action = self.request, self.request.action
        stop = request.start + len(request.buffer)
        if self.status == 200:
            whole = request.start == 0 and stop == request.total_bytes
            if not whole or self.headers.get("content-length", str(stop)) != str(stop):
                return BadResponseError(f"cannot {action}: the range was ignored by the server")
        elif self.status == 206:
            match = _CONTENT_RANGE.fullmatch(self.headers.get("content-range", ""))
            if not match or (int(match[1]), int(match[2]) + 1) != (request.start, stop):
                return BadResponseError(f"cannot {action}: another range came than was asked for")
            if match[3] not in ("*", str(request.total_bytes)):
                return ObjectChangedError(f"cannot {action}: the stored object has another size")
        else:
            return BadResponseError(f"cannot {action}: unexpected HTTP status {self.status}")
        if "content-encoding" in self.headers and self.headers["content-encoding"] != "identity":
            return BadResponseError(f"cannot {action}: the bytes came encoded")
        etag = self.headers.get("etag", "")
        if len(etag) > ETAG_MAX_CHARS:
            return BadResponseError(f"cannot {action}: the answer's ETag is too long")
        if not request.guard.admits(etag):
            return other_etag(action)
        return None

    def finish(self, curl_error: int, curl_text: str) -> None:
        """Judge the transfer and call ``on_end``."""
        if self.error is None:
            self.error = self._judge(curl_error, curl_text)
        self.on_end(self)

    def _judge(self, curl_error: int, curl_text: str) -> DriveError | None:
        action = self.request.action
        if self.status == 304 and self.request.unless_etag:
            return None
        if self.status == 403:
            failure = from_status(action, 403, bytes(self.error_body), self.headers)
            refused = UrlRefusedError(failure.message)
            refused.status, refused.request_id = failure.status, failure.request_id
            return refused
        if self.status and not 200 <= self.status < 300:
            return from_status(action, self.status, bytes(self.error_body), self.headers)
        if curl_error:
            reason = clean(curl_text) or f"libcurl error {curl_error}"
            return UnreachableError(
                f"cannot {action}: {reason}", hint="check the network connection"
            )
        if self.filled != len(self.request.buffer):
            return UnreachableError(f"cannot {action}: the answer ended early")
        return None
