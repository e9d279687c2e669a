"""Running modules of this checkout with this Python."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def python(module: str) -> list[str]:
    return [sys.executable, "-P", "-m", module]


def environment(**more: str) -> dict[str, str]:
    """Ours, with this checkout first on the path and nothing of the user's own dmfs.

    ``BENCH_SRC`` (``--src``) names another checkout's ``src``: the dmfs to be measured.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DMFS_")}
    source = os.environ.get("BENCH_SRC", ROOT / "src")
    return kept | {"PYTHONPATH": f"{source}{os.pathsep}{ROOT}"} | more
