"""One keeper for all mounts and processes of a person: a lock that its process's end gives back."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from dmfs.system.private_files import make_private


class KeeperLock:
    """Of one sign-in. Both methods block; OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> bool:
        """Whether this is the keeper from now on."""
        if self._descriptor >= 0:
            return True
        make_private(self._path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Another one may begin."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
