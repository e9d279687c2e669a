"""Running modules of this checkout with this Python."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def python(module: str) -> list[str]:
    return [sys.executable, "-P", "-m", module]


def environment(**more: str) -> dict[str, str]:
    """Ours, with this checkout first on the path and nothing of the user's own dmfs.

    Compiled code may be written, as on a user's machine: without it each start compiles dmfs anew.
    """
    ours = {key: value for key, value in os.environ.items() if not key.startswith("DMFS_")}
    ours.pop("PYTHONDONTWRITEBYTECODE", None)
    return ours | {"PYTHONPATH": str(ROOT)} | more


def package_root(directory: Path) -> Path:
    """The folder to import another checkout's dmfs from: its root, or ``src`` in older ones."""
    for root in (directory, directory / "src"):
        if (root / "dmfs" / "__main__.py").exists():
            return root.resolve()
    raise SystemExit(f"{directory} has no package dmfs, nor has its src")


def environment_of_dmfs(**more: str) -> dict[str, str]:
    """The same with the dmfs to be measured: ``BENCH_SRC`` is the ``package_root`` of ``--src``."""
    return environment() | {"PYTHONPATH": os.environ.get("BENCH_SRC", str(ROOT))} | more
