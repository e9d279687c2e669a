"""A folder of its own for each test, in a world that several tests change."""

from __future__ import annotations

from typing import Any

from dmfs.emulator.process import EmulatorProcess

from .client import Facts
from .writer import Writer

HUB = "Emulated Builders / Headquarters"
BOB = "BOBEMU000002"


class Place:
    """``id`` of the folder, ``path`` for changes, and Ada who made it."""

    def __init__(
        self,
        emulator: EmulatorProcess,
        number: int,
        project: str = "Sample Project",
        hub: str = HUB,
    ) -> None:
        self.emulator = emulator
        self.project = Facts(emulator).project(project, hub)
        top = self.project["folders"][0]
        self.path = f"{hub.replace('/', '~1')}/{project}"
        self.parent = top["id"]
        if hub == HUB:
            self.parent = next(f["id"] for f in top["folders"] if f["name"] == "Project Files")
            self.path += "/Project Files"
        self.name = f"place {number}"
        self.path += f"/{self.name}"
        self.writer = Writer(emulator, self.project["id"])
        made = self.writer.folder(self.parent, self.name)
        assert made.status == 201, made.body
        self.id = made.json["data"]["id"]

    def change(self, op: str, name: str = "", **fields: Any) -> Any:
        return self.emulator.change(op, path=self.path + (f"/{name}" if name else ""), **fields)

    def versions(self, item: str) -> list[tuple[int, str]]:
        """Number and name of each version of an item, newest first."""
        reply = self.writer.data("GET", f"items/{item}/versions")
        return [
            (row["attributes"]["versionNumber"], row["attributes"]["name"])
            for row in reply.json["data"]
        ]

    def item(self, item: str) -> Any:
        """The answer of ``GET items``."""
        return self.writer.data("GET", f"items/{item}").json
