"""Which URLs dmfs sends anything to. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from dmfs.errors import SetupError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def acceptable_url(url: str) -> bool:
    """https anywhere, plain http to this machine only (the emulator's CDN)."""
    try:
        split = urlsplit(url)
        host = split.hostname or ""
    except ValueError:
        return False
    if any(char <= " " or char == "\x7f" for char in url) or "@" in split.netloc:
        return False
    if split.netloc.find("[") > 0:  # urlsplit takes "evil[::1]" for the host ::1
        return False
    return bool(host) and (
        split.scheme == "https" or (split.scheme == "http" and host in _LOOPBACK)
    )


def check_api_url(url: str) -> str:
    """The base URL without a trailing slash; plain http only to this machine itself."""
    try:
        split = urlsplit(url)
        port_ok = split.port is None or split.port > 0
    except ValueError:
        raise SetupError(f"the API URL {url!r} is not a URL") from None
    plain = not any(char <= " " or char == "\x7f" for char in url)
    # urlsplit takes what stands in brackets for the host, whatever stands before them
    host_ok = split.hostname and split.netloc.find("[") <= 0
    if split.scheme not in ("http", "https") or not (plain and host_ok and port_ok):
        raise SetupError(f"the API URL {url!r} is not an http(s) URL")
    if "@" in split.netloc or split.query or split.fragment:
        raise SetupError("the API URL must not carry a user, a password, a query or a fragment")
    if split.scheme == "http" and split.hostname not in _LOOPBACK:
        raise SetupError(
            f"the API URL {url!r} would send tokens unencrypted",
            hint="use https; plain http is only allowed to loopback",
        )
    return url.rstrip("/")
