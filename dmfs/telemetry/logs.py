"""Where logs go. Floor 4. One logger per module; stderr (or the journal behind it), or a file."""

from __future__ import annotations

import logging
import os
import select
import stat
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

from dmfs.errors import SetupError

LEVELS = ("debug", "info", "warning", "error")
_FILE_BYTES = 10 * 1024 * 1024
_FILES = 3
_PIPE_BYTES = 4000
"""What a writable pipe takes without blocking (PIPE_BUF), less what encoding adds to ASCII."""
_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class _PrivateFile(RotatingFileHandler):
    """A log that only its owner can read: paths of models are nobody else's business."""

    def _open(self):  # type: ignore[no-untyped-def]
        return open(
            self.baseFilename,
            self.mode,
            encoding=self.encoding,
            opener=_private,
            errors=self.errors,
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class _Patient(logging.StreamHandler):  # type: ignore[type-arg]
    """stderr that may be a pipe with nobody at its end, or a stopped terminal: then lines are
    dropped and counted, for a log that blocks would block the loop that answers the kernel."""

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
    """A pipe is writable when it takes ``PIPE_BUF`` bytes at once."""
    try:
        descriptor = stream.fileno()
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        return not select.select([], [descriptor], [], 0)[1]
    except (OSError, ValueError):
        return False  # no descriptor at all (tests), or beyond what select takes


def stream_descriptor() -> int:
    """The descriptor that the log is written to, stderr's where there is none."""
    for handler in logging.getLogger("dmfs").handlers:
        if isinstance(handler, logging.StreamHandler):
            try:
                return int(handler.stream.fileno())
            except (AttributeError, OSError, ValueError):
                continue
    return sys.__stderr__.fileno() if sys.__stderr__ is not None else 2


class _OneLine(logging.Formatter):
    """Control characters of names never reach a terminal or forge a second record."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = "".join(c if c.isprintable() else "�" for c in record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        text = super().formatException(ei)
        return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def set_up_logging(level: str, file: Path | None) -> None:
    """Send our records to ``file``, else to stderr. SetupError if the file cannot be opened."""
    handler: logging.Handler
    if file is None:
        handler = _Patient()
    else:
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
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
    ours = logging.getLogger("dmfs")
    ours.handlers[:] = [handler]
    ours.propagate = False
    ours.setLevel(level.upper())
    # httpx and httpcore log URLs, signed ones included: they stay silent whatever the level
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
