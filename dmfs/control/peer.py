"""Who is at the other end of a unix socket, as the kernel says: by user, never by pid, which is
used again."""

from __future__ import annotations

import socket
import struct
from typing import Protocol

_UCRED = struct.Struct("3i")


class Connected(Protocol):
    """A socket of the standard library, or of trio."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...


def peer_uid(connected: Connected) -> int:
    """The user of a client; of a server the one who listens."""
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return int(_UCRED.unpack(raw)[1])
