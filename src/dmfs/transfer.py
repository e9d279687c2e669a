"""One ranged GET under way: what libcurl's callbacks do. Floor 1.

Checks status, Content-Range, length and ETag before the first byte counts.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

import trio

from dmfs.errors import BadAnswerError, DriveError, UnreachableError
from dmfs.httperrors import ERROR_BODY_MAX_BYTES, clean, from_status
from dmfs.progress import Progress

_HEADERS_MAX_BYTES = 64 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


class UrlRefusedError(DriveError):
    """403 from the CDN: the URL expired (or was revoked). A fresh one is to be signed."""


class ObjectChangedError(BadAnswerError):
    """The ETag is not the one this storage object had before: its bytes must not be mixed."""


class ETagDiffersError(ObjectChangedError):
    """Right in everything but the ETag: which of the two is the odd one has to be asked."""


class ETagGuard:
    """The ETag that a storage object had when first seen. Shared by threads, hence the lock."""

    def __init__(self, etag: str = "") -> None:
        self._lock = threading.Lock()
        self.etag = etag
        self.retired = False
        """Another ETag was adopted: what comes under this one counts no more."""

    def admits(self, etag: str) -> bool:
        """Whether bytes under ``etag`` may be mixed with those seen so far; the first one sets."""
        with self._lock:
            if not self.etag:
                self.etag = etag
            return (not etag or etag == self.etag) and not self.retired


@dataclass(slots=True, eq=False)
class Transfer:
    """One GET under way. Owned by the curl thread from submit to finish, except ``cancelled``."""

    what: str
    url: str = field(repr=False)
    start: int
    sink: memoryview
    total_bytes: int
    guard: ETagGuard
    progress: Progress
    done: trio.Event
    token: trio.lowlevel.TrioToken
    cancelled: bool = False
    filled: int = 0
    error: DriveError | None = None
    headers: dict[str, str] = field(default_factory=dict)
    header_bytes: int = 0
    status: int = 0
    checked: bool = False
    error_body: bytearray = field(default_factory=bytearray)
    telling: bool = False

    def on_header(self, line: bytes) -> int | None:
        """libcurl's header callback; a return other than None aborts the transfer."""
        self.header_bytes += len(line)
        if self.header_bytes > _HEADERS_MAX_BYTES:
            self.error = BadAnswerError(f"cannot {self.what}: the answer's headers are too large")
            return 0
        text = line.decode("latin-1").strip()
        if text.startswith("HTTP/"):
            self.headers.clear()
            words = text.split()
            self.status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
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
        if self.guard.retired:
            self.error = ETagDiffersError(f"cannot {self.what}: its ETag was the odd one")
            return 0
        stop = self.filled + len(chunk)
        if stop > len(self.sink):
            self.error = BadAnswerError(f"cannot {self.what}: more bytes came than were asked for")
            return 0
        self.sink[self.filled : stop] = chunk
        self.filled = stop
        if self.progress.put(stop) and not self.telling:
            self.telling = True
            try:
                self.token.run_sync_soon(self.tell)
            except trio.RunFinishedError:
                return 0
        return None

    def tell(self) -> None:
        """On the trio loop: somebody waits for what has come, in one or several chunks."""
        self.telling = False
        if not self.cancelled:
            self.progress.wake()

    def check_headers(self) -> DriveError | None:
        """Whether this is the range that was asked for, of the object that was asked for."""
        stop = self.start + len(self.sink)
        if self.status == 200:
            whole = self.start == 0 and stop == self.total_bytes
            if not whole or self.headers.get("content-length", str(stop)) != str(stop):
                return BadAnswerError(f"cannot {self.what}: the range was ignored by the server")
        elif self.status == 206:
            match = _CONTENT_RANGE.fullmatch(self.headers.get("content-range", ""))
            if not match or (int(match[1]), int(match[2]) + 1) != (self.start, stop):
                return BadAnswerError(f"cannot {self.what}: another range came than was asked for")
            if match[3] not in ("*", str(self.total_bytes)):
                return ObjectChangedError(f"cannot {self.what}: the stored object has another size")
        else:
            return BadAnswerError(f"cannot {self.what}: unexpected HTTP status {self.status}")
        if "content-encoding" in self.headers and self.headers["content-encoding"] != "identity":
            return BadAnswerError(f"cannot {self.what}: the bytes came encoded")
        if not self.guard.admits(self.headers.get("etag", "")):
            return ETagDiffersError(f"cannot {self.what}: the stored object changed its ETag")
        return None

    def finish(self, curl_error: int, curl_text: str) -> None:
        """Judge the transfer and wake the trio task that waits for it."""
        if self.error is None:
            self.error = self._judge(curl_error, curl_text)
        try:
            self.token.run_sync_soon(self.land)
        except trio.RunFinishedError:
            pass

    def _judge(self, curl_error: int, curl_text: str) -> DriveError | None:
        if self.status == 403:
            failure = from_status(self.what, 403, bytes(self.error_body), self.headers)
            refused = UrlRefusedError(failure.message)
            refused.status, refused.request_id = failure.status, failure.request_id
            return refused
        if self.status and not 200 <= self.status < 300:
            return from_status(self.what, self.status, bytes(self.error_body), self.headers)
        if curl_error:
            reason = clean(curl_text) or f"libcurl error {curl_error}"
            return UnreachableError(
                f"cannot {self.what}: {reason}", hint="check the network connection"
            )
        if self.filled != len(self.sink):
            return UnreachableError(f"cannot {self.what}: the answer ended early")
        return None

    def land(self) -> None:
        if not self.cancelled and self.progress.put(self.filled):
            self.progress.wake()
        self.done.set()
