"""Drives as filesystems of fsspec, over the emulator of all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmfs.emulator.process import EmulatorProcess
from dmfs.spec.filesystem import DmfsFileSystem

HUB = "/Emulated Builders ／ Headquarters"
FILES = f"{HUB}/Sample Project/Project Files"
BENCH = "/Bench/Bench Project/Project Files"
SMALL = f"{BENCH}/small"

Open = Callable[..., DmfsFileSystem]


def environment_of(emulator: EmulatorProcess, directory: Path) -> dict[str, str]:
    """What a program needs to sign in, with its files below a directory."""
    inherited = {key: text for key, text in os.environ.items() if not key.startswith("DMFS_")}
    return inherited | {
        "HOME": str(directory),
        "DMFS_API_URL": emulator.api_url,
        "DMFS_CLIENT_ID": emulator.client_id,
        "DMFS_CLIENT_SECRET": emulator.client_secret,
        "DMFS_CACHE_DIR": str(directory / "cache"),
        "DMFS_STATE_DIR": str(directory / "state"),
    }


@pytest.fixture
def open_fs(
    emulator: EmulatorProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Open]:
    """``open_fs(**settings)``; each has its own object."""
    for key, text in environment_of(emulator, tmp_path).items():
        monkeypatch.setenv(key, text)
    made: list[DmfsFileSystem] = []

    def make(**settings: Any) -> DmfsFileSystem:
        settings = {"rates": "off", **settings}
        fs = DmfsFileSystem(settings=settings, skip_instance_cache=True)
        made.append(fs)
        return fs

    yield make
    for fs in made:
        fs.close()


@pytest.fixture
def fs(open_fs: Open) -> DmfsFileSystem:
    return open_fs()
