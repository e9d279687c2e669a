"""The engine for POST: httpx sends each request once.

libcurl may send a request again when a reused connection turns out to be dead: a form that spends
a refresh token must not be sent twice.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
        try:
            return await self._send(request)
        except Exception as error:
            short = shortage_of(error)
            if short:
                raise LocalShortageError(short) from None
            if not isinstance(error, _FAILURES):
                raise
            raise _transport_error(error) from None

    async def _send(self, request: Request) -> Response:
        timeout = httpx.Timeout(request.silence_s, connect=CONNECT_TIMEOUT_S, pool=None)
        built = self._client.build_request(
            request.method,
            request.url,
            headers=dict(request.headers),
            data=dict(request.form) if request.form is not None else None,
            timeout=timeout,
        )
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
async def open_httpx_client(context: ssl.SSLContext) -> AsyncIterator[HttpxClient]:
    """An engine with the trust of ``context`` and the proxies that the environment names.
    SetupError if these cannot be used."""
    async with _new_client(context) as client:
        yield HttpxClient(client)


def check_proxies() -> None:
    """SetupError if the proxies that the environment names cannot be used."""
    _new_client(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def _new_client(context: ssl.SSLContext) -> httpx.AsyncClient:
    try:
        return httpx.AsyncClient(
            verify=context,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
        )
    except (ImportError, ValueError, httpx.InvalidURL):
        # its text may quote the proxy's password
        raise SetupError(
            "the proxy that the environment names cannot be used",
            hint="HTTPS_PROXY and ALL_PROXY take http:// and https:// addresses, no socks://",
        ) from None
