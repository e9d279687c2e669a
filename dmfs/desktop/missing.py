"""Which programs of this machine the desktop's files would need, and are not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

LIBRARIES = Path("/usr")
BINDINGS = {
    "nautilus": "python3-nautilus or nautilus-python",
    "nemo": "nemo-python or python3-nemo",
    "caja": "python3-caja or python-caja",
}
"""File managers, and the package by which each loads extensions in Python."""


def missing(
    environ: Mapping[str, str], which: Callable[[str], str | None], libraries: Path = LIBRARIES
) -> list[str]:
    """In words, with the package. Only of file managers that are installed."""
    found = []
    if which("update-mime-database") is None:
        found.append("shared-mime-info, without which no file manager knows the types")
    if which("getfattr") is None and which("python3") is None:  # the thumbnailer takes either
        found.append("attr, for pictures of models")
    for program, package in BINDINGS.items():
        if which(program) is not None and not _has_binding(program, libraries):
            found.append(f"{package}, for menus and emblems in {program.capitalize()}")
    home = environ.get("HOME", "")
    if which("dmfs") is None and not (home and Path(home, ".local/bin/dmfs").exists()):
        found.append("dmfs on PATH: menus run the command `dmfs`")
    return found


def _has_binding(program: str, libraries: Path) -> bool:
    """Such as ``/usr/lib/x86_64-linux-gnu/nautilus/extensions-4/libnautilus-python.so``."""
    inner = f"{program}/extensions-*/lib{program}-python.so"
    return any(
        next(libraries.glob(f"{place}/{inner}"), None) is not None
        for place in ("lib", "lib64", "lib/*-linux-*")
    )
