"""Which URLs dmfs sends anything to. Pure.

One parser, ``_endpoint``; each use has a rule over what it finds.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from dmfs.errors import SetupError

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
"""This machine: plain http reaches nothing else."""
CALLBACK_HOSTS = frozenset({"127.0.0.1", "localhost"})
"""Those that the callback's listener, an IPv4 one, can answer for."""


class Endpoint(NamedTuple):
    """The parts of an http(s) URL that say where a request goes."""

    scheme: str
    host: str
    port: int | None
    path: str
    has_user: bool
    has_query: bool
    """Or a fragment."""

    @property
    def is_confidential(self) -> bool:
        """https, or plain http that does not leave this machine."""
        return self.scheme == "https" or self.host in LOOPBACK_HOSTS


def _endpoint(url: str) -> Endpoint | None:
    """None for anything but an http(s) URL with a host that all parsers agree on."""
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        return None
    if any(char <= " " or char == "\x7f" for char in url):
        return None
    # urlsplit takes "evil[::1]" for the host ::1
    if split.scheme not in ("http", "https") or not split.hostname or split.netloc.find("[") > 0:
        return None
    if port == 0:
        return None
    has_query = bool(split.query or split.fragment)
    return Endpoint(split.scheme, split.hostname, port, split.path, "@" in split.netloc, has_query)


def acceptable_url(url: str) -> bool:
    """Whether bytes may be fetched from a URL that the service named: https, or this machine."""
    endpoint = _endpoint(url)
    return endpoint is not None and not endpoint.has_user and endpoint.is_confidential


def check_api_url(url: str) -> str:
    """The base URL without a trailing slash; plain http only to this machine itself. SetupError."""
    endpoint = _endpoint(url)
    if endpoint is None:
        shown = "" if "@" in url else f" {url!r}"  # it may quote a password
        raise SetupError(f"the API URL{shown} is not an http(s) URL")
    if endpoint.has_user or endpoint.has_query:
        raise SetupError("the API URL must not carry a user, a password, a query or a fragment")
    if not endpoint.is_confidential:
        raise SetupError(
            f"the API URL {url!r} would send tokens unencrypted",
            hint="use https; plain http is only allowed to loopback",
        )
    return url.rstrip("/")


def check_callback(callback: str) -> tuple[str, int, str]:
    """Host, port and path of a loopback callback. Port 0: only another machine can answer it.
    SetupError if it is no URL."""
    endpoint = _endpoint(callback)
    if endpoint is None or endpoint.has_query:
        raise SetupError(
            f"the callback {callback!r} is not a URL such as http://localhost:8080/callback",
            hint="--callback takes what is registered for the app",
        )
    listens = endpoint.scheme == "http" and endpoint.host in CALLBACK_HOSTS
    port = (endpoint.port or 80) if listens else 0
    return endpoint.host, port, endpoint.path or "/"
