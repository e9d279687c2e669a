"""A folder of the service for one test: what it has now, and what others do to it."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

from dmfs.emulator.process import EmulatorProcess
from tests.support.sample import RAW_SAMPLE, SAMPLE
from tests.write.model.machine import BOB

TEAM = "Emulated BIM 360 Team/House Design"
_numbers = itertools.count(1)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Version(NamedTuple):
    """One of an item. ``data``: by its digest."""

    number: int
    name: str
    user: str
    sha256: str
    deleted: bool


@dataclass
class Place:
    """``path``: in the drive; ``raw``: for orders to the emulator."""

    emulator: EmulatorProcess
    path: str
    raw: str
    id: str
    deletes: bool = True
    """Whether files can be deleted here."""

    @classmethod
    def new(cls, emulator: EmulatorProcess, *, team: bool = False) -> Place:
        """``team``: in an ``a.`` project."""
        name = f"writes {next(_numbers)}"
        path, raw = (TEAM, TEAM) if team else (SAMPLE, RAW_SAMPLE)
        made = emulator.change("add_folder", path=raw, name=name)
        return cls(emulator, f"/{path}/{name}", f"{raw}/{name}", made["id"], not team)

    # What it has

    def items(self) -> list[dict[str, Any]]:
        return [each for each in self.emulator.writes()["items"] if each["folder"] == self.id]

    def live(self) -> dict[str, list[Version]]:
        """Name → versions, of all that is to be seen."""
        found: dict[str, list[Version]] = {}
        for item in self.items():
            if not item["hidden"]:
                assert item["name"] not in found, "two of a name"
                found[item["name"]] = [_version(each) for each in item["versions"]]
        return found

    def tips(self) -> dict[str, str]:
        """Name → the digest of the newest version."""
        return {name: versions[-1].sha256 for name, versions in self.live().items()}

    def has(self, **tips: bytes) -> bool:
        return self.has_all(tips)

    def has_all(self, tips: dict[str, bytes]) -> bool:
        return self.tips() == {name: sha256(data) for name, data in tips.items()}

    def count(self, data: bytes) -> int:
        """Versions of these bytes in all items, seen or not."""
        wanted = sha256(data)
        return sum(each["sha256"] == wanted for item in self.items() for each in item["versions"])

    def storages(self, data: bytes) -> int:
        """How often these bytes went up."""
        wanted = sha256(data)
        versions = [each for item in self.items() for each in item["versions"]]
        return len({each["storage"] for each in versions if each["sha256"] == wanted})

    # What others do

    def item(self, name: str) -> str:
        """Its id."""
        return next(
            each["id"] for each in self.items() if each["name"] == name and not each["hidden"]
        )

    def add(self, name: str, data: bytes, user: str = BOB) -> str:
        added = self.emulator.change(
            "add_item", path=self.raw, name=name, text=data.decode(), user=user
        )
        return str(added["id"])

    def order(self, op: str, name: str = "", /, **fields: Any) -> dict[str, Any]:
        """A change by Bob, as an order: of an item that is there now."""
        where = {"id": self.item(name)} if name else {"id": self.id}
        return {"op": op, **where, "user": BOB, **fields}

    def change(self, op: str, name: str = "", /, **fields: Any) -> dict[str, Any]:
        order = self.order(op, name, **fields)
        return self.emulator.change(order.pop("op"), **order)


def _version(raw: dict[str, Any]) -> Version:
    return Version(
        raw["number"], raw["name"], raw["user"], raw["sha256"] or "", bool(raw["deleted"])
    )
