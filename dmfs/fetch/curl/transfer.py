"""One ranged GET under way: what libcurl's callbacks do. Floor 1.

Checks status, Content-Range, length and ETag before the first byte counts. Knows no event loop: it
runs in the drive's curl thread and in the fetching process alike.
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
from dmfs.http.errormap import ERROR_BODY_MAX_BYTES, clean, from_status
from dmfs.urls import acceptable_url

_HEADERS_MAX_BYTES = 64 * 1024
ETAG_MAX_CHARS = 1024
"""S3's have 34. A longer one would not fit a packet of the fetching process, and bytes must never
be told of before the ETag that they came under."""
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


def other_etag(what: str) -> ETagDiffersError:
    """These bytes are not to be mixed with those that came before."""
    return ETagDiffersError(f"cannot {what}: the stored object changed its ETag")


class ETagGuard:
    """The ETag that a storage object had when first seen. Shared by threads, hence the lock."""

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
    """A ranged GET to be made: ``[start, start + len(sink))`` of an object of ``total_bytes``."""

    what: str
    """For error texts: ``read 'a.dwg'``."""
    url: str = field(repr=False)
    start: int
    sink: memoryview = field(repr=False)
    total_bytes: int
    guard: ETagGuard
    progress: Progress
    """Told as the first n bytes of ``sink`` become valid; they stay so if the rest then fails."""

    def check_url(self) -> None:
        """Before anything is sent to it. BadResponseError."""
        if not acceptable_url(self.url):
            raise BadResponseError(f"cannot {self.what}: the service named a URL that is not https")


class Fetcher(Protocol):
    """The engine, wherever it runs."""

    async def fetch(self, get: RangeRequest) -> None:
        """Fill ``get.sink``. UrlRefusedError, ObjectChangedError, or another DriveError. Cancelling
        gives the connection up."""
        ...


@dataclass(slots=True, eq=False)
class Transfer:
    """One GET under way. Owned by libcurl's thread from submit to finish, except ``cancelled``."""

    get: RangeRequest
    on_wanted: Callable[[Transfer], None]
    """Somebody waits for what has come. In libcurl's thread, as the next one."""
    on_end: Callable[[Transfer], None]
    """``error`` and ``filled`` are final."""
    cancelled: bool = False
    filled: int = 0
    error: DriveError | None = None
    headers: dict[str, str] = field(default_factory=dict)
    header_bytes: int = 0
    status: int = 0
    checked: bool = False
    error_body: bytearray = field(default_factory=bytearray)

    def on_header(self, line: bytes) -> int | None:
        """libcurl's header callback; a return other than None aborts the transfer."""
        self.header_bytes += len(line)
        if self.header_bytes > _HEADERS_MAX_BYTES:
            what = self.get.what
            self.error = BadResponseError(f"cannot {what}: the answer's headers are too large")
            return 0
        text = line.decode("latin-1").strip()
        if text.startswith("HTTP/"):
            self.headers.clear()
            words = text.split()
            self.status = int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0
        elif ":" in text:
            name, _, value = text.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        return None

    def on_body(self, chunk: bytes) -> int | None:
        """libcurl's write callback; a return other than None aborts the transfer."""
        if self.cancelled:
            return 0
        if not 200 <= self.status < 300:
            self.error_body += chunk[: ERROR_BODY_MAX_BYTES - len(self.error_body)]
            return None if len(self.error_body) < ERROR_BODY_MAX_BYTES else 0
        if not self.checked:
            self.error = self.check_headers()
            self.checked = True
            if self.error is not None:
                return 0
        stop = self.filled + len(chunk)
        if stop > len(self.get.sink):
            what = self.get.what
            self.error = BadResponseError(f"cannot {what}: more bytes came than were asked for")
            return 0
        self.get.sink[self.filled : stop] = chunk
        self.filled = stop
        if self.get.progress.put(stop):
            self.on_wanted(self)
        return None

    def check_headers(self) -> DriveError | None:
        """Whether this is the range that was asked for, of the object that was asked for."""
        get, what = self.get, self.get.what
        stop = get.start + len(get.sink)
        if self.status == 200:
            whole = get.start == 0 and stop == get.total_bytes
            if not whole or self.headers.get("content-length", str(stop)) != str(stop):
                return BadResponseError(f"cannot {what}: the range was ignored by the server")
        elif self.status == 206:
            match = _CONTENT_RANGE.fullmatch(self.headers.get("content-range", ""))
            if not match or (int(match[1]), int(match[2]) + 1) != (get.start, stop):
                return BadResponseError(f"cannot {what}: another range came than was asked for")
            if match[3] not in ("*", str(get.total_bytes)):
                return ObjectChangedError(f"cannot {what}: the stored object has another size")
        else:
            return BadResponseError(f"cannot {what}: unexpected HTTP status {self.status}")
        if "content-encoding" in self.headers and self.headers["content-encoding"] != "identity":
            return BadResponseError(f"cannot {what}: the bytes came encoded")
        etag = self.headers.get("etag", "")
        if len(etag) > ETAG_MAX_CHARS:
            return BadResponseError(f"cannot {what}: the answer's ETag is too long")
        if not get.guard.admits(etag):
            return other_etag(what)
        return None

    def finish(self, curl_error: int, curl_text: str) -> None:
        """Judge the transfer and tell who waits for it."""
        if self.error is None:
            self.error = self._judge(curl_error, curl_text)
        self.on_end(self)

    def _judge(self, curl_error: int, curl_text: str) -> DriveError | None:
        what = self.get.what
        if self.status == 403:
            failure = from_status(what, 403, bytes(self.error_body), self.headers)
            refused = UrlRefusedError(failure.message)
            refused.status, refused.request_id = failure.status, failure.request_id
            return refused
        if self.status and not 200 <= self.status < 300:
            return from_status(what, self.status, bytes(self.error_body), self.headers)
        if curl_error:
            reason = clean(curl_text) or f"libcurl error {curl_error}"
            return UnreachableError(f"cannot {what}: {reason}", hint="check the network connection")
        if self.filled != len(self.get.sink):
            return UnreachableError(f"cannot {what}: the answer ended early")
        return None
