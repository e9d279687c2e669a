"""A folder of a real mount for each test, and what the service has of it afterwards."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Drive, wait_until
from tests.support.sample import RAW_SAMPLE, SAMPLE

SEEN_S = 20.0
"""How long an upload may take on a busy machine."""
LOST_S = 75.0
"""After a kill: uploads whose answer was lost look for 40 s what came of it."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Folder:
    """One folder, in the mount and on the service."""

    drive: Drive
    emulator: EmulatorProcess
    path: Path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @cached_property
    def id(self) -> str:
        return os.getxattr(self.path, "user.dmfs.folder_id").decode()

    def names(self) -> list[str]:
        """What a user sees here."""
        return sorted(each.name for each in self.path.iterdir())

    @property
    def service_path(self) -> str:
        """For orders to the emulator."""
        return f"{RAW_SAMPLE}/{self.path.relative_to(self.drive.path(SAMPLE))}"

    def ids(self) -> dict[str, str]:
        """Name → the item's id, of what the service shows in this folder."""
        return {item["name"]: item["id"] for item in self._items(self.emulator.writes())}

    def sums(self, writes: dict[str, Any] | None = None) -> dict[str, list[str]]:
        """Name → the sha256 of each version. ``writes``: an answer that is at hand."""
        return {
            item["name"]: [version["sha256"] for version in item["versions"]]
            for item in self._items(writes or self.emulator.writes())
        }

    def _items(self, writes: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            item for item in writes["items"] if item["folder"] == self.id and not item["hidden"]
        ]

    def comes_to(self, **wanted: list[bytes]) -> None:
        """Wait until the service has these files of these versions, and nothing else."""
        self.comes_to_all(wanted)

    def comes_to_all(self, wanted: dict[str, list[bytes]]) -> None:
        sums = {name: [sha256(each) for each in versions] for name, versions in wanted.items()}
        try:
            wait_until(lambda: self.sums() == sums, SEEN_S)
        except AssertionError:
            assert self.sums() == sums, self.drive.log()[-3000:]

    def ends_as(self, name: str, wanted: bytes, *before: bytes) -> None:
        """Wait until the service has this file alone, of this newest version. Those of ``before``
        may have gone up as well: on a busy machine more than ``upload_delay`` passes between two
        steps of a test."""
        allowed = {sha256(each) for each in before}

        def is_so() -> bool:
            *earlier, newest = self.sums().get(name, [""])
            return newest == sha256(wanted) and {*earlier} <= allowed and len(self.sums()) == 1

        wait_until(is_so, SEEN_S, f"{name} as the newest version: {self.sums()}")

    def write(self, name: str, data: bytes) -> Path:
        (self.path / name).write_bytes(data)
        return self.path / name
