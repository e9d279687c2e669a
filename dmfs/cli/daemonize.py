"""A mount in the background, and what it reports: to the waiting parent, and to systemd.

The parent starts the same command anew in a session of its own (a fork would copy only one of
the process's threads, and the locks of all), and waits on a socket for one line: READY, or why not.
It confirms READY: a mount of which nobody heard, since the parent was killed in that moment, ends.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from signal import SIGHUP, SIGINT, SIGTERM

TYPE_CHECKING = False  # importing typing for its constant would cost a third of argparse
if TYPE_CHECKING:
    from typing import NoReturn

READY = "ready"
_HEARD = b"."
END_S = 15.0
"""A start that is given up ends within a second; a disk that hangs keeps it for ten."""


def start_in_background(
    argv: Sequence[str], environ: Mapping[str, str], descriptors: Sequence[int] = ()
) -> str:
    """Run ``dmfs ARGV`` (of which the first word is ``mount``) detached, with the same open
    ``descriptors``; '' when it is ready, else its error message.

    The child starts in the same working directory, so that relative paths mean the same files; it
    changes to ``/`` once it has read its settings. An interruption of this process, however it
    comes, ends the child: by a signal where there is time for one, and else by the socket, at
    whose other end is nobody then.
    """
    ours, theirs = socket.socketpair()
    with _interruptible(), ours:
        try:
            process = subprocess.Popen(
                # -P: the working directory is the user's, and no place to import modules from
                [sys.executable, "-P", "-m", "dmfs", *background_argv(argv, theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *descriptors),
                start_new_session=True,
                env=dict(environ),
            )
        finally:
            theirs.close()
        try:
            with ours.makefile("rb") as report:
                line = report.read().decode("utf-8", "surrogateescape").strip()  # until its end
            if line == READY and _confirm(ours):
                process.returncode = 0  # the drive outlives this process: no warning about a child
                return ""
            ours.close()  # if it waits for the answer, it hears that there is none
            status = process.wait()
        except BaseException:
            _end(process)
            raise
    failure = "" if line == READY else line
    return failure or f"the mount process ended at once (status {status})"


def _confirm(control: socket.socket) -> bool:
    """Let the drive know that it was heard. From then on it stays, so no signal may end this
    process any more: its status would say that there is no drive. (On a busy machine the
    interpreter's end takes long enough to be hit.) A signal that came before is obeyed here."""
    ending = {SIGINT, SIGTERM, SIGHUP}
    # the kernel keeps a blocked signal that is ignored, too: of a job of a script's background
    obeyed = {number for number in ending if signal.getsignal(number) is not signal.SIG_IGN}
    heard = False
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, ending)
        if not signal.sigpending() & obeyed:
            control.sendall(_HEARD)
            heard = True
    except OSError:
        pass  # it ended right behind its word
    finally:
        if not heard:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ending)
    return heard


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
    """Send the waiting parent its one line: READY, or an error message. False if it is gone. The
    descriptor stays open: ``was_heard`` reads the answer to READY."""
    if ready_fd is None:
        return True
    try:
        with _socket_of(ready_fd) as control:
            control.sendall(line.encode("utf-8", "surrogateescape"))
            control.shutdown(socket.SHUT_WR)  # the parent reads until the end
    except OSError:
        return False
    return True


def was_heard(ready_fd: int) -> bool:
    """Whether the parent confirmed READY, once there is something to read: False if it is gone."""
    try:
        with _socket_of(ready_fd) as control:
            return control.recv(len(_HEARD), socket.MSG_DONTWAIT) == _HEARD
    except OSError:
        return False


def _socket_of(descriptor: int) -> socket.socket:
    """A socket object of its own for an inherited descriptor."""
    return socket.socket(fileno=os.dup(descriptor))


class ServiceManager:
    """systemd, or whoever else set ``$NOTIFY_SOCKET``; without one nothing is sent."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.watchdog_s = watchdog_s(environ, os.getpid()) if self._address else None
        """It wants a beat at least so often (``WatchdogSec=``); None for no beats."""

    def __bool__(self) -> bool:
        return bool(self._address)

    def send(self, *lines: str) -> None:
        """``READY=1`` or ``STOPPING=1``, and what goes with them."""
        sd_notify(self._address, *lines)

    def say(self, words: str) -> None:
        """What ``systemctl status`` shows. Never waits."""
        sd_notify(self._address, f"STATUS={words}", wait=False)

    def beat(self) -> None:
        """The event loop turns. Never waits."""
        sd_notify(self._address, "WATCHDOG=1", wait=False)


def watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds of ``WATCHDOG_USEC``; None if it is not set, no number, or for another process."""
    period, whose = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(pid))
    valid = period.isascii() and period.isdecimal() and 0 < len(period) < 16
    return int(period) / 1e6 if valid and int(period) and whose == str(pid) else None


def sd_notify(address: str, *lines: str, wait: bool = True) -> None:
    """Send ``READY=1``, ``STATUS=…`` or ``STOPPING=1`` to the socket in ``$NOTIFY_SOCKET``; a
    no-op for ''. Without ``wait`` it is lost where the manager's queue is full."""
    if not address:
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    flags = 0 if wait else socket.MSG_DONTWAIT
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
            client.sendto("\n".join(lines).encode("utf-8", "surrogateescape"), flags, target)
    except OSError:
        pass  # a manager that is gone is no reason to fail
