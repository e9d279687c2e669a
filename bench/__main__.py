"""``python -m bench``: starts over from a copy of the source, so that a run measures one state.

Somebody may edit the checkout meanwhile; a run takes long, and its processes start all the time.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

_COPY = "BENCH_COPY"


def _start_over() -> None:
    root = Path(__file__).resolve().parent.parent
    copy = Path(tempfile.mkdtemp(prefix="dmfs-bench-source-"))
    for name in ("src", "bench"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / name, copy / name, ignore=ignored)
    path = os.pathsep.join([str(copy / "src"), str(copy)])
    os.environ.update({_COPY: str(copy), "PYTHONPATH": path})
    # -P: not the modules of the directory that we happen to stand in.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "bench", *sys.argv[1:]])


def _measure() -> int:
    from bench.cli import main  # noqa: PLC0415 - only from the copy

    try:
        return main(sys.argv[1:])
    finally:
        shutil.rmtree(os.environ[_COPY], ignore_errors=True)


if __name__ == "__main__":
    if _COPY not in os.environ:
        _start_over()
    sys.exit(_measure())
