"""Where desktops look for files of data: the XDG base directory specification."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

OF_ALL_USERS = "/usr/local/share:/usr/share"
DIRECTORIES_MAX = 16


def data_home(environ: Mapping[str, str]) -> Path | None:
    """A person's own; None for one who has no home. What is relative is ignored, as the
    specification wants it."""
    data, home = environ.get("XDG_DATA_HOME", ""), environ.get("HOME", "")
    if data.startswith("/"):
        return Path(data)
    return Path(home) / ".local/share" if home.startswith("/") else None


def data_dirs(environ: Mapping[str, str]) -> list[Path]:
    """Those of all users, where packages install, the first one first."""
    words = (environ.get("XDG_DATA_DIRS") or OF_ALL_USERS).split(":")
    return [Path(word) for word in words[:DIRECTORIES_MAX] if word.startswith("/")]
