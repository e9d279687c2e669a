"""Fixtures: a user of the command whose sign-in may write, with and without a mount."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Drive, Home
from tests.support.sample import RAW_SAMPLE, SAMPLE
from tests.write.conftest import WRITES

NUMBERS = itertools.count()


@pytest.fixture
def writer(calm: EmulatorProcess, tmp_path: Path) -> Home:
    """Without a mount."""
    return Home(tmp_path / "own", calm, WRITES)


@pytest.fixture
def mounted(make_drive: Callable[..., Drive], writer: Home) -> Drive:
    """The same user's drive, which may be changed."""
    return make_drive(home=writer)


class Folder:
    """A new folder of the sample project."""

    def __init__(self, emulator: EmulatorProcess) -> None:
        self.emulator = emulator
        self.name = f"commands {next(NUMBERS)}"
        emulator.change("add_folder", path=RAW_SAMPLE, name=self.name)
        emulator.reset()

    def path(self, name: str = "") -> str:
        """In the drive."""
        return f"/{SAMPLE}/{self.name}" + (f"/{name}" if name else "")

    def below(self, drive: Drive, name: str = "") -> Path:
        """Below a mountpoint."""
        return drive.point / self.path(name)[1:]

    def add(self, name: str, text: str) -> str:
        """A file that somebody else has made; its item id."""
        path = f"{RAW_SAMPLE}/{self.name}"
        made = self.emulator.change("add_item", path=path, name=name, text=text)
        return str(made["id"])

    def raw(self, name: str) -> str:
        """As the service names it."""
        return f"{RAW_SAMPLE}/{self.name}/{name}"

    def versions(self, name: str) -> list[str]:
        """The sha256 of each version that the service has, '' of a tombstone."""
        rows = self.emulator.timeline(path=self.raw(name))
        return [row["sha256"] if not row.get("deleted") else "" for row in rows]


@pytest.fixture
def folder(calm: EmulatorProcess) -> Folder:
    return Folder(calm)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
