"""The cache directory is ours alone: what others could write there, we would serve. Floor 2."""

from __future__ import annotations

import os
from pathlib import Path

from dmfs.errors import SetupError


def own_cache_directory(path: Path) -> None:
    """A private directory of ours; SetupError with the remedy where that cannot be."""
    hint = "choose another one with DMFS_CACHE_DIR"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError as error:
        raise SetupError(
            f"the cache directory {path} cannot be made: {error.strerror}", hint=hint
        ) from None
    if status.st_uid != os.geteuid():
        raise SetupError(f"the cache directory {path} belongs to another user", hint=hint)
    if not os.access(path, os.W_OK | os.X_OK):
        raise SetupError(f"the cache directory {path} is not writable", hint=hint)
    if status.st_mode & 0o077:
        path.chmod(0o700)  # what others could write here we would serve
