"""The daemon's side of ``helper``: starts it, and hands it names to push."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Callable

from dmfs.fuse.push import helper
from dmfs.system.resources import NO_THREAD

log = logging.getLogger(__name__)

_CLONE = 0x8004E500
"""FUSE_DEV_IOC_CLONE: one more descriptor of a session, with requests of its own."""
_END_S = 2.0


class Pusher:
    """Pushes names, without ever waiting for the kernel. ``session``: the session's descriptor.
    ``instead`` is called where there is no helper, and from its end on: somebody killed it.

    The helper starts with ``start``, else with the first name: a drive that is read alone, and in
    which nothing changes, has none.
    """

    def __init__(self, session: int, instead: Callable[[int, bytes], None]) -> None:
        self._session, self._instead = session, instead
        self._is_alive, self._is_started = True, False
        self._orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._marks = -1
        """Where the helper tells of the marks."""
        self._marked = self._mark = 0
        """The last one that it told of, and the last one that it was given."""

    def start(self) -> None:
        """Some milliseconds. Without a helper a kill may hang the programs on the mount."""
        self._is_started = True
        try:
            self._start()
        except OSError as error:
            self._is_alive = False
            log.warning("no process of its own tells the kernel of changes: %s", error)

    def _start(self) -> None:
        """OSError where this machine gives no second descriptor, no process or no thread."""
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            device = os.open("/dev/fuse", flags)
        except OSError:  # by the session's: who was given that may see no device
            device = os.open(f"/proc/self/fd/{self._session}", flags)
        theirs = -1
        try:
            self._marks, theirs = os.pipe()  # (neither is inherited by others)
            os.set_blocking(self._marks, False)
            fcntl.ioctl(device, _CLONE, struct.pack("i", self._session))
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-S", helper.__file__],
                stdin=subprocess.PIPE, stdout=device, stderr=theirs,
                cwd="/", env={}, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(device)  # only the helper's keeps the connection
            if theirs >= 0:
                os.close(theirs)
        thread = threading.Thread(target=self._hand_over, name="pushes", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._orders_end()
            self._wait()
            raise OSError(errno.EAGAIN, NO_THREAD) from error
        self._thread = thread

    @property
    def pid(self) -> int:
        """The helper's."""
        return self._child.pid

    def push(self, parent: int, name: bytes) -> None:
        """``parent``: a directory's number. Returns at once."""
        if not self._is_started:
            self.start()
        if not self._is_alive:
            self._instead(parent, name)
        elif self._orders.qsize() < helper.WAITING_MAX:
            self._orders.put(helper.ORDER.pack(parent, len(name)) + name)

    def mark(self) -> int:
        """A mark behind all names so far, for ``has_passed``. Returns at once."""
        if self._is_started and self._is_alive:
            self._mark += 1
            self._orders.put(helper.ORDER.pack(self._mark, 0))
            return self._mark
        return 0

    def has_passed(self, mark: int) -> bool:
        """Whether the kernel has taken all names before a mark, or nobody will tell. Never waits:
        if not, look again once ``marks`` is readable."""
        while self._marked < mark:
            try:
                numbers = os.read(self._marks, 1024 * helper.MARK.size)
            except BlockingIOError:
                return False
            except OSError:
                return True
            if not numbers:  # the helper has ended
                return True
            (self._marked,) = helper.MARK.unpack(numbers[-helper.MARK.size :])
        return True

    @property
    def marks(self) -> int:
        """A descriptor, once there was a mark."""
        return self._marks

    def close(self) -> None:
        """Once the session is over, or before; nobody looks at ``marks`` any more."""
        if self._thread is not None:
            self._orders.put(None)
            self._thread.join(_END_S)
            self._wait()
        if self._marks >= 0:
            os.close(self._marks)
            self._marks = -1

    def _wait(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_END_S)

    def _orders_end(self) -> None:
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):
            self._child.stdin.close()

    def _hand_over(self) -> None:
        # in a thread: a pipe holds some thousand names, and the kernel may keep the helper waiting
        assert self._child.stdin is not None
        pipe = self._child.stdin.fileno()
        while (order := self._orders.get()) is not None:
            try:
                view = memoryview(order)
                while view:
                    view = view[os.write(pipe, view) :]
            except OSError:
                self._is_alive = False
                log.warning("the process that tells the kernel of changes has ended")
                break
        self._orders_end()
