"""Directories that only their owner can read and write, and whether a lock in one is held."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from dmfs.errors import SetupError


def private_directory(path: Path) -> None:
    """Make sure that ``path`` is a directory of this user with mode 0700, with its parents.

    OSError if that fails; EPERM if it belongs to another user. Narrows a wider mode: dmfs trusts
    what it reads there, so other users must not write there.
    """
    make_private(path)
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "belongs to another user", str(path))
    if status.st_mode & 0o077:
        path.chmod(0o700)


def make_private(path: Path) -> None:
    """Make a directory and what is missing above it, each with mode 0700 whatever the umask
    (``Path.mkdir`` leaves parents to the umask). One that is there stays as it is. OSError."""
    try:
        path.mkdir(mode=0o700)
    except FileNotFoundError:
        make_private(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        if not path.is_dir():
            raise


def is_locked(path: Path) -> bool:
    """Whether a process has a lock file's flock; False where that cannot be told. Those who look
    have it for a moment, shared, so that two do not see each other. Blocks."""
    import fcntl  # noqa: PLC0415 - a library to load, and `dmfs help` looks at no lock

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def own_state_directory(path: Path) -> None:
    """Make the state directory, or one in it, or narrow it to mode 0700 if it is this user's.

    One of another user's (the system's) stays as it is: what is private in it has a directory of
    its own, and ``dmfs doctor`` tells. One that cannot be made is the affair of what needs it.
    """
    with contextlib.suppress(OSError):
        make_private(path)
        status = path.stat()
        if status.st_uid == os.geteuid() and status.st_mode & 0o077:
            path.chmod(0o700)


def own_cache_directory(path: Path) -> None:
    """Make a private directory for the cache; SetupError with the remedy if that fails."""
    hint = "choose another one with DMFS_CACHE_DIR"
    try:
        private_directory(path)
    except OSError as error:
        reason = (
            "belongs to another user"
            if error.errno == errno.EPERM and error.filename == str(path) and path.exists()
            else f"cannot be made: {error.strerror}"
        )
        raise SetupError(f"the cache directory {path} {reason}", hint=hint) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise SetupError(f"the cache directory {path} is not writable", hint=hint)
