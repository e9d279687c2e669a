"""Where the data of a run lie: made in memory when they fit, caches on a real disk."""

from __future__ import annotations

import shutil
import tempfile
from copy import copy
from pathlib import Path
from typing import Self

from tests.bench.machine import available_bytes

_SHM = Path("/dev/shm")


class Places:
    """``disk`` for caches, logs and mount points; ``memory`` for what servers serve."""

    def __init__(self, disk: Path, needed_bytes: int) -> None:
        self.disk = Path(tempfile.mkdtemp(prefix="dmfs-bench-", dir=disk))
        self.in_memory = (
            _SHM.is_dir()
            and shutil.disk_usage(_SHM).free > needed_bytes
            and available_bytes() > 2 * needed_bytes
        )
        self.memory = (
            Path(tempfile.mkdtemp(prefix="dmfs-bench-", dir=_SHM))
            if self.in_memory
            else self.disk / "served"
        )
        self.memory.mkdir(exist_ok=True)
        self._made = 0

    def fresh(self, name: str) -> Path:
        """A new directory on the disk."""
        self._made += 1
        path = self.disk / f"{self._made:04d}-{name}"
        path.mkdir()
        return path

    def on(self, disk: Path) -> Self:
        """The same with another disk, which is its owner's to clean up."""
        twin = copy(self)
        twin.disk = disk
        return twin

    def close(self) -> None:
        for path in (self.disk, self.memory):
            shutil.rmtree(path, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
