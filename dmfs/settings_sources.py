"""The settings of a process: options ← environment ← configuration file, which is read here."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dmfs.config import DECLARED, Settings, default_paths, load_settings
from dmfs.errors import SetupError

CONFIG_MAX_BYTES = 1024 * 1024


def config_path(environ: Mapping[str, str], given: str | Path | None = None) -> Path:
    """The configuration file, there or not."""
    return Path(given or default_paths(environ)["config"])


def read_sources(
    environ: Mapping[str, str], options: Mapping[str, str], given: str | Path | None = None
) -> tuple[Settings, str]:
    """All sources merged, with absolute paths, and the text of the file. ``given``: the file that
    an option names. SetupError or UsageError says what is wrong."""
    path = config_path(environ, given)
    text = ""
    try:
        text = _read(path)
    except FileNotFoundError:
        if given or environ.get("DMFS_CONFIG"):
            raise SetupError(f"the configuration file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"the configuration file {path} cannot be read: {error}") from None
    settings = load_settings(text, environ, options, toml_name=str(path))
    return _with_absolute_paths(settings), text


def _read(path: Path) -> str:
    """The text of a configuration file, as editors of other systems save it too (with a BOM).
    OSError, UnicodeDecodeError; EFBIG for what never ends, such as a device."""
    with path.open("rb") as file:
        content = file.read(CONFIG_MAX_BYTES + 1)
    if len(content) > CONFIG_MAX_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content.decode("utf-8-sig")


def _with_absolute_paths(settings: Settings) -> Settings:
    """A process may change its working directory; its files must stay the same ones."""
    changes: dict[str, Any] = {}
    for key, declared in DECLARED.items():
        value = getattr(settings, key)
        # "~/…" is expanded where the file is opened
        if declared.type.is_path and value and not str(value).startswith(("~", "/")):
            # not abspath: it would resolve ".." behind a symbolic link in another way than Linux
            changes[key] = type(value)(Path.cwd() / value)
    return replace(settings, **changes)
