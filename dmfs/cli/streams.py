"""stdin, stdout and stderr as they may be: closed, full, or of an encoding without our characters.

Names are UTF-8 on the wire, in the mount and in paths, so this process reads and writes UTF-8
whatever the locale says (Python's UTF-8 mode, the default from 3.15 on). Bytes that are none come
back as they were. Only a terminal gets what it can show, with a ``?`` for the rest, as ``ls -q``.

Light to import: every command begins with it.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

CANNOT_WRITE = frozenset({errno.EBADF, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def make_usable() -> None:
    """No output may fail for a name.

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
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is None:
            continue  # a test's
        if stream.isatty():
            reconfigure(encoding=_terminal_encoding(stream.encoding), errors="replace")
        else:
            reconfigure(errors="surrogateescape" if _is_utf8() else "replace")


def begin_in_utf8(arguments: Sequence[str]) -> None:
    """Begin the process anew in Python's UTF-8 mode where the locale is of another encoding."""
    if not _is_utf8():
        words = ["-X", "utf8", "-P", "-m", "dmfs", *arguments]
        os.execv(sys.executable, [sys.executable, *words])


def why_not_written(error: OSError) -> str:
    """What to say of a failed write to stdout; '' if this was another failure, or if the reader of
    a pipe has gone, which is no news."""
    if error.errno in CANNOT_WRITE and error.filename is None:
        return f"stdout cannot be written: {os.strerror(error.errno)}"
    return ""


def unwritten(group: BaseExceptionGroup[BaseException]) -> OSError | None:
    """The failed write to stdout that ended tasks, where nothing else did."""
    lost, others = group.split(
        lambda each: (
            isinstance(each, OSError)
            and (isinstance(each, BrokenPipeError) or bool(why_not_written(each)))
        )
    )
    first: BaseException | None = None if others is not None else lost
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if isinstance(first, OSError) else None


def give_up_stdout() -> None:
    """Python flushes what is left when it ends: that must not fail once more."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError:
        pass


def _is_utf8() -> bool:
    return sys.getfilesystemencoding() == "utf-8" or bool(sys.flags.utf8_mode)


def _terminal_encoding(now: str) -> str:
    if not sys.flags.utf8_mode:
        return now
    import locale  # 2 ms, and as a rule the locale is UTF-8 anyway

    return locale.getencoding()
