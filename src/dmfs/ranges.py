"""The data plane: ranged GETs on libcurl, off the event loop. Floor 1; sole user of pycurl.

One thread drives all transfers through a CurlMulti, so connections are shared and reused whoever
asks; the GIL is released while it waits, decrypts and copies. httpx on trio took 3 CPU-s per GiB
over TLS where libcurl takes 0.8, and its work would sit on the loop that answers the kernel.

One verb: ``fetch``. It never hands out a byte before the answer's status, Content-Range and ETag
have been checked, so a caller may use what has arrived while the rest is on its way.
"""

from __future__ import annotations

import logging
import re
import selectors
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pycurl
import trio

from dmfs.errors import BadAnswerError, DriveError, UnreachableError
from dmfs.httperrors import ERROR_BODY_MAX_BYTES, clean, from_status
from dmfs.progress import AnyProgress, Progress, as_progress

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10
STALL_TIMEOUT_S = 15
"""No byte for that long, before or after the headers: try again on another connection."""
SLOWEST_BYTES_PER_S = 32 * 1024
"""Total time allowed is this rate plus the connect and stall times: a slow drip ends some day."""
RECEIVE_BUFFER_BYTES = 512 * 1024
_HEADERS_MAX_BYTES = 64 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class UrlRefusedError(DriveError):
    """403 from the CDN: the URL expired (or was revoked). A fresh one is to be signed."""


class ObjectChangedError(BadAnswerError):
    """The ETag is not the one this storage object had before: its bytes must not be mixed."""


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


@dataclass(slots=True, eq=False)
class _Transfer:
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
            return ObjectChangedError(f"cannot {self.what}: the stored object changed its ETag")
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
            failure = from_status(self.what, 403, bytes(self.error_body))
            return UrlRefusedError(failure.message)
        if self.status and not 200 <= self.status < 300:
            return from_status(self.what, self.status, bytes(self.error_body))
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


