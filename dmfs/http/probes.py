"""Requests that only find out whether a host answers, and how. Without a token or a rate limit."""

from __future__ import annotations

import trio

from dmfs.errors import DriveError
from dmfs.http.client import (
    BrokenConnectionError,
    HttpClient,
    LocalShortageError,
    NestedEncodingError,
    Request,
    Response,
    TransportError,
)
from dmfs.http.errormap import from_transport


async def get_anonymously(client: HttpClient, action: str, url: str) -> Response:
    """One GET, its response whatever the status. UnreachableError if there is none; ``action``
    names it in the error's text."""
    try:
        return await client.send(Request("GET", url))
    except (TransportError, NestedEncodingError) as error:
        raise from_transport(action, error) from None


async def reaches(client: HttpClient, origin: str, timeout_s: float) -> bool:
    """Whether a host (``https://host``) is there. Any response will do, and so will a connection
    that breaks: what to make of that is for the reader of its bytes to judge."""
    with trio.move_on_after(timeout_s):
        try:
            await client.send(Request("GET", f"{origin}/"))
        except (BrokenConnectionError, LocalShortageError, NestedEncodingError):
            return True
        except DriveError:
            return True  # the engine did not open: that says nothing of the host
        except TransportError:
            return False
        return True
    return False
