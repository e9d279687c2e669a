"""The file of a sign-in: private, whole or not at all, one writer at a time. Blocking.

A write is prepared before the refresh token is spent: a full or read-only disk then costs an error
message, not the session.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

from dmfs.auth.tokens import login_hint
from dmfs.errors import SetupError, SignedOutError
from dmfs.system.private_files import own_state_directory, private_directory

SIZE_MAX_BYTES = 256 * 1024
"""Tokens have a few kilobytes; the service may make them longer."""
ROOM_BYTES = 16384
Stamp = tuple[int, int, int]
"""Inode, time of change and size: differs after each write."""


class TokenFile:
    """``<state_dir>/tokens/<profile>.json`` (0600, in a directory 0700) and its lock beside it."""

    def __init__(self, state_dir: Path, profile: str) -> None:
        self.directory = state_dir / "tokens"
        self.path = self.directory / f"{profile}.json"
        self._lock_path = self.directory / f"{profile}.lock"
        # one per profile, not per process: only the owner of the lock writes
        self._login = login_hint(profile)
        self._next_path = self.directory / f"{profile}.next"

    def stamp(self) -> Stamp | None:
        """Cheap enough for every request: one stat."""
        try:
            status = self.path.stat(follow_symlinks=False)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def read(self) -> str | None:
        """The text, None if there is none. SignedOutError: not private, not ours, not readable."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SignedOutError(
                f"the sign-in file {self.path} cannot be read: {error.strerror}",
                hint=f"remove it and {self._login} again",
            ) from None
        with os.fdopen(descriptor, "rb") as file:
            self._check(os.fstat(file.fileno()))
            return file.read(SIZE_MAX_BYTES).decode("utf-8", "replace")

    def _check(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise SignedOutError(
                f"the sign-in file {self.path} is not a file of yours",
                hint=f"remove it and {self._login} again",
            )
        if status.st_mode & 0o077:
            raise SignedOutError(
                f"the sign-in file {self.path} is readable by others, so its tokens may be known",
                hint=f"dmfs logout, then {self._login} again (or chmod 600 if you trust them all)",
            )

    def try_lock(self) -> int | None:
        """A descriptor that owns the lock while it is open, None if another one has it.

        The kernel releases the lock of a process that dies, however it dies.
        """
        self._make_directory()
        try:
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._not_writable(error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return None
            raise self._not_writable(error) from None
        return descriptor

    def prepare(self) -> int:
        """Open the next version with room for it on the disk. SetupError if there is none."""
        self._make_directory()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._next_path.unlink(missing_ok=True)  # of a process that died here
            descriptor = os.open(self._next_path, flags, 0o600)
            try:
                # not fallocate: some filesystems only promise
                _write_all(descriptor, b" " * ROOM_BYTES)
                os.fsync(descriptor)
                os.lseek(descriptor, 0, os.SEEK_SET)
            except OSError:
                os.close(descriptor)
                raise
        except OSError as error:
            raise self._not_writable(error) from None
        return descriptor

    def commit(self, descriptor: int, text: str, lock: int | None = None) -> None:
        """Make ``text`` the content, durably: when this returns, no crash can undo it. Closes
        ``lock`` at the end, however late that is."""
        try:
            # unbuffered: once written, the new token is in the kernel and survives kill -9
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                _write_all(file.fileno(), text.encode())
                os.fsync(file.fileno())
                file.truncate()
                os.fsync(file.fileno())
            self._next_path.replace(self.path)
            self._sync_directory()
        except OSError as error:
            raise self._not_writable(error) from None
        finally:
            if lock is not None:
                os.close(lock)

    def recover(self, is_whole: Callable[[str], bool]) -> bool:
        """Finish the write of a process that died in it, if it had come far enough.

        Only under the lock. Without this, a death between write and rename would lose the token.
        """
        try:
            text = self._next_path.read_text("utf-8", "replace")
        except OSError:
            return False
        if not is_whole(text):
            return False
        try:
            self._next_path.replace(self.path)
            self._sync_directory()
        except OSError as error:
            raise self._not_writable(error) from None
        return True

    def discard(self, descriptor: int) -> None:
        """Undo ``prepare``."""
        with contextlib.suppress(OSError):
            os.close(descriptor)
        with contextlib.suppress(OSError):
            self._next_path.unlink()

    def remove(self) -> None:
        """Remove the sign-in. The lock's file stays: other processes may wait for it."""
        try:
            for path in (self._next_path, self.path):
                path.unlink(missing_ok=True)
            if self.directory.exists():
                self._sync_directory()
        except OSError as error:
            raise self._not_writable(error) from None

    def _make_directory(self) -> None:
        own_state_directory(self.directory.parent)
        try:
            private_directory(self.directory)
        except OSError as error:
            raise self._not_writable(error) from None

    def _sync_directory(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _not_writable(self, error: OSError) -> SetupError:
        return SetupError(
            f"the sign-in cannot be kept in {self.directory}: {error.strerror}",
            hint="free some space there, or choose another place with DMFS_STATE_DIR",
        )


def _write_all(descriptor: int, data: bytes) -> None:
    """All of it: a write may be cut short where a disk or a quota ends."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
