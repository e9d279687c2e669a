"""The engine for POST and PATCH: httpx sends each request once.

libcurl may send a request again when a reused connection turns out to be dead: a form that spends
a refresh token must not be sent twice, nor what makes a version.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import trio

from dmfs.errors import SetupError
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
from dmfs.system.resources import shortage_of

CONNECTIONS = 2
"""Tokens and probes: now and then, one at a time."""
CONNECT_TIMEOUT_S = 10.0
CLOSE_S = 1.0

_KINDS: tuple[tuple[type[BaseException], type[TransportError]], ...] = (
    (httpx.ConnectTimeout, ConnectError),
    (httpx.TimeoutException, SilenceError),
    (httpx.InvalidURL, InvalidRequestError),
    (httpx.UnsupportedProtocol, InvalidRequestError),
    (httpx.LocalProtocolError, InvalidRequestError),
    (httpx.ConnectError, ConnectError),
    (httpx.ProxyError, ConnectError),
    (httpx.TransportError, BrokenConnectionError),
    (httpx.DecodingError, BrokenConnectionError),
    (OSError, ConnectError),
    (UnicodeError, InvalidRequestError),  # a host, also a proxy's, of which DNS can have no name
)
"""The first match counts."""
_FAILURES = tuple(failure for failure, _ in _KINDS)


class HttpxClient:
    """See ``client.HttpClient``."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def send(self, request: Request) -> Response:
        """See ``client.HttpClient``."""
        progress = _Progress()
        try:
            return await self._send(request, progress)
        except Exception as error:
            short = shortage_of(error)
            if not short and not isinstance(error, _FAILURES):
                raise
            failure = LocalShortageError(short) if short else _transport_error(error)
            failure.sent = failure.sent if progress.began is None else progress.began
            raise failure from None

    async def _send(self, request: Request, progress: _Progress) -> Response:
        timeout = httpx.Timeout(request.silence_s, connect=CONNECT_TIMEOUT_S, pool=None)
        built = self._client.build_request(
            request.method,
            request.url,
            headers=dict(request.headers),
            data=dict(request.form) if request.form is not None else None,
            content=request.content,
            timeout=timeout,
            extensions={"trace": progress.trace},
        )
        built.stream = _Body(built.content)
        response = await self._client.send(built, stream=True)
        try:
            if len(response.headers.get_list("content-encoding", split_commas=True)) > 1:
                raise NestedEncodingError
            limit = request.body_max_bytes if response.is_success else request.error_max_bytes
            chunks: list[bytes] = []
            size_bytes = 0
            async for chunk in response.aiter_bytes():
                chunks.append(chunk)
                size_bytes += len(chunk)
                if size_bytes > limit:
                    break
            # httpx's headers have lower-case names and join repeated fields, as ``Response`` wants
            return Response(
                response.status_code, response.headers, b"".join(chunks), size_bytes > limit
            )
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_S):
                await response.aclose()


class _Body(httpx.AsyncByteStream):
    """A body, in one piece. httpx's own is a generator, and nobody closes that when sending fails:
    trio complained of each."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _OnePiece(self._data)


class _OnePiece(AsyncIterator[bytes]):
    def __init__(self, data: bytes) -> None:
        self._left: bytes | None = data

    async def __anext__(self) -> bytes:
        data, self._left = self._left, None
        if data is None:
            raise StopAsyncIteration
        return data


class _Progress:
    """Whether the first byte of a request may have left: no exception of httpx's says so. (A write
    may fail behind bytes that arrived, and a connection break before there were any.)"""

    def __init__(self) -> None:
        self.began: bool | None = None
        """None: no step was seen at all, which says nothing."""

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """httpcore calls it at each step; a proxy's CONNECT is a request of its own."""
        sends = event.endswith(".send_request_headers.started")
        began = sends and info["request"].method != b"CONNECT"
        self.began = began or bool(self.began)


def _transport_error(error: BaseException) -> TransportError:
    """The port's error for one of httpx's, with the first text of its chain of causes: httpx and
    httpcore often say nothing, and OpenSSL's own words are the innermost."""
    kind = next(kind for failure, kind in _KINDS if isinstance(error, failure))
    text = ""
    chain: BaseException | None = error
    while chain is not None:
        text = text or str(chain)
        if isinstance(chain, ssl.SSLCertVerificationError):
            kind = CertificateRejectedError
        chain = chain.__cause__ or chain.__context__
    return kind(text or type(error).__name__)


@asynccontextmanager
async def open_httpx_client(
    context: ssl.SSLContext, connections: int = CONNECTIONS
) -> AsyncIterator[HttpxClient]:
    """An engine with the trust of ``context`` and the proxies that the environment names.
    SetupError if these cannot be used."""
    async with _new_client(context, connections) as client:
        yield HttpxClient(client)


def check_proxies() -> None:
    """SetupError if the proxies that the environment names cannot be used."""
    _new_client(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), CONNECTIONS)


def _new_client(context: ssl.SSLContext, connections: int) -> httpx.AsyncClient:
    try:
        return httpx.AsyncClient(
            verify=context,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )
    except (ImportError, ValueError, httpx.InvalidURL):
        # its text may quote the proxy's password
        raise SetupError(
            "the proxy that the environment names cannot be used",
            hint="HTTPS_PROXY and ALL_PROXY take http:// and https:// addresses, no socks://",
        ) from None
