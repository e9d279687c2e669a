"""Questions to the API (GET), asked by libcurl on the drive's own loop. Floor 1.

httpx takes 0.53 ms of the loop for each of 1000 small files that are signed: httpcore looks through
its pool twice a call, h11 takes the answer apart in Python, URLs and headers are made into objects
and back. libcurl takes 0.15.

For questions only. libcurl asks again by itself when a connection that it uses again turns out to
be dead: harmless for a GET, but a form must not be posted twice (a refresh token is good for one).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pycurl
import trio

from dmfs.http.curl_multi import CurlMulti
from dmfs.http.headers import HeaderLine, HeaderParser

CONNECT_TIMEOUT_S = 10
ENCODINGS = "gzip, deflate"
_AUTHORITY_ERRORS = frozenset({pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE})


class TransportError(Exception):
    """No (whole) answer came. Its text names the kind of failure and never a URL's path."""


class NestedEncodingError(Exception):
    """Each layer multiplies a thousandfold, so one is all that is unpacked."""


class Answer(NamedTuple):
    """Header names in lower case. ``truncated``: there was more than the limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool


class CurlClient:
    """Asks over at most ``connections``, whose users wait for each other; certificates and proxies
    (``HTTPS_PROXY``, ``NO_PROXY``) as for ranges, redirects are not followed. ``run`` it."""

    def __init__(self, *, ca_bundle: str, connections: int) -> None:
        self._ca_bundle = ca_bundle
        self._places = trio.Semaphore(connections)
        self._multi = CurlMulti(connections, self._on_timer)
        self._sleep = trio.CancelScope()
        self._timer_at = math.inf
        self._idle: list[_Handle] = []

    async def run(self) -> None:
        """Let libcurl work; until cancelled. Sleeps while nothing is under way."""
        while True:
            with trio.CancelScope(deadline=self._timer_at) as self._sleep:
                await trio.lowlevel.wait_readable(self._multi.fileno())
            self._multi.act(timer_due=self._sleep.cancelled_caught)

    def close(self) -> None:
        """When nobody asks any more."""
        self._multi.close()

    def _on_timer(self, timeout_s: float | None) -> None:
        self._timer_at = math.inf if timeout_s is None else trio.current_time() + timeout_s
        self._sleep.deadline = self._timer_at

    async def ask(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        silence_s: float,
        body_max_bytes: int,
        error_max_bytes: int,
    ) -> Answer:
        """The answer, whatever its status; its body up to one limit or (no success) the other.
        TransportError also after ``silence_s`` without a byte; NestedEncodingError."""
        try:
            self._places.acquire_nowait()  # (the other one gives up a turn of the loop)
        except trio.WouldBlock:
            await self._places.acquire()  # so long nothing is to be heard
        try:
            line = self._idle.pop() if self._idle else _Handle(self._ca_bundle)
            try:
                line.prepare(url, headers, body_max_bytes, error_max_bytes)
                self._multi.add(line.curl, line.on_end)
            except Exception as error:  # noqa: BLE001 - pycurl raises what it likes
                text = f"libcurl takes no such request ({type(error).__name__})"
                raise TransportError(text) from None
            await self._hear(line, silence_s)
        finally:
            self._places.release()
        return line.answer()

    async def _hear(self, line: _Handle, silence_s: float) -> None:
        """Until its transfer has ended; the handle is idle then, or closed if it has not."""
        try:
            # now, not when the loop comes round: beside eight streams that is 25 ms later
            self._multi.act(timer_due=True)
            with trio.CancelScope() as line.patience:
                line.bear(silence_s)
                await line.done.wait()
        finally:
            if not line.done.is_set():
                self._multi.remove(line.curl)
                line.curl.close()
        if not line.done.is_set():
            raise TransportError(f"nothing came for {silence_s:.0f} s")
        self._idle.append(line)


class _Handle:
    """A handle of libcurl's, used for one question after the other. Its callbacks run within
    ``act`` of the multi; what they return (other than None) ends the transfer."""

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
        self.patience = trio.CancelScope()
        self._silence_s = math.inf

    def prepare(
        self, url: str, headers: Mapping[str, str], body_max_bytes: int, error_max_bytes: int
    ) -> None:
        """For the next question. ValueError, pycurl.error."""
        lines = [f"{name}: {value}" for name, value in headers.items()]
        if any("\n" in line or "\r" in line for line in lines):
            raise ValueError("a header of two lines")
        plain = urlsplit(url).scheme == "http"
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP if plain else pycurl.PROTO_HTTPS)
        self.curl.setopt(pycurl.HTTPHEADER, lines)
        self.done = trio.Event()
        self._limits = body_max_bytes, error_max_bytes
        self._code, self._text = 0, ""
        self._head = HeaderParser()
        self._begin_body()

    def _begin_body(self) -> None:
        self._limit = self._limits[0 if 200 <= self._head.status < 300 else 1]
        self._chunks: list[bytes] = []
        self._body_bytes = 0
        self._packed_twice = False

    def bear(self, silence_s: float) -> None:
        """From now on so long without a byte."""
        self._silence_s = silence_s
        self.patience.deadline = trio.current_time() + silence_s

    def on_end(self, code: int, text: str) -> None:
        self._code, self._text = code, text
        self.done.set()

    def answer(self) -> Answer:
        """What came, or how it broke."""
        if self._packed_twice:
            raise NestedEncodingError
        truncated = self._body_bytes > self._limit
        if self._code and not truncated:
            # (the word that leads to a hint about ca_file; libcurl's texts vary)
            prefix = "CERTIFICATE: " if self._code in _AUTHORITY_ERRORS else ""
            raise TransportError(prefix + (self._text or f"libcurl error {self._code}"))
        body, self._chunks = b"".join(self._chunks), []
        return Answer(self._head.status, self._head.fields, body, truncated)

    def _on_header(self, line: bytes) -> int | None:
        self.bear(self._silence_s)
        kind = self._head.feed(line)
        if self._head.too_large:
            return 0
        if kind is HeaderLine.STATUS:
            self._begin_body()
        elif kind is HeaderLine.END and "," in self._head.fields.get("content-encoding", ""):
            self._packed_twice = True
            return 0
        return None

    def _on_body(self, chunk: bytes) -> int | None:
        self.bear(self._silence_s)
        self._chunks.append(chunk)
        self._body_bytes += len(chunk)
        return None if self._body_bytes <= self._limit else 0
