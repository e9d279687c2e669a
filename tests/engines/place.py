"""Where the programs read, and what it cost there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import fsspec

from dmfs.emulator.process import EmulatorProcess
from dmfs.spec.filesystem import DmfsFileSystem
from dmfs.spec.process import sessions

PAGE = Path(__file__).parents[2] / "docs" / "fsspec.md"
TOP = "/Local/Local Project/Project Files"
LISTS = ("hubs", "projects", "topFolders", "contents", "folder", "project_hub", "versions")
SIGNS = ("sign", "details", "signed_resource")
FREE = {"token", "cdn_get", *LISTS, *SIGNS}


class Cost(NamedTuple):
    """What a program caused at the service, from an empty cache: listings of hubs, projects and
    folders, signings, GETs of bytes, and their bytes."""

    listings: int
    signings: int
    gets: int
    size_bytes: int


class Place:
    """A machine with an empty cache, and an environment that is signed in."""

    def __init__(self, emulator: EmulatorProcess, files: Path, directory: Path) -> None:
        self.emulator = emulator
        self.files = files
        self.directory = directory
        self.rows: list[str] = []

    @staticmethod
    def path(name: str) -> str:
        return f"{TOP}/{name}"

    @staticmethod
    def url(name: str) -> str:
        return f"dmfs://{TOP}/{name}"

    @staticmethod
    def fs() -> DmfsFileSystem:
        found: DmfsFileSystem = fsspec.filesystem("dmfs")
        return found

    def size(self, *names: str) -> int:
        """Of files together."""
        return sum((self.files / name).stat().st_size for name in names)

    def cost(self) -> Cost:
        calls = self.emulator.calls()
        counts = {route: n for route, n in calls["counts"].items() if n}
        assert set(counts) <= FREE, counts
        return Cost(
            sum(counts.get(route, 0) for route in LISTS),
            sum(counts.get(route, 0) for route in SIGNS),
            counts.get("cdn_get", 0),
            calls["cdn_bytes"],
        )

    def told(
        self,
        program: str,
        work: str,
        listings: int,
        signings: int,
        gets_max: int,
        bytes_max: int,
        *,
        shared: bool = False,
    ) -> None:
        """Check what it cost so far, and keep it as a row of the table in docs/fsspec.md. Calls are
        exact and stand in the page; GETs and bytes may become fewer. ``shared`` by processes:
        each signs what it reads, and which one reads what is chance."""
        cost = self.cost()
        calls = f"{listings} |" if shared else f"{listings} | {signings} |"
        assert f"| {program} | {work} | {calls}" in PAGE.read_text("utf-8"), "another row there"
        self.rows.append(
            f"| {program} | {work} | {cost.listings} | {cost.signings} | {cost.gets} |"
            f" {cost.size_bytes:,} |"
        )
        assert cost.listings == listings, cost
        assert cost.signings <= signings if shared else cost.signings == signings, cost
        assert cost.gets <= gets_max, cost
        assert cost.size_bytes <= bytes_max, cost


@contextmanager
def signed_in(emulator: EmulatorProcess, directory: Path, **more: str) -> Iterator[None]:
    """The environment of a worker, for this process and those that it starts; afterwards its drive
    is closed."""
    (directory / "home").mkdir(parents=True)
    config = directory / "config.toml"
    config.write_text('poll = 0\nrates = "off"\n')
    wanted: dict[str, str] = {
        "HOME": str(directory / "home"),
        "DMFS_CONFIG": str(config),
        "DMFS_CACHE_DIR": str(directory / "cache"),
        "DMFS_STATE_DIR": str(directory / "state"),
        "DMFS_API_URL": emulator.api_url,
        "DMFS_CLIENT_ID": emulator.client_id,
        "DMFS_CLIENT_SECRET": emulator.client_secret,
        **more,
    }
    before = dict(os.environ)
    os.environ.update(wanted)
    DmfsFileSystem.clear_instance_cache()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        DmfsFileSystem.clear_instance_cache()
        sessions._process.end()
        sessions._process = sessions._Process()


def same(found: Any, expected: Any) -> None:
    """Two frames with the same columns, values and order."""
    assert list(found.columns) == list(expected.columns)
    assert found.reset_index(drop=True).equals(expected.reset_index(drop=True))
