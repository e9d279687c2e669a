"""Where logs go. Floor 4. One logger per module; stderr (or the journal behind it), or a file."""

from __future__ import annotations

import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path

from dmfs.errors import SetupError

LEVELS = ("debug", "info", "warning", "error")
_FILE_BYTES = 10 * 1024 * 1024
_FILES = 3
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


class _OneLine(logging.Formatter):
    """Control characters of names never reach a terminal or forge a second record."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = "".join(c if c.isprintable() else "�" for c in record.message)
        return super().formatMessage(record)


def set_up_logging(level: str, file: Path | None) -> None:
    """Send our records to ``file``, else to stderr. SetupError if the file cannot be opened."""
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler()
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