class RangeFetcher:
    """Fetches byte ranges of URLs into buffers. Start with ``start``, end with ``close``."""

    def __init__(self, *, ca_bundle: str, connections: int) -> None:
        self._ca_bundle = ca_bundle
        self._connections = connections
        self._commands: deque[_Transfer | None] = deque()
        self._wake_send, self._wake_receive = socket.socketpair()
        for end in (self._wake_send, self._wake_receive):
            end.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="dmfs-ranges", daemon=True)
        self._stopped = False
        self.bytes_fetched = 0
        self.gets = 0

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End all transfers and the thread. Blocks for milliseconds."""
        if not self._stopped:
            self._stopped = True
            self._command(None)
            self._thread.join(timeout=5)
            self._wake_send.close()
            self._wake_receive.close()

    async def fetch(
        self,
        what: str,
        url: str,
        start: int,
        sink: memoryview,
        *,
        total_bytes: int,
        guard: ETagGuard,
        progress: AnyProgress,
    ) -> None:
        """GET ``[start, start + len(sink))`` of an object of ``total_bytes`` into ``sink``.

        ``progress`` is told as the first n bytes of ``sink`` become valid; they are valid even if
        the rest then fails. Raises UrlRefusedError, ObjectChangedError, or
        another DriveError. Cancelling gives the connection up.
        """
        if not acceptable_url(url):
            raise BadAnswerError(f"cannot {what}: the service named a URL that is not https")
        transfer = _Transfer(
            what, url, start, sink, total_bytes, guard, as_progress(progress),
            trio.Event(), trio.lowlevel.current_trio_token(),
        )  # fmt: skip
        self.gets += 1
        self._command(transfer)
        try:
            await transfer.done.wait()
        except trio.Cancelled:
            transfer.cancelled = True
            self._command(transfer)
            raise
        finally:
            self.bytes_fetched += transfer.filled
        if transfer.error is not None:
            raise transfer.error

    def _command(self, command: _Transfer | None) -> None:
        self._commands.append(command)
        try:
            self._wake_send.send(b"\0")
        except (BlockingIOError, OSError):
            pass  # a full pipe wakes as well; a closed one means that we are done

    # Everything below runs in the curl thread alone.

    def _run(self) -> None:
        loop = _CurlLoop(self._ca_bundle, self._connections, self._wake_receive)
        try:
            while True:
                loop.wait()
                while self._commands:
                    command = self._commands.popleft()
                    if command is None:
                        return
                    if command.cancelled:
                        loop.drop(command)
                    else:
                        loop.add(command)
        except Exception:
            log.exception("the range fetcher broke down")
        finally:
            loop.close()


class _CurlLoop:
    """CurlMulti on a selector: the event loop of the curl thread."""

    def __init__(self, ca_bundle: str, connections: int, wake: socket.socket) -> None:
        self._ca_bundle = ca_bundle
        self._wake = wake
        self._selector = selectors.DefaultSelector()
        self._selector.register(wake, selectors.EVENT_READ)
        self._handles: dict[_Transfer, Any] = {}
        self._idle: list[Any] = []
        self._timer_at: float | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)

    def add(self, transfer: _Transfer) -> None:
        curl: Any = self._idle.pop() if self._idle else pycurl.Curl()
        self._prepare(curl, transfer)
        curl.transfer = transfer
        self._handles[transfer] = curl
        self._multi.add_handle(curl)

    def _prepare(self, curl: Any, transfer: _Transfer) -> None:
        plain = urlsplit(transfer.url).scheme == "http"
        protocols = pycurl.PROTO_HTTP if plain else pycurl.PROTO_HTTPS
        length = len(transfer.sink)
        options = {
            pycurl.URL: transfer.url,
            pycurl.RANGE: f"{transfer.start}-{transfer.start + length - 1}",
            pycurl.NOSIGNAL: 1,
            pycurl.TCP_NODELAY: 1,
            pycurl.BUFFERSIZE: RECEIVE_BUFFER_BYTES,
            # with HTTP/2 all ranges would share one connection and its flow control
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.PROTOCOLS: protocols,
            pycurl.REDIR_PROTOCOLS: protocols,
            pycurl.FOLLOWLOCATION: 1,
            pycurl.MAXREDIRS: 3,
            pycurl.CAINFO: self._ca_bundle,
            pycurl.CONNECTTIMEOUT: CONNECT_TIMEOUT_S,
            pycurl.LOW_SPEED_LIMIT: 1,
            pycurl.LOW_SPEED_TIME: STALL_TIMEOUT_S,
            pycurl.TIMEOUT: CONNECT_TIMEOUT_S + STALL_TIMEOUT_S + length // SLOWEST_BYTES_PER_S,
            pycurl.USERAGENT: "dmfs",
            pycurl.HEADERFUNCTION: transfer.on_header,
            pycurl.WRITEFUNCTION: transfer.on_body,
        }
        for option, value in options.items():
            curl.setopt(option, value)

    def drop(self, transfer: _Transfer) -> None:
        """Give a cancelled transfer up; closing its connection is libcurl's affair."""
        curl = self._handles.pop(transfer, None)
        if curl is not None:
            self._multi.remove_handle(curl)
            curl.close()

    def wait(self) -> None:
        """Sleep until a socket, the timer or a command; let libcurl work; finish what is done."""
        timeout_s = None if self._timer_at is None else max(0.0, self._timer_at - time.monotonic())
        ready = self._selector.select(timeout_s)
        if self._timer_at is not None and time.monotonic() >= self._timer_at:
            self._timer_at = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        for key, events in ready:
            if key.fileobj is self._wake:
                self._drain()
                continue
            action = (pycurl.CSELECT_IN if events & selectors.EVENT_READ else 0) | (
                pycurl.CSELECT_OUT if events & selectors.EVENT_WRITE else 0
            )
            self._multi.socket_action(key.fd, action)
        self._reap()

    def close(self) -> None:
        for transfer, curl in list(self._handles.items()):
            self._multi.remove_handle(curl)
            curl.close()
            transfer.finish(1, "the drive is shutting down")
        self._multi.close()
        self._selector.close()

    def _drain(self) -> None:
        try:
            while self._wake.recv(4096):
                pass
        except (BlockingIOError, OSError):
            pass

    def _reap(self) -> None:
        while True:
            queued, succeeded, failed = self._multi.info_read()
            for curl in succeeded:
                self._finish(curl, 0, "")
            for curl, code, message in failed:
                self._finish(curl, code, message)
            if not queued:
                return

    def _finish(self, curl: Any, code: int, message: str) -> None:
        transfer: _Transfer = curl.transfer
        self._handles.pop(transfer, None)
        self._multi.remove_handle(curl)
        curl.transfer = None
        curl.reset()  # lets go of the callbacks, and through them of the sink's megabytes
        self._idle.append(curl)
        transfer.finish(code, message)

    def _on_socket(self, event: int, fd: int, _multi: Any, _data: Any) -> None:
        if event == pycurl.POLL_REMOVE:
            try:
                self._selector.unregister(fd)
            except (KeyError, ValueError):
                pass
            return
        wanted = (selectors.EVENT_READ if event & pycurl.POLL_IN else 0) | (
            selectors.EVENT_WRITE if event & pycurl.POLL_OUT else 0
        )
        try:
            self._selector.modify(fd, wanted)
        except KeyError:
            self._selector.register(fd, wanted)

    def _on_timer(self, timeout_ms: int) -> None:
        self._timer_at = None if timeout_ms < 0 else time.monotonic() + timeout_ms / 1000


def acceptable_url(url: str) -> bool:
    """https anywhere, plain http to this machine only (the emulator's CDN)."""
    try:
        split = urlsplit(url)
        host = split.hostname or ""
    except ValueError:
        return False
    if any(char <= " " or char == "\x7f" for char in url) or "@" in split.netloc:
        return False
    return bool(host) and (
        split.scheme == "https" or (split.scheme == "http" and host in _LOOPBACK)
    )
