"""Which files dmfs has for a desktop, and where each belongs below ``/usr/share`` or
``~/.local/share``. Packages and ``dmfs desktop install`` both take this list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHARE = HERE / "share"
"""Laid out as ``/usr/share``."""
MENU = HERE / "file_manager_menu.py"
MENU_PLACES = tuple(
    f"{program}-python/extensions/dmfs_menu.py" for program in ("nautilus", "nemo", "caja")
)
"""One file under three names: it looks which file manager it is loaded by."""
RUNNABLE = ("kio/servicemenus/",)
"""KDE obeys a service menu of a person only if its file is executable."""


@dataclass(frozen=True, slots=True)
class ShareFile:
    """One file to be installed."""

    name: str
    """Below the share directory: ``mime/packages/dmfs.xml``."""
    source: Path
    mode: int = 0o644
    """Permission bits: 0o644, or 0o755."""


def share_files() -> list[ShareFile]:
    """All files, by name."""
    sources = {str(path.relative_to(SHARE)): path for path in SHARE.rglob("*") if path.is_file()}
    sources |= dict.fromkeys(MENU_PLACES, MENU)
    return [
        ShareFile(name, source, 0o755 if name.startswith(RUNNABLE) else 0o644)
        for name, source in sorted(sources.items())
        if "__pycache__" not in name
    ]
