"""The daemon's side of ``helper``: starts it, and hands it names to push."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import queue
import struct
import subprocess
import sys
import threading

from dmfs.fuse.push import helper

log = logging.getLogger(__name__)

_CLONE = 0x8004E500
"""FUSE_DEV_IOC_CLONE: one more descriptor of a session, with requests of its own."""
_END_S = 2.0


class Pusher:
    """Pushes names, without ever waiting for the kernel. ``session``: the session's descriptor.
    OSError where this machine gives no second one."""

    def __init__(self, session: int) -> None:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(device, _CLONE, struct.pack("I", session))
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-S", helper.__file__],
                stdin=subprocess.PIPE, stdout=device, stderr=subprocess.DEVNULL,
                cwd="/", env={}, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(device)  # only the helper's keeps the connection
        self._orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._hand_over, name="pushes", daemon=True)
        self._thread.start()

    def push(self, parent: int, name: bytes) -> None:
        """``parent``: a directory's number. Returns at once."""
        self._orders.put(helper.ORDER.pack(parent, len(name)) + name)

    def close(self) -> None:
        """Once the session is over, or before."""
        self._orders.put(None)
        self._thread.join(_END_S)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_END_S)

    def _hand_over(self) -> None:
        # in a thread: a pipe holds some thousand names, and the kernel may keep the helper waiting
        assert self._child.stdin is not None
        pipe = self._child.stdin.fileno()
        with self._child.stdin:
            while (order := self._orders.get()) is not None:
                try:
                    view = memoryview(order)
                    while view:
                        view = view[os.write(pipe, view) :]
                except OSError:
                    log.warning("the process that tells the kernel of changes has ended")
                    return
