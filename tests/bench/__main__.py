"""``python -m tests.bench``: starts over from a copy, so that a run measures one state.

Somebody may edit the checkout meanwhile; a run takes long, and its processes start all the time.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

_COPY = "BENCH_COPY"

_FILES = (
    "tests/__init__.py", "tests/support/__init__.py", "tests/support/baddisk.py",
    "tests/emulator/__init__.py", "tests/emulator/client.py", "tests/emulator/writer.py",
)  # fmt: skip
"""Beside the trees."""


def _start_over() -> None:
    root = Path(__file__).resolve().parents[2]
    copy = Path(tempfile.mkdtemp(prefix="dmfs-bench-source-"))
    ignored = shutil.ignore_patterns("__pycache__", "test_*.py")
    for name in ("dmfs", "tests/bench"):
        shutil.copytree(root / name, copy / name, ignore=ignored)
    for name in ("tests/support", "tests/emulator"):
        (copy / name).mkdir()
    for name in _FILES:
        shutil.copy(root / name, copy / name)
    os.environ.update({_COPY: str(copy), "PYTHONPATH": str(copy)})
    # -P: not the modules of the directory that we happen to stand in.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "tests.bench", *sys.argv[1:]])


def _measure() -> int:
    from tests.bench.cli import main

    try:
        return main(sys.argv[1:])
    finally:
        if "BENCH_PASS" not in os.environ:  # a pass (``passes``) runs in its parent's copy
            shutil.rmtree(os.environ[_COPY], ignore_errors=True)


if __name__ == "__main__":
    if _COPY not in os.environ:
        _start_over()
    sys.exit(_measure())
