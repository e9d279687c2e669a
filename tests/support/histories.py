"""The versions of items as the emulator's world has them, and where they show on a drive."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from dmfs.control.cards import stem_of
from dmfs.control.client import stream
from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Drive
from tests.support.oracle import time_ns

DELETED = "versions:autodesk.core:Deleted"


class Version(NamedTuple):
    """One version with bytes, of a file that shows."""

    folder: str
    """Path in the drive."""
    name: str
    """Of its item, today."""
    facts: dict[str, Any]
    is_tip: bool

    @property
    def number(self) -> int:
        return int(self.facts["number"])

    @property
    def storage(self) -> str:
        return str(self.facts["storage"])

    @property
    def mtime_ns(self) -> int:
        return time_ns(self.facts["createTime"]) or 0

    @property
    def beside(self) -> str:
        """``folder/plan@v3.dwg``"""
        return f"{self.folder}/{marked(self.name, f'v{self.number}')}"

    @property
    def listed(self) -> str:
        """``folder/.versions/plan.dwg/plan@v3.dwg``"""
        return f"{self.folder}/.versions/{self.name}/{marked(self.name, f'v{self.number}')}"


def marked(name: str, mark: str) -> str:
    """``plan@v3.dwg``: for names with one dot at most."""
    stem, dot, extension = name.rpartition(".")
    return f"{stem}@{mark}{dot}{extension}" if stem else f"{name}@{mark}"


def all_versions(emulator: EmulatorProcess) -> list[Version]:
    """Of each file that has more than one version, tombstones counted."""
    return [
        version
        for hub in emulator.world()["hubs"]
        for project in hub["projects"]
        for folder in project["folders"]
        for version in _below(folder, f"{hub['name']}/{project['name']}", root=True)
    ]


def _below(folder: dict[str, Any], above: str, *, root: bool = False) -> Iterator[Version]:
    if folder["hidden"]:
        return
    path = above if root else f"{above}/{folder['name']}"
    for below in folder["folders"]:
        yield from _below(below, path)
    for item in folder["items"]:
        *_, tip = versions = item["versions"]
        if tip["storage"] and tip["type"] != DELETED and tip["number"] > 1:
            for each in versions:
                if each["storage"] and each["type"] != DELETED:
                    yield Version(path, tip["name"], each, each is tip)


def look_again(drive: Drive, folder: str) -> None:
    """``dmfs refresh`` of a path in the drive, without the half second of a command."""
    socket = drive.home.state / "run" / f"{stem_of(str(drive.point))}.sock"
    events = stream(socket, os.getuid(), "/v1/refresh", {"path": f"/{folder}"})
    assert [event["event"] for event in events][-1] == "done"
