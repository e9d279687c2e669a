"""A mount in the background, and what it reports: to the waiting parent, and to systemd.

The parent starts the same command anew in a session of its own (a fork would copy only one of
the process's threads, and the locks of all), and waits on a pipe for one line: READY, or why not.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from signal import SIGHUP, SIGTERM

TYPE_CHECKING = False  # importing typing for its constant would cost a third of argparse
if TYPE_CHECKING:
    from typing import NoReturn

READY = "ready"
END_S = 15.0
"""A start that is given up ends within a second; a disk that hangs keeps it for ten."""


def start_in_background(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    """Run ``dmfs ARGV`` (of which the first word is ``mount``) detached; '' when it is ready, else
    its error message.

    The child starts in the same working directory, so that relative paths mean the same files; it
    changes to ``/`` once it has read its settings. An interruption of this process, however it
    comes, ends the child: by a signal where there is time for one, and else by the pipe, which
    nobody reads then.
    """
    read_end, write_end = os.pipe()
    with _interruptible(), os.fdopen(read_end, "rb") as pipe:
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
        try:
            line = pipe.read().decode("utf-8", "surrogateescape").strip()  # until its end
            if line == READY:
                process.returncode = 0  # the drive outlives this process: no warning about a child
                return ""
            status = process.wait()
        except BaseException:
            _end(process)
            raise
    return line or f"the mount process ended at once (status {status})"


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP end the body as SIGINT does, by an exception."""

    def interrupt(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, interrupt) for number in (SIGTERM, SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a child that has not reported yet; it cleans up after itself."""
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def background_argv(argv: Sequence[str], ready_fd: int) -> list[str]:
    """The arguments as given, and the descriptor to report to: before all others, for ``--`` may
    be among them."""
    command, *rest = argv
    return [command, "--ready-fd", str(ready_fd), *rest]


def notify_parent(ready_fd: int | None, line: str) -> bool:
    """Send the waiting parent its one line: READY, or an error message. False if it is gone."""
    if ready_fd is None:
        return True
    try:
        os.write(ready_fd, line.encode("utf-8", "surrogateescape"))
        os.close(ready_fd)
    except OSError:
        return False
    return True


def sd_notify(address: str, *lines: str) -> None:
    """Send ``READY=1``, ``STATUS=…`` or ``STOPPING=1`` to the socket in ``$NOTIFY_SOCKET``; a
    no-op for ''."""
    if not address:
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
            client.sendto("\n".join(lines).encode("utf-8", "surrogateescape"), target)
    except OSError:
        pass  # a manager that is gone is no reason to fail
