"""``url`` and ``path``: of every entry of the sample world, known and unknown, with exact counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmfs.assembly import open_drive
from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import DriveError
from dmfs.model import File, Root, Shortcut
from tests.support.fixtures import calmed, running_emulator
from tests.support.helpers import real
from tests.support.told import run_job

MakeSettings = Callable[..., Settings]
BIG_HUB = "Emulated Europe"
"""230 projects of one file each: some of them stand for all."""


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorProcess]:
    with running_emulator(world="sample") as started:
        yield started


@pytest.fixture
def emulator(running: EmulatorProcess) -> Iterator[EmulatorProcess]:
    with calmed(running):
        yield running


def calls(emulator: EmulatorProcess) -> dict[str, int]:
    return {route: n for route, n in emulator.counts().items() if n and route != "token"}


async def everything(drive: Drive) -> list[str]:
    """The path of every entry."""
    found: list[str] = []
    todo: list[tuple[str, Any]] = [("", Root())]
    while todo:
        path, directory = todo.pop()
        try:
            listing = await drive.prepare(directory)
        except DriveError:
            continue  # an archived project
        names = list(listing.entries.items())
        for name, child in names[:4] if len(names) > 100 else names:
            found.append(f"{path}/{name}")
            if not isinstance(child, File | Shortcut):
                todo.append((f"{path}/{name}", child))
    return found


async def url_of(drive: Drive, path: str) -> str:
    return str((await run_job(drive, "url", path=path)).last["url"])


async def path_of(drive: Drive, link: str) -> str:
    return str((await run_job(drive, "path", link=link)).last["path"])


@real
async def test_world(emulator: EmulatorProcess, settings: MakeSettings, tmp_path: Path) -> None:
    async with open_drive(settings()) as drive:
        paths = await everything(drive)
        emulator.reset()
        links = {}
        for path in paths:
            try:
                links[path] = await url_of(drive, path)
            except DriveError as e:
                print("URL", path, e.message)
        print(len(paths), "paths")
        for path, link in links.items():
            try:
                got = await path_of(drive, link)
                if got != path:
                    print("DIFF", path, got, link)
            except DriveError as e:
                print("PATH", path, e.message, link)
        print(calls(emulator))
    async with open_drive(settings()) as drive:
        for path, link in links.items():
            got = await path_of(drive, link)
            if got != path:
                print("DIFF", path, got, link)
        print("disk", calls(emulator))
    import collections
    costs = collections.Counter()
    async with open_drive(settings(cache_size=0)) as drive:
        for n, (path, link) in enumerate(links.items()):
            emulator.reset()
            for each in drive.parts.listings.cache.all():
                drive.parts.listings.cache.drop(each.listing.directory.identity)
            try:
                got = await path_of(drive, link)
                if got != path:
                    print("COLD DIFF", path, got, link)
            except DriveError as e:
                print("COLD PATH", path, e.message, link)
            c = calls(emulator)
            depth = path.count("/")
            extra = sum(c.values()) - 1 - depth
            costs[extra] += 1
            if extra > 0:
                print(extra, path, c)
    print(costs)
