"""Hands that touch a mount: a process of its own, so that a hanging drive never hangs the tests.

``python hands.py`` answers pickled ``(operation, arguments)`` on stdin with pickled
``(ok, result or exception)`` on stdout. Stdlib only; knows nothing of dmfs.
"""

# Paths may be bytes here, and the plain calls themselves are what is wanted.
# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH116, PTH118, PTH123, PTH208, PTH211
# ruff: noqa: PLW0108

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import pickle
import select
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

_LENGTH = struct.Struct("<Q")


class HandsTimeout(AssertionError):
    """The drive did not answer in time."""


class Hands:
    """``hands.call("stat", path)``: one operation at a time; OSErrors come out as they were."""

    def __init__(self, *, timeout_s: float = 45.0) -> None:
        self._timeout_s = timeout_s
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        return self._start().pid

    def _start(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-IS", __file__],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        return self._child

    def call(self, operation: str, *arguments: Any, timeout_s: float | None = None) -> Any:
        with self._lock:
            child = self._start()
            assert child.stdin is not None
            message = pickle.dumps((operation, arguments))
            child.stdin.write(_LENGTH.pack(len(message)) + message)
            child.stdin.flush()
            ok, result = self._answer(child, timeout_s or self._timeout_s, operation)
        if ok:
            return result
        raise result

    def _answer(self, child: subprocess.Popen[bytes], timeout_s: float, what: str) -> Any:
        assert child.stdout is not None
        readable, _, _ = select.select([child.stdout], [], [], timeout_s)
        if not readable:
            self.close()
            raise HandsTimeout(f"{what}: no answer within {timeout_s:g} s")
        head = child.stdout.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            self.close()
            raise AssertionError(f"{what}: the hands died")
        return pickle.loads(child.stdout.read(_LENGTH.unpack(head)[0]))

    def close(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)  # a process inside a dead lookup ends only with the drive
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


# What hands can do. Paths may be bytes or text.


def _read(path: Any, offset: int = 0, length: int = -1) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        if length < 0:
            length = os.fstat(fd).st_size - offset
        return _pread(fd, offset, length)
    finally:
        os.close(fd)


def _pread(fd: int, offset: int, length: int) -> bytes:
    """All that can be had of a range; short only at the end of the file."""
    pieces = []
    while length > 0:
        piece = os.pread(fd, min(length, 1 << 20), offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
    return b"".join(pieces)


def _preads(path: Any, spans: list[tuple[int, int]]) -> list[bytes]:
    """``(offset, length)`` each by one pread, as one open file."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return [os.pread(fd, length, offset) for offset, length in spans]
    finally:
        os.close(fd)


def _sha256(path: Any, chunk: int = 1 << 20) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(chunk):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size


def _mmap_slices(path: Any, spans: list[tuple[int, int]]) -> list[bytes]:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
        return [view[start:stop] for start, stop in spans]


def _direct(path: Any, offset: int, length: int) -> bytes:
    """O_DIRECT into an aligned buffer."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        buffer = mmap.mmap(-1, max(length, 4096))
        got = os.preadv(fd, [memoryview(buffer)[:length]], offset)
        return buffer[:got]
    finally:
        os.close(fd)


def _lstats(directory: Any) -> dict[Any, os.stat_result]:
    return {entry: os.lstat(os.path.join(directory, entry)) for entry in os.listdir(directory)}


def _probe(paths: list[Any]) -> list[int]:
    """errno of stat for each path, 0 where it is there."""
    found = []
    for path in paths:
        try:
            os.stat(path)
            found.append(0)
        except OSError as error:
            found.append(error.errno or -1)
    return found


def _errno_of(operation: str, *arguments: Any) -> int:
    """The errno with which an operation fails; 0 if it works."""
    try:
        OPERATIONS[operation](*arguments)
    except OSError as error:
        return error.errno or -1
    return 0


def _write_all_ways(directory: Any, file: Any, child: Any) -> dict[str, int]:
    """errno of everything that would change the drive."""
    new = os.path.join(directory, "new")
    ways: dict[str, Callable[[], object]] = {
        "create": lambda: os.open(new, os.O_CREAT | os.O_WRONLY),
        "open for writing": lambda: os.open(file, os.O_WRONLY),
        "open for both": lambda: os.open(file, os.O_RDWR),
        "append": lambda: os.open(file, os.O_WRONLY | os.O_APPEND),
        "truncate at open": lambda: os.open(file, os.O_RDONLY | os.O_TRUNC),
        "truncate": lambda: os.truncate(file, 0),
        "unlink": lambda: os.unlink(file),
        "mkdir": lambda: os.mkdir(new),
        "rmdir": lambda: os.rmdir(child),
        "rename": lambda: os.rename(file, new),
        "link": lambda: os.link(file, new),
        "symlink": lambda: os.symlink("x", new),
        "mknod": lambda: os.mknod(new),
        "mkfifo": lambda: os.mkfifo(new),
        "chmod": lambda: os.chmod(file, 0o600),
        "chown": lambda: os.chown(file, 1, 1),
        "utime": lambda: os.utime(file, (1, 1)),
        "setxattr": lambda: os.setxattr(file, "user.x", b"1"),
        "removexattr": lambda: os.removexattr(file, "user.dmfs.item_id"),
    }
    found = {}
    for name, way in ways.items():
        try:
            way()
            found[name] = 0
        except OSError as error:
            found[name] = error.errno or -1
    return found


OPERATIONS: dict[str, Callable[..., Any]] = {
    "stat": lambda path: os.stat(path),
    "lstat": lambda path: os.lstat(path),
    "fstat": lambda fd: os.fstat(fd),
    "statvfs": lambda path: tuple(os.statvfs(path)),
    "listdir": lambda path: sorted(os.listdir(path)),
    "lstats": _lstats,
    "probe": _probe,
    "errno_of": _errno_of,
    "write_all_ways": _write_all_ways,
    "open": lambda path: os.open(path, os.O_RDONLY),
    "close": lambda fd: os.close(fd),
    "chdir": lambda path: os.chdir(path),
    "pread": _pread,
    "preads": _preads,
    "read": _read,
    "sha256": _sha256,
    "mmap_slices": _mmap_slices,
    "direct": _direct,
    "listxattr": lambda path: sorted(os.listxattr(path)),
    "getxattr": lambda path, name: os.getxattr(path, name),
    "xattrs": lambda path: {name: os.getxattr(path, name) for name in os.listxattr(path)},
}


def main() -> None:
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(_LENGTH.size):
        operation, arguments = pickle.loads(source.read(_LENGTH.unpack(head)[0]))
        try:
            answer: tuple[bool, Any] = True, OPERATIONS[operation](*arguments)
        except Exception as error:  # noqa: BLE001 - raised again by who asked
            answer = False, error
        message = pickle.dumps(answer)
        sink.write(_LENGTH.pack(len(message)) + message)
        sink.flush()


if __name__ == "__main__":
    main()
