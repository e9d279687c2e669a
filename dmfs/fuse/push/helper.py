"""A program of its own: writes notifications to the kernel, and breaks the connection in the end.

``python -IS helper.py``. On stdin come orders (see ``ORDER``) until the daemon has ended; stdout is
a clone of the session's descriptor; to what comes as stderr go the marks. Standard library only.

The kernel takes a push under a lock of the directory that a pending lookup, unlink or rename holds.
Were the daemon killed while a thread of it waits there, that thread could not end, the connection
not break and the request not fail: whoever used the mount hung, past any SIGKILL (seen, once in 60
kills, and in 224 where pushes waited for the requests that the daemon knew of). So the waiting is
done here. With the daemon its own descriptor goes, and what it had read fails; what nobody had read
yet is refused here, until the push gets its lock. Then this process ends, and the connection
breaks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import select
import signal
import struct
import threading

ORDER = struct.Struct("=QI")
"""Number of the directory, length of the name that follows. Without a name it is a mark, which is
told back when the kernel has taken all names before it."""
MARK = struct.Struct("=Q")
"""Number of a mark."""
_NOTIFY = struct.Struct("=IiQ QII")
"""Length of the whole, what it is, 0; number of the directory, length of the name, 0."""
_REQUEST, _ANSWER = struct.Struct("=IIQ"), struct.Struct("=IiQ")
WAITING_MAX = 100_000
"""Of names; the kernel believes the others until their timeout."""
_INVAL_ENTRY = 3
_WITHOUT_ANSWER = frozenset({2, 36, 42})
"""FORGET, INTERRUPT, BATCH_FORGET."""
_REQUEST_BYTES = 2 << 20
"""The kernel wants room for its largest write, of 1 MiB."""
_LOOK_S = 0.02


class Helper:
    """One thread pushes; this one reads orders, and then refuses requests."""

    def __init__(self, device: int, marks: int) -> None:
        self._device, self._marks = device, marks
        self._orders: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
        self._turn = threading.Lock()
        self._pushing = self._over = False

    def run(self) -> None:
        """Until the daemon has ended and the kernel lets the last push go."""
        threading.Thread(target=self._push_all, daemon=True).start()
        self._read_orders()
        with self._turn:
            self._over = True
        while self._pushing:
            self._refuse_requests()

    def _read_orders(self) -> None:
        with open(0, "rb") as orders:
            while len(head := orders.read(ORDER.size)) == ORDER.size:
                parent, length = ORDER.unpack(head)
                name = orders.read(length)
                # never waits: it has to see the end
                if not length or self._orders.qsize() < WAITING_MAX:
                    self._orders.put((parent, name))

    def _push_all(self) -> None:
        while True:
            parent, name = self._orders.get()
            if not name:
                with contextlib.suppress(OSError):  # the daemon has gone
                    os.write(self._marks, MARK.pack(parent))
                continue
            size = _NOTIFY.size + len(name) + 1
            head = _NOTIFY.pack(size, _INVAL_ENTRY, 0, parent, len(name), 0)
            with self._turn:
                if self._over:
                    return
                self._pushing = True
            # ENOENT: it had forgotten it. What else it says is not for us to mend: it believes
            # the name until its timeout
            with contextlib.suppress(OSError):
                os.write(self._device, head + name + b"\0")
            self._pushing = False

    def _refuse_requests(self) -> None:
        os.set_blocking(self._device, False)
        while select.select([self._device], [], [], _LOOK_S)[0]:
            try:
                request = os.read(self._device, _REQUEST_BYTES)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT):
                    continue
                return  # taken back meanwhile, or the mount is gone
            _, opcode, unique = _REQUEST.unpack_from(request)
            if opcode not in _WITHOUT_ANSWER:
                answer = _ANSWER.pack(_ANSWER.size, -errno.ECONNABORTED, unique)
                with contextlib.suppress(OSError):
                    os.write(self._device, answer)


def main() -> None:
    """Until the daemon has ended."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # sent to all of a unit or terminal: the daemon's
    marks = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # a traceback is no mark
    Helper(1, marks).run()
    os._exit(0)  # whatever the other thread does


if __name__ == "__main__":
    main()
