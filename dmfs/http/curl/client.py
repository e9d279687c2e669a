"""The engine for GET: libcurl on the drive's own event loop.

httpx takes 0.53 ms of the loop for each of 1000 small files that are signed: httpcore looks through
its pool twice a call, h11 parses the response in Python, URLs and headers are made into objects
and back. libcurl takes 0.15.

For GET only: libcurl sends a request again when a reused connection turns out to be dead.
"""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlsplit

import pycurl
import trio

from dmfs.http.client import (
    BrokenConnectionError,
    CertificateRejectedError,
    ConnectError,
    InvalidRequestError,
    LocalShortageError,
    NestedEncodingError,
    Request,
    Response,
    SilenceError,
    TransportError,
)
from dmfs.http.curl.multi import CurlMulti, curl_shortage
from dmfs.http.headers import HEADERS_MAX_BYTES, HeaderLine, HeaderParser
from dmfs.system.resources import shortage_of

CONNECT_TIMEOUT_S = 10
ENCODINGS = "gzip, deflate"

_KINDS: dict[int, type[TransportError]] = {
    pycurl.E_URL_MALFORMAT: InvalidRequestError,
    pycurl.E_COULDNT_RESOLVE_PROXY: ConnectError,
    pycurl.E_COULDNT_RESOLVE_HOST: ConnectError,
    pycurl.E_COULDNT_CONNECT: ConnectError,
    pycurl.E_SSL_CONNECT_ERROR: ConnectError,
    pycurl.E_OPERATION_TIMEDOUT: ConnectError,  # CONNECTTIMEOUT is the only timeout set
    pycurl.E_PEER_FAILED_VERIFICATION: CertificateRejectedError,
    pycurl.E_SSL_CACERT_BADFILE: CertificateRejectedError,
}
"""Any other error is of a connection that was there."""

_FIELD = HeaderLine.FIELD


class CurlClient:
    """See ``client.HttpClient``; at most ``connections`` requests at once, others wait for a place.

    Certificates and proxies (``HTTPS_PROXY``, ``NO_PROXY``) are as for ranged GETs. ``run`` must
    run meanwhile, in a task of its own.
    """

    def __init__(self, *, ca_bundle: str, connections: int) -> None:
        self._ca_bundle = ca_bundle
        self._places = trio.Semaphore(connections)
        self._multi = CurlMulti(connections, self._on_timer)
        self._sleep = trio.CancelScope()
        self._timer_at = math.inf
        self._idle: list[_Handle] = []

    async def run(self) -> None:
        """Let libcurl work until cancelled. Sleeps while no request is under way."""
        while True:
            with trio.CancelScope(deadline=self._timer_at) as self._sleep:
                await trio.lowlevel.wait_readable(self._multi.fileno())
            self._multi.act(timer_due=self._sleep.cancelled_caught)

    def close(self) -> None:
        """After the last request."""
        self._multi.close()

    def _on_timer(self, timeout_s: float | None) -> None:
        self._timer_at = math.inf if timeout_s is None else trio.current_time() + timeout_s
        self._sleep.deadline = self._timer_at

    async def send(self, request: Request) -> Response:
        """See ``client.HttpClient``."""
        try:
            self._places.acquire_nowait()  # (``acquire`` takes a turn of the loop)
        except trio.WouldBlock:
            await self._places.acquire()  # this wait is no silence
        try:
            handle = self._idle.pop() if self._idle else _Handle(self._ca_bundle)
            try:
                handle.prepare(request)
                self._multi.add(handle.curl, handle.on_end)
            except Exception as error:  # noqa: BLE001 - pycurl raises what it likes
                short = shortage_of(error)
                if short:
                    raise LocalShortageError(short) from None
                text = f"libcurl takes no such request ({type(error).__name__})"
                raise InvalidRequestError(text) from None
            await self._wait(handle, request.silence_s)
        finally:
            self._places.release()
        return handle.response()

    async def _wait(self, handle: _Handle, silence_s: float) -> None:
        """Until the transfer has ended: then the handle is idle. It is closed otherwise."""
        try:
            # now, not with the loop's next turn: beside eight streams that is 25 ms later
            self._multi.act(timer_due=True)
            with trio.CancelScope() as handle.silence:
                handle.expect_bytes_within(silence_s)
                await handle.done.wait()
        finally:
            if not handle.done.is_set():
                self._multi.remove(handle.curl)
                handle.curl.close()
        if not handle.done.is_set():
            raise SilenceError(f"nothing came for {silence_s:.0f} s")
        self._idle.append(handle)


