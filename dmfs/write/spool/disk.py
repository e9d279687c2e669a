"""The spool's disk: calls to it in threads, open files, errors in words, and whether it is fit."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from dmfs.errors import NoRoomError, SetupError, SpoolError, SpoolLimitError
from dmfs.system.disk_threads import DiskThreads
from dmfs.system.mountinfo import filesystem_of
from dmfs.system.private_files import make_private

T = TypeVar("T")

PATIENCE_S = 30.0
"""For one call. A slow disk with much to write makes a writer wait for seconds."""
SYNC_PATIENCE_S = 120.0
"""For fdatasync of at most ``data_file.UNSYNCED_BYTES``: a disk of 2 MB/s is no hang."""
THREADS = 8
OPEN_FILES = 64
IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
FAR = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "virtiofs",
    "ncpfs", "coda", "fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "fuse.glusterfs",
    "fuse.dmfs", "fuse.davfs", "davfs", "fuse.ceph", "fuse.mount-s3", "fuse.gvfsd-fuse",
})  # fmt: skip
"""Filesystems of another machine: what fdatasync means there is not ours to say, nor is flock."""
STEP_BYTES = 512 * 1024
"""In one call. Of a larger one Linux makes pages of up to 2 MiB; on a virtual machine that hands
free memory back to its host that took 2.2 s a GiB (ext4, Linux 6.18), where these take 0.4."""
VECTOR = 512
"""Parts in one call: IOV_MAX is 1024."""


class Disk:
    """Threads of one spool. ``directory`` is named in errors."""

    def __init__(
        self, directory: Path, patience_s: float = PATIENCE_S, sync_patience_s: float | None = None
    ) -> None:
        self.directory = directory
        self._calls = DiskThreads(THREADS, patience_s)
        self._syncs = DiskThreads(THREADS, sync_patience_s or max(SYNC_PATIENCE_S, patience_s))

    @property
    def hangs(self) -> bool:
        """Whether a call that was given up may still do something."""
        return self._calls.hangs or self._syncs.hangs

    async def run(
        self, work: Callable[[], T], action: str, *, syncs: bool = False,
        undo: Callable[[T], object] | None = None,
    ) -> T:  # fmt: skip
        """What ``work`` returns; a SpoolError, NoRoomError or SpoolLimitError that says that it was
        not possible to ``action``. Cancellation does not leave a call that has begun. ``undo`` gets
        what comes after it was given up."""
        threads = self._syncs if syncs else self._calls
        with failures(self.directory, action):
            return await threads.run(work, undo)


@contextmanager
def failures(directory: Path, action: str) -> Iterator[None]:
    """An OSError of the body becomes an error in words."""
    try:
        yield
    except OSError as error:
        raise in_words(directory, action, error) from error


def in_words(
    directory: Path, action: str, error: OSError
) -> SpoolError | NoRoomError | SpoolLimitError:
    """What an OSError of the spool's disk means to a person."""
    start = f"cannot {action}: the disk of {directory}"
    if error.errno == errno.ENOSPC:
        return NoRoomError(f"{start} is full", hint="free some space there, and save again")
    if error.errno == errno.EDQUOT:
        return SpoolLimitError(f"{start} gives no more to this user (its quota)")
    if error.errno == errno.EROFS:
        return SpoolError(f"{start} has become read-only", hint="look at dmesg, then remount it")
    if error.errno == errno.ETIMEDOUT:
        return SpoolError(f"{start} hangs")
    if error.errno == errno.ENOENT:
        return SpoolError(f"cannot {action}: {error.filename or directory} is gone")
    return SpoolError(f"{start} fails ({error.strerror or error})")


def fit_directory(directory: Path, *, any_disk: bool) -> None:
    """Make the spool's directory, private to this user, on a disk that is fit. Blocks; SetupError
    says why not."""
    hint = "choose another one with DMFS_STATE_DIR"
    try:
        make_private(directory)
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise SetupError(f"the spool {directory} is no directory but a link", hint=hint)
        if status.st_uid != os.geteuid():
            raise SetupError(f"the spool {directory} belongs to another user", hint=hint)
        if status.st_mode & 0o077:
            directory.chmod(0o700)
        descriptor = open_directory(directory)
        try:
            kind = filesystem_of(descriptor)
            read_only = bool(os.fstatvfs(descriptor).f_flag & os.ST_RDONLY)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SetupError(
            f"the spool {directory} cannot be made: {error.strerror or error}", hint=hint
        ) from error
    if read_only:
        raise SetupError(f"the spool {directory} is on a read-only file system", hint=hint)
    if any_disk:
        return
    if kind in IN_MEMORY:
        raise SetupError(
            f"the spool {directory} is in memory ({kind}): what is saved would not survive a"
            " restart", hint=hint,
        )  # fmt: skip
    if kind in FAR:
        raise SetupError(
            f"the spool {directory} is not on a disk of this machine ({kind})", hint=hint
        )


