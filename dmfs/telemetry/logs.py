"""Set-up of logging. One logger per module; records go to stderr (or its journal), or to a file."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import stat
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

from dmfs.errors import SetupError
from dmfs.names import printable
from dmfs.system.private_files import make_private

LEVELS = ("debug", "info", "warning", "error")
_FILE_BYTES = 10 * 1024 * 1024
_FILES = 3
_PIPE_BYTES = 4000
"""A writable pipe takes PIPE_BUF (4096) bytes without blocking; encoding may add some to ASCII."""
_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class _PrivateFile(RotatingFileHandler):
    """A log that only its owner can read, also one that was there before: names of models are
    confidential."""

    def __init__(self, file: Path, **more: Any) -> None:
        for number in range(1, _FILES + 1):
            with contextlib.suppress(OSError):
                _narrow(os.open(f"{file}.{number}", _LOOK))
        super().__init__(file, **more)

    def _open(self):  # type: ignore[no-untyped-def]  # typeshed's type has a private name
        return open(
            self.baseFilename,
            self.mode,
            encoding=self.encoding,
            opener=_private,
            errors=self.errors,
        )


_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _private(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    _narrow(descriptor, close=False)
    return descriptor


def _narrow(descriptor: int, *, close: bool = True) -> None:
    """Take others' access to a file of this user away; a device, or another's file, stays."""
    try:
        status = os.fstat(descriptor)
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        if ours and status.st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        if close:
            os.close(descriptor)


class _NonBlocking(logging.StreamHandler):  # type: ignore[type-arg]  # not generic at run time
    """Drops and counts lines while stderr is a full pipe or a stopped terminal: a log that blocks
    would block the loop that answers the kernel."""

    _dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        if _would_block(self.stream):
            self._dropped += 1
            return
        if self._dropped:
            record.msg = f"({self._dropped} lines were lost: nobody read them) {record.msg}"
            self._dropped = 0
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record)[:_PIPE_BYTES]


def _would_block(stream: TextIO) -> bool:
    """Whether a write may block: a pipe is writable if it takes ``PIPE_BUF`` bytes."""
    try:
        descriptor = stream.fileno()
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        return not select.select([], [descriptor], [], 0)[1]
    except (OSError, ValueError):
        return False  # no descriptor (tests), or a number that select does not take


def stream_descriptor() -> int:
    """The descriptor of the log; stderr's if the log has none."""
    for handler in logging.getLogger("dmfs").handlers:
        if isinstance(handler, logging.StreamHandler):
            try:
                return int(handler.stream.fileno())
            except (AttributeError, OSError, ValueError):
                continue
    return sys.__stderr__.fileno() if sys.__stderr__ is not None else 2


class _OneLine(logging.Formatter):
    """Replaces control characters: a name must not control a terminal or forge a second record."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        text = super().formatException(ei)
        return "\n".join(map(printable, text.split("\n")))


def set_up_logging(level: str, file: Path | None) -> None:
    """Send the records of dmfs to ``file``, or to stderr. SetupError if the file does not open."""
    handler: logging.Handler
    if file is None:
        handler = _NonBlocking()
    else:
        try:
            make_private(file.parent)  # one that is there is often not our own
            handler = _PrivateFile(
                file,
                maxBytes=_FILE_BYTES,
                backupCount=_FILES,
                encoding="utf-8",
                errors="backslashreplace",
            )
        except OSError as error:
            raise SetupError(f"the log file {file} cannot be written: {error.strerror}") from None
    handler.setFormatter(_OneLine(_FORMAT))
    root = logging.getLogger("dmfs")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(level.upper())
    # httpx and httpcore log URLs, also signed ones: silence them at every level
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
