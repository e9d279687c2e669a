"""Running modules of this checkout with this Python."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def python(module: str) -> list[str]:
    return [sys.executable, "-P", "-m", module]


def environment(**more: str) -> dict[str, str]:
    """Ours, with this checkout first on the path and nothing of the user's own dmfs."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DMFS_")}
    return kept | {"PYTHONPATH": str(ROOT)} | more


def environment_of_dmfs(**more: str) -> dict[str, str]:
    """The same with the dmfs to be measured: ``BENCH_SRC`` (``--src``) names the folder that holds
    the package, another checkout's."""
    return environment() | {"PYTHONPATH": os.environ.get("BENCH_SRC", str(ROOT))} | more