def open_directory(directory: Path) -> int:
    """A descriptor of it, never through a link. OSError."""
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)


def sync_directory(directory: Path) -> None:
    """Make its entries durable. Blocks; OSError."""
    descriptor = open_directory(directory)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_files(directory: Path) -> None:
    """Remove a draft's directory, which has no folders. What cannot be removed stays for the next
    start. Blocks."""
    with contextlib.suppress(OSError):
        for each in list(directory.iterdir()):
            each.unlink()
        directory.rmdir()


class OpenFiles:
    """Closes those that were used longest ago. Called in threads; files and snapshots are many."""

    def __init__(self, limit: int = OPEN_FILES, *, to_write: bool = True) -> None:
        self._limit, self.to_write = limit, to_write
        self._lock = threading.Lock()
        self._open: OrderedDict[Handle, None] = OrderedDict()

    def used(self, handle: Handle) -> None:
        """It was opened, or is used again."""
        with self._lock:
            self._open[handle] = None
            self._open.move_to_end(handle)
            idle = list(self._open)[: -self._limit] if len(self._open) > self._limit else []
        for each in idle:
            each.close(only_if_clean=True)

    def gone(self, handle: Handle) -> None:
        with self._lock:
            self._open.pop(handle, None)


class Handle:
    """A descriptor that is opened when it is needed, and never closed under a call that uses it:
    its number would be another file's by the time that a hung call goes on."""

    def __init__(self, path: Path, files: OpenFiles) -> None:
        self.path = path
        self._files = files
        self._lock = threading.Lock()
        self._fd = -1
        self._calls = 0
        self._closing = False
        self.unsynced = False
        """A failure of writing may not be reported to a descriptor that is opened later."""

    @contextmanager
    def used(self, *, create: bool = False) -> Iterator[int]:
        """The descriptor, in a thread. OSError."""
        with self._lock:
            if self._fd < 0:
                self._fd = _open(self.path, create=create, to_write=self._files.to_write)
            self._calls += 1
            self._closing = False
            fd = self._fd
        self._files.used(self)
        try:
            yield fd
        finally:
            with self._lock:
                self._calls -= 1
                if self._closing:
                    self._close()

    def peek(self, length: int, position: int) -> bytes | None:
        """Bytes that need no wait: the file is open, and they are in the kernel's memory. None
        where they are not, or not all."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._fd < 0:
                return None
            buffer = bytearray(length)
            done = os.preadv(self._fd, [buffer], position, os.RWF_NOWAIT)
        except OSError:  # EAGAIN; EOPNOTSUPP: this file system has no such call
            return None
        finally:
            self._lock.release()
        return bytes(buffer) if done == length else None

    def close(self, *, only_if_clean: bool = False) -> None:
        """Now, or when the last call under way ends. Does not wait."""
        if not self._lock.acquire(blocking=False):
            return  # it is just being opened or closed
        try:
            if not (only_if_clean and (self.unsynced or self._calls)):
                self._closing = True
                self._close()
        finally:
            self._lock.release()

    def _close(self) -> None:
        if self._fd >= 0 and not self._calls:
            os.close(self._fd)
            self._fd = -1
            self._files.gone(self)


def _open(path: Path, *, create: bool, to_write: bool) -> int:
    """Open a data file of ours; with ``create`` also make it and its directory. OSError."""
    flags = (os.O_RDWR if to_write else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW
    if create:
        try:
            path.parent.mkdir(mode=0o700)
        except FileExistsError:
            pass
        flags |= os.O_CREAT
    fd = os.open(path, flags, 0o600)
    status = os.fstat(fd)
    if status.st_uid != os.geteuid() or not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise OSError(1, f"{path} is not a file of ours")
    return fd


def write_all(fd: int, parts: Iterable[bytes], position: int) -> None:
    """All of it; OSError."""
    some: list[memoryview] = []
    length = 0
    for part in parts:
        for start in range(0, len(part), STEP_BYTES):
            view = memoryview(part)[start : start + STEP_BYTES]
            if some and (length + len(view) > STEP_BYTES or len(some) == VECTOR):
                position = _write(fd, some, position)
                some, length = [], 0
            some.append(view)
            length += len(view)
    if some:
        _write(fd, some, position)


def _write(fd: int, some: list[memoryview], position: int) -> int:
    """Where they end."""
    length = sum(map(len, some))
    done = os.pwritev(fd, some, position)
    if done < length:  # a disk about to be full: the rest meets its error
        rest = memoryview(b"".join(some))[done:]
        while rest:
            done = os.pwrite(fd, rest, position + length - len(rest))
            rest = rest[done:]
    return position + length
