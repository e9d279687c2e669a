"""What tests of links share: the sample world, and the two jobs in short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import DriveError
from dmfs.model import Directory, File, Root, Shortcut
from tests.support.told import run_job

MakeSettings = Callable[..., Settings]
WIDE = 20
"""Of a folder with more entries some stand for all."""
DEEP = 9


def calls(emulator: EmulatorProcess) -> dict[str, int]:
    """Calls by route since the last look, but for tokens."""
    counts = {route: n for route, n in emulator.counts().items() if n and route != "token"}
    emulator.reset()
    return counts


async def every_path(drive: Drive) -> list[str]:
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
        for name, child in names[:4] if len(names) > WIDE and "Names" not in path else names:
            found.append(f"{path}/{name}")
            if not isinstance(child, File | Shortcut) and path.count("/") < DEEP:
                todo.append((f"{path}/{name}", child))
    return found


async def url_of(drive: Drive, path: str) -> str:
    return str((await run_job(drive, "url", path=path)).last["url"])


async def path_of(drive: Drive, link: str) -> str:
    return str((await run_job(drive, "path", link=link)).last["path"])


async def why_not(drive: Drive, link: str) -> str:
    """The line that says why a link leads nowhere."""
    with pytest.raises(DriveError) as caught:
        await path_of(drive, link)
    line = f"{caught.value.message} ({caught.value.hint})"
    assert line.isprintable()
    assert "urn:adsk.wip" not in line
    return line


def forget(drive: Drive) -> None:
    """Of a drive without a disk: nothing is known any more."""
    cache = drive.parts.listings.cache
    for each in cache.all():
        cache.drop(each.listing.directory.identity)


async def directory_at(drive: Drive, path: str) -> Directory:
    node = await drive.resolve(path)
    assert not isinstance(node, File | Shortcut)
    return node
