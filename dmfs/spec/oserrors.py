"""The one place where a domain error becomes the OSError of Python, for whoever reads without a
mount."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dmfs.errors import DriveError


def as_oserror(error: DriveError, path: str = "") -> OSError:
    """The OSError of the same errno: FileNotFoundError, PermissionError and so on."""
    words = f"{error.message} ({error.hint})" if error.hint else error.message
    return OSError(error.errno, words, path) if path else OSError(error.errno, words)


@contextmanager
def oserrors(path: str = "") -> Iterator[None]:
    """DriveErrors of the body come out as OSErrors."""
    try:
        yield
    except DriveError as error:
        failed = as_oserror(error, path)
        # Engines pickle an error with its context, whose frames are those of the loop: too many for
        # Dask, where a bare Exception with the error's repr arrived.
        try:
            raise failed
        finally:
            failed.__context__ = None
