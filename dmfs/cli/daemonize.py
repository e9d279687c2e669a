"""A mount in the background, and what it reports: to the waiting parent, and to systemd.

The parent starts the same command anew in a session of its own (a fork would copy only one of
the process's threads, and the locks of all), and waits on a pipe for one line: READY, or why not.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

READY = "ready"


def start_in_background(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    """Run ``dmfs ARGV`` (of which the first word is ``mount``) detached; '' when it is ready, else
    its error message.

    The child starts in the same working directory, so that relative paths mean the same files; it
    changes to ``/`` once it has read its settings.
    """
    read_end, write_end = os.pipe()
    try:
        process = subprocess.Popen(
            # -P: the working directory is the user's, and no place to import modules from
            [sys.executable, "-P", "-m", "dmfs", *background_argv(argv, write_end)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(write_end,),
            start_new_session=True,
            env=dict(environ),
        )
    finally:
        os.close(write_end)
    with os.fdopen(read_end, "r", encoding="utf-8", errors="replace") as pipe:
        line = pipe.read().strip()  # until the child writes and closes, or dies
    if line == READY:
        process.returncode = 0  # the drive outlives this process: no warning about a child
        return ""
    status = process.wait()
    return line or f"the mount process ended at once (status {status})"


def background_argv(argv: Sequence[str], ready_fd: int) -> list[str]:
    """The arguments as given, and the descriptor to report to: before all others, for ``--`` may
    be among them."""
    command, *rest = argv
    return [command, "--ready-fd", str(ready_fd), *rest]


def notify_parent(ready_fd: int | None, line: str) -> None:
    """Send the waiting parent its one line: READY, or an error message."""
    if ready_fd is None:
        return
    try:
        os.write(ready_fd, line.encode("utf-8", "replace"))
        os.close(ready_fd)
    except OSError:
        pass  # the parent was interrupted; the drive goes on


def sd_notify(address: str, *lines: str) -> None:
    """Send ``READY=1``, ``STATUS=…`` or ``STOPPING=1`` to the socket in ``$NOTIFY_SOCKET``; a
    no-op for ''."""
    if not address:
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
            client.sendto("\n".join(lines).encode(), target)
    except OSError:
        pass  # a manager that is gone is no reason to fail
