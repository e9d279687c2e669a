"""Telling systemd how we are (sd_notify). Floor 4; a no-op where nobody listens."""

from __future__ import annotations

import socket


def sd_notify(address: str, *lines: str) -> None:
    """Send ``READY=1``, ``STATUS=…`` or ``STOPPING=1`` to the socket in ``$NOTIFY_SOCKET``."""
    if not address:
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
            client.sendto("\n".join(lines).encode(), target)
    except OSError:
        pass  # a manager that is gone is no reason to fail
