"""Replays what a program did when it saved, with real system calls, in any directory.

A trace is a JSON file beside this one: ``before`` (name → size), ``ops`` and ``after``. Bytes are
made up: those of a write follow from its number. Each operation has to do what it did when it was
recorded, down to its error; only what a drive need not have (symbolic links, ACLs) may fail.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import json
import mmap
import os
import random
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Op = dict[str, Any]

MAY_FAIL = {
    "symlink": {errno.EPERM, errno.EOPNOTSUPP, errno.EEXIST},
    "link": {errno.EPERM, errno.EOPNOTSUPP},
    "setxattr": {errno.EPERM, errno.EOPNOTSUPP},
    "fsetxattr": {errno.EPERM, errno.EOPNOTSUPP},
}
_ACL = struct.pack("<IHHIHHIHHI", 2, 1, 6, 2**32 - 1, 4, 4, 2**32 - 1, 32, 4, 2**32 - 1)
"""rw-r--r--, as a kernel takes it."""
_libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
RENAME_FLAGS = {"RENAME_NOREPLACE": 1, "RENAME_EXCHANGE": 2}


@dataclass(frozen=True)
class Trace:
    """A recorded or written save."""

    name: str
    program: str
    source: str
    """How it was come by."""
    before: dict[str, int]
    folders: list[str]
    after: dict[str, int]
    ops: list[Op]


def trace_names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.json"))


@functools.cache
def load(name: str) -> Trace:
    return Trace(name, **json.loads((HERE / f"{name}.json").read_text("utf-8")))


def made_up(seed: object, size: int) -> bytes:
    return random.Random(str(seed)).randbytes(size)


def before_bytes(trace: Trace) -> dict[str, bytes]:
    """What has to be there, before the replay."""
    return {name: made_up(name, size) for name, size in trace.before.items()}


def lay_out(trace: Trace, directory: Path) -> None:
    for folder in trace.folders:
        (directory / folder).mkdir(parents=True, exist_ok=True)
    for name, content in before_bytes(trace).items():
        (directory / name).write_bytes(content)


# What it comes to, without a disk


def expected(trace: Trace) -> dict[str, bytes]:
    """Name → bytes after the whole trace."""
    files = {name: bytearray(content) for name, content in before_bytes(trace).items()}
    handles: dict[int, bytearray] = {}
    maps: dict[int, tuple[bytearray, int]] = {}
    for number, op in enumerate(trace.ops):
        if "error" not in op and "errors" not in op:
            _imagine(op, number, files, handles, maps)
    return {name: bytes(content) for name, content in files.items()}


def _imagine(  # noqa: C901
    op: Op,
    number: int,
    files: dict[str, bytearray],
    handles: dict[int, bytearray],
    maps: dict[int, tuple[bytearray, int]],
) -> None:
    match op["op"]:
        case "open":
            if op["path"] not in files:
                files[op["path"]] = bytearray()
            handles[op["handle"]] = files[op["path"]]
            if "O_TRUNC" in op["flags"]:
                del files[op["path"]][:]
        case "dup":
            handles[op["new"]] = handles[op["handle"]]
        case "write":
            file = handles[op["handle"]]
            offset = len(file) if op["offset"] == "end" else op["offset"]
            _overwrite(file, offset, made_up(number, op["size"]))
        case "ftruncate" | "truncate":
            file = files[op["path"]] if op["op"] == "truncate" else handles[op["handle"]]
            del file[op["size"] :]
            file.extend(bytes(op["size"] - len(file)))
        case "fallocate":
            file = handles[op["handle"]]
            file.extend(bytes(max(0, op["size"] - len(file))))
        case "mmap":
            maps[op["map"]] = (handles[op["handle"]], op["offset"])
        case "store":
            file, offset = maps[op["map"]]
            file[offset + op["at"] : offset + op["at"] + op["size"]] = made_up(number, op["size"])
        case "rename":
            files[op["new"]] = files.pop(op["old"])
        case "link":
            files[op["path"]] = files[op["old"]]
        case "unlink":
            files.pop(op["path"], None)


def _overwrite(file: bytearray, offset: int, data: bytes) -> None:
    file.extend(bytes(max(0, offset - len(file))))
    file[offset : offset + len(data)] = data


# With system calls


def replay(
    trace: Trace, directory: Path, *, between: Callable[[int, Op], None] | None = None
) -> dict[str, bytes]:
    """Does it all; ``between`` is called before each operation with its number. Returns the bytes
    that are to be there now, by name."""
    player = _Player(directory)
    try:
        for number, op in enumerate(trace.ops):
            if between is not None:
                between(number, op)
            player.play(number, op)
        assert not player.handles, f"left open: {player.handles}"
    finally:
        player.close()
    return expected(trace)


@dataclass
class _Player:
    directory: Path
    handles: dict[int, int] = field(default_factory=dict)
    maps: dict[int, mmap.mmap] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)

    def close(self) -> None:
        for each in self.maps.values():
            with suppress(BufferError):
                each.close()
        for descriptor in self.handles.values():
            with suppress(OSError):
                os.close(descriptor)

    def play(self, number: int, op: Op) -> None:
        wanted = op.get("error")
        allowed = {getattr(errno, each) for each in op.get("errors", [])}
        allowed |= MAY_FAIL.get(op["op"], set())
        if op["op"] == "unlink" and op["path"] in self.links:
            allowed.add(errno.ENOENT)
        try:
            getattr(self, f"_{op['op']}")(op, number)
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "?")
            if name != wanted and error.errno not in allowed:
                raise AssertionError(f"operation {number}, {op}: {name}") from error
        else:
            if wanted is not None and op["op"] not in MAY_FAIL:
                raise AssertionError(f"operation {number}, {op}: no error")

    def _at(self, name: str) -> Path:
        return self.directory / name

    def _descriptor(self, op: Op) -> int:
        return self.handles[op["handle"]]

    def _open(self, op: Op, number: int) -> None:
        flags = functools.reduce(lambda all_, word: all_ | getattr(os, word), op["flags"], 0)
        descriptor = os.open(self._at(op["path"]), flags, int(op.get("mode", "0644"), 8) & 0o777)
        if "handle" in op and "errors" not in op:
            self.handles[op["handle"]] = descriptor
        else:
            os.close(descriptor)

    def _dup(self, op: Op, number: int) -> None:
        self.handles[op["new"]] = os.dup(self._descriptor(op))

    def _close(self, op: Op, number: int) -> None:
        os.close(self.handles.pop(op["handle"]))

    def _write(self, op: Op, number: int) -> None:
        data = made_up(number, op["size"])
        if op["offset"] == "end":
            written = os.write(self._descriptor(op), data)
        else:
            written = os.pwrite(self._descriptor(op), data, op["offset"])
        assert written == op["size"], f"operation {number}: a short write, {written}"

    def _ftruncate(self, op: Op, number: int) -> None:
        os.ftruncate(self._descriptor(op), op["size"])

    def _truncate(self, op: Op, number: int) -> None:
        os.truncate(self._at(op["path"]), op["size"])

    def _fallocate(self, op: Op, number: int) -> None:
        os.posix_fallocate(self._descriptor(op), 0, op["size"])

    def _fsync(self, op: Op, number: int) -> None:
        os.fsync(self._descriptor(op))

    def _fdatasync(self, op: Op, number: int) -> None:
        os.fdatasync(self._descriptor(op))

    def _mmap(self, op: Op, number: int) -> None:
        self.maps[op["map"]] = mmap.mmap(self._descriptor(op), op["size"], offset=op["offset"])

    def _store(self, op: Op, number: int) -> None:
        self.maps[op["map"]][op["at"] : op["at"] + op["size"]] = made_up(number, op["size"])

    def _munmap(self, op: Op, number: int) -> None:
        self.maps.pop(op["map"]).close()

    def _rename(self, op: Op, number: int) -> None:
        flags = sum(RENAME_FLAGS[each] for each in op.get("flags", []))
        old, new = self._at(op["old"]), self._at(op["new"])
        if not flags:
            old.rename(new)
        elif _libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(old))

    def _unlink(self, op: Op, number: int) -> None:
        self._at(op["path"]).unlink()

    def _mkdir(self, op: Op, number: int) -> None:
        self._at(op["path"]).mkdir()

    def _rmdir(self, op: Op, number: int) -> None:
        self._at(op["path"]).rmdir()

    def _symlink(self, op: Op, number: int) -> None:
        if op.get("error") == "EPERM":  # there were none: go on as the program did
            raise OSError(errno.EPERM, "no symbolic links")
        self.links.add(op["path"])
        self._at(op["path"]).symlink_to(op["to"])

    def _link(self, op: Op, number: int) -> None:
        os.link(self._at(op["old"]), self._at(op["path"]))

    def _chmod(self, op: Op, number: int) -> None:
        self._at(op["path"]).chmod(int(op["mode"], 8) & 0o777)

    def _fchmod(self, op: Op, number: int) -> None:
        os.fchmod(self._descriptor(op), int(op["mode"], 8) & 0o777)

    def _chown(self, op: Op, number: int) -> None:
        os.chown(self._at(op["path"]), os.getuid(), os.getgid())

    def _fchown(self, op: Op, number: int) -> None:
        os.fchown(self._descriptor(op), os.getuid(), os.getgid())

    def _utimens(self, op: Op, number: int) -> None:
        os.utime(self._at(op["path"]), (1_700_000_000, 1_700_000_000))

    def _futimens(self, op: Op, number: int) -> None:
        os.utime(self._descriptor(op), (1_700_000_000, 1_700_000_000))

    def _setxattr(self, op: Op, number: int) -> None:
        os.setxattr(self._at(op["path"]), op["name"], _ACL)

    def _fsetxattr(self, op: Op, number: int) -> None:
        os.setxattr(self._descriptor(op), op["name"], _ACL)

    def _stat(self, op: Op, number: int) -> None:
        os.lstat(self._at(op["path"]))

    def _lock(self, op: Op, number: int) -> None:
        if op["how"] == "F_UNLCK":
            how = fcntl.LOCK_UN
        else:
            how = fcntl.LOCK_NB | (fcntl.LOCK_SH if op["how"] == "F_RDLCK" else fcntl.LOCK_EX)
        fcntl.lockf(self._descriptor(op), how)

    def _flock(self, op: Op, number: int) -> None:
        words = op["how"].split("|")
        fcntl.flock(self._descriptor(op), sum(getattr(fcntl, each) for each in words))
