"""The HTTP port: one request, one response, and what can go wrong between them.

``curl.client`` and ``httpx_client`` implement it; all else knows only this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple, Protocol

SILENCE_S = 15.0
"""Default ``Request.silence_s``: a call that is slow but alive sends its first byte in 5 s."""
ERROR_BODY_MAX_BYTES = 64 * 1024
BASE_HEADERS: Mapping[str, str] = {"Accept": "application/json", "User-Agent": "dmfs"}


class Request(NamedTuple):
    """One HTTP request. (A frozen dataclass takes 2 µs to make, this 0.5.)"""

    method: str
    url: str
    headers: Mapping[str, str] = BASE_HEADERS
    form: Mapping[str, str] | None = None
    """Sent as ``application/x-www-form-urlencoded``."""
    content: bytes | None = None
    """Another body; its type stands in ``headers``."""
    silence_s: float = SILENCE_S
    """The request fails after so many seconds without a byte."""
    body_max_bytes: int = ERROR_BODY_MAX_BYTES
    """Limit of the body of a success (2xx), unpacked."""
    error_max_bytes: int = ERROR_BODY_MAX_BYTES
    """Limit of the body of any other response."""

    def __repr__(self) -> str:
        """Without URL, headers and body: they contain secrets."""
        return f"Request({self.method})"


class Response(NamedTuple):
    """Header names are in lower case. ``truncated``: the body was longer than its limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool = False

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class HttpClient(Protocol):
    """An engine that sends requests."""

    async def send(self, request: Request) -> Response:
        """The response, whatever its status; redirects are not followed: they could move a token.

        TransportError if no whole response came, NestedEncodingError. Cancellation gives the
        connection up. There is no timeout but ``silence_s``: deadlines are the caller's.
        """
        ...


class TransportError(Exception):
    """No whole response came. The text names the failure, never a path or query of a URL."""

    kind: ClassVar[str] = "broken"
    """For counters."""
    sent: bool = True
    """Whether anything of the request may have reached the server. False only where that is sure:
    what was not sent has changed nothing."""


class ConnectError(TransportError):
    """No connection: no such host, refused, no route, or the proxy refused."""

    kind = "connect"
    sent = False


class CertificateRejectedError(TransportError):
    """No known authority vouches for the server, or its certificate is not valid now."""

    kind = "certificate"
    sent = False


class SilenceError(TransportError):
    """Nothing was received for too long."""

    kind = "timeout"


class BrokenConnectionError(TransportError):
    """There was a connection, and it or what came over it broke."""

    kind = "broken"


class LocalShortageError(TransportError):
    """This machine ran out of what ``text`` names: it says nothing of the server or the network."""

    kind = "machine"


class InvalidRequestError(TransportError):
    """The engine cannot send such a request (its URL or headers): nothing was sent."""

    kind = "request"
    sent = False


class NestedEncodingError(Exception):
    """The body is compressed more than once: each layer may multiply its size by 1000, and
    decoders unpack all layers in one step."""
