"""The service manager's store of descriptors (``FileDescriptorStoreMax=``): it passes on what it
stores to the main process, as 3 and up (sd_notify(3), ``FDSTORE=1``)."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Sequence

from dmfs.errors import SetupError

NAME = "fuse"
"""Of the one descriptor that is stored."""
READ_S = 5.0
"""A manager that does not read its messages for so long is not waited for."""


def store(address: str, descriptor: int) -> None:
    """Hand a descriptor to the manager at ``$NOTIFY_SOCKET``, and wait until it has it. SetupError
    where there is none."""
    _send(address, f"FDSTORE=1\nFDNAME={NAME}", [descriptor])
    _wait_until_read(address)


def forget(address: str) -> None:
    """Have the manager close what it stores. While it has it, a drive whose process is gone is not
    dead: whoever looks at it hangs. SetupError."""
    _send(address, f"FDSTOREREMOVE=1\nFDNAME={NAME}", [])
    _wait_until_read(address)


def _wait_until_read(address: str) -> None:
    """Its messages are read in their order: with the barrier's, those before it are done. Who ends
    earlier may be gone when the manager asks whose message that was."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            _send(address, "BARRIER=1", [theirs])
        finally:
            os.close(theirs)
        poll = select.poll()
        poll.register(ours, 0)  # its other end is closed once it is read
        poll.poll(READ_S * 1000)
    finally:
        os.close(ours)


def _send(address: str, words: str, descriptors: Sequence[int]) -> None:
    if not address:
        raise SetupError(
            "no service manager is listening: NOTIFY_SOCKET is not set",
            hint="a unit needs NotifyAccess=exec; without one: dmfs-mountfd MOUNTPOINT -- COMMAND",
        )
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
            client.settimeout(READ_S)
            client.connect(target)
            socket.send_fds(client, [words.encode()], descriptors)
    except OSError as error:
        reason = error.strerror or "it does not read"
        raise SetupError(f"the service manager cannot be reached: {reason}") from None
