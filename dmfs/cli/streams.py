"""Text that comes in and goes out: no name may make a command fail, whatever the locale.

Names are UTF-8 on the wire, in the mount and in paths, so this process reads and writes UTF-8
whatever the locale says (Python's UTF-8 mode, the default from 3.15 on). Bytes that are none come
back as they were. Only a terminal gets what it can show, with a ``?`` for the rest, as ``ls -q``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def set_up_streams(arguments: Sequence[str]) -> None:
    """First of all in a command: may begin the process anew, in UTF-8 mode."""
    _open_standard_descriptors()
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode:
        words = ["-X", "utf8", "-P", "-m", "dmfs", *arguments]
        os.execv(sys.executable, [sys.executable, *words])
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by who called us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif not hasattr(stream, "reconfigure"):
            continue  # a test's
        elif stream.isatty():
            stream.reconfigure(encoding=_terminal_encoding(stream.encoding), errors="replace")
        else:
            stream.reconfigure(errors="surrogateescape")


def _open_standard_descriptors() -> None:
    """A closed one would become the next file that is opened: ``cat`` would write into it."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one


def _terminal_encoding(now: str) -> str:
    if not sys.flags.utf8_mode:
        return now
    import locale  # 2 ms, and as a rule the locale is UTF-8 anyway

    return locale.getencoding()
