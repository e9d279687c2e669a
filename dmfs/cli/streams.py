"""stdin, stdout and stderr as they may be: closed, full, or of an encoding without our characters.

Light to import: every command begins with it.
"""

from __future__ import annotations

import errno
import os
import sys

CANNOT_WRITE = frozenset({errno.EBADF, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def make_usable() -> None:
    """No output may fail for a name: what the terminal's encoding lacks shows as `?`. (What goes
    into a pipe as data is UTF-8 wherever we are.)

    A standard descriptor that is closed is occupied: else the next file that is opened, such as the
    cache's index, would get its number and what we print. Writes to it still fail.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # the lowest free number, so this very one; in the mode that is of no use
            os.open(os.devnull, os.O_RDONLY if number else os.O_WRONLY)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")


def why_not_written(error: OSError) -> str:
    """What to say of a failed write to stdout; '' if this was another failure, or if the reader of
    a pipe has gone, which is no news."""
    if error.errno in CANNOT_WRITE and error.filename is None:
        return f"stdout cannot be written: {os.strerror(error.errno)}"
    return ""


def give_up_stdout() -> None:
    """Python flushes what is left when it ends: that must not fail once more."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError:
        pass