class _Handle:
    """A handle of libcurl's, used for one request after the other. Its callbacks run within
    ``CurlMulti.act``; a return other than None ends the transfer."""

    def __init__(self, ca_bundle: str) -> None:
        self.curl: Any = pycurl.Curl()
        for option, value in {
            pycurl.NOSIGNAL: 1,
            pycurl.TCP_NODELAY: 1,
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.FOLLOWLOCATION: 0,  # redirects could move a token
            pycurl.PATH_AS_IS: 1,
            pycurl.CONNECTTIMEOUT: CONNECT_TIMEOUT_S,
            pycurl.CAINFO: ca_bundle,
            pycurl.ACCEPT_ENCODING: ENCODINGS,
            pycurl.HEADERFUNCTION: self._on_header,
            pycurl.WRITEFUNCTION: self._on_body,
        }.items():
            self.curl.setopt(option, value)
        self.silence = trio.CancelScope()
        self._silence_s = math.inf

    def prepare(self, request: Request) -> None:
        """For the next request. ValueError, pycurl.error."""
        if request.method != "GET":
            raise ValueError("libcurl might send it twice")
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        if any("\n" in line or "\r" in line for line in lines):
            raise ValueError("a header of two lines")
        plain = urlsplit(request.url).scheme == "http"
        self.curl.setopt(pycurl.URL, request.url)
        self.curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP if plain else pycurl.PROTO_HTTPS)
        self.curl.setopt(pycurl.HTTPHEADER, lines)
        self.done = trio.Event()
        self._request = request
        self._code, self._text = 0, ""
        self._head = HeaderParser()
        self._begin_body()

    def _begin_body(self) -> None:
        success = 200 <= self._head.status < 300
        self._limit = self._request.body_max_bytes if success else self._request.error_max_bytes
        self._chunks: list[bytes] = []
        self._body_bytes = 0
        self._nested_encoding = False

    def expect_bytes_within(self, silence_s: float) -> None:
        """Give up so many seconds from now, unless a byte comes."""
        self._silence_s = silence_s
        self.silence.deadline = trio.current_time() + silence_s

    def on_end(self, code: int, text: str) -> None:
        self._code, self._text = code, text
        self.done.set()

    def response(self) -> Response:
        """What came. TransportError, NestedEncodingError."""
        if self._nested_encoding:
            raise NestedEncodingError
        truncated = self._body_bytes > self._limit
        if self._code and not truncated:
            raise self._error()
        body, self._chunks = b"".join(self._chunks), []
        return Response(self._head.status, self._head.fields, body, truncated)

    def _error(self) -> TransportError:
        short = curl_shortage(self.curl, self._code)
        if short:
            return LocalShortageError(short)
        kind = _KINDS.get(self._code, BrokenConnectionError)
        tunnel = self.curl.getinfo(pycurl.HTTP_CONNECTCODE)
        if tunnel and not 200 <= tunnel < 300:
            kind = ConnectError  # the proxy answered, not the host
        return kind(self._text or f"libcurl error {self._code}")

    def _on_header(self, line: bytes) -> int | None:
        self.expect_bytes_within(self._silence_s)
        kind = self._head.feed(line)
        if self._head.size_bytes > HEADERS_MAX_BYTES:
            return 0
        if kind is _FIELD:
            return None
        if kind is HeaderLine.STATUS:
            self._begin_body()
        elif kind is HeaderLine.END and "," in self._head.fields.get("content-encoding", ""):
            self._nested_encoding = True
            return 0
        return None

    def _on_body(self, chunk: bytes) -> int | None:
        self.expect_bytes_within(self._silence_s)
        self._chunks.append(chunk)
        self._body_bytes += len(chunk)
        return None if self._body_bytes <= self._limit else 0
