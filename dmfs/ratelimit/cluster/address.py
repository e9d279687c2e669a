"""Where the coordinator is, as people write it, and how it may be shown. Pure."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit

from dmfs.errors import SetupError

_SCHEMES = {
    "valkey": "valkey", "redis": "valkey", "valkeys": "valkeys", "rediss": "valkeys",
    "unix": "valkey+unix",
}  # fmt: skip
"""What is written → what the library is given: its client for Valkey speaks to both servers."""
HINT = "valkey://HOST:PORT/DB, redis://, rediss:// (TLS) or unix:///PATH"


def library_url(text: str) -> str:
    """The URL as the library ``limits`` wants it. SetupError, which never shows the text: it may
    hold a password."""
    scheme, _, rest = text.partition("://")
    wanted = _SCHEMES.get(scheme.lower())
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise SetupError("the setting quota is no address", hint=HINT) from None
    if wanted is None or not re.fullmatch(r"[\x21-\x7e]+", text):
        raise SetupError("the setting quota is no address", hint=HINT)
    if scheme.lower() == "unix":
        if parts.path in ("", "/"):
            raise SetupError("the setting quota names no socket", hint="unix:///PATH")
    elif not parts.hostname or port == 0 or not re.fullmatch(r"/?\d{0,4}", parts.path):
        raise SetupError("the setting quota names no host, or no number of a database", hint=HINT)
    return f"{wanted}://{rest}"


def shown(text: str) -> str:
    """For people: scheme, host, port and path, without user, password and options."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return "an address that is none"
    return f"{parts.scheme}://{host}{port}{parts.path}"


def digest_of(client_id: str) -> str:
    """16 hex digits in its place."""
    return hashlib.sha256(client_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def key_of(client_id: str, *words: str) -> str:
    """A key at the coordinator; the client id is in it as a hash alone."""
    return ":".join(("dmfs", f"{{{digest_of(client_id)}}}", *words))
