"""What the tests of pins share: a small world, and hands for drives without a mount."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from dmfs.assembly import open_drive
from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.jobs.pinning import pin, pins, unpin
from dmfs.model import File
from dmfs.pins.records import Pin
from dmfs.spans import MIB

WORLD = (
    f"small:files=12,min=1000,max=300000+big:size={10 * MIB},count=2+tree:folders=4,files=8,depth=3"
)
FILES = "Bench/Bench Project/Project Files"
PROJECT = "/Bench/Bench Project"
SMALL, BIG, TREE = f"/{FILES}/small", f"/{FILES}/big", f"/{FILES}/tree"
ONE = f"{BIG}/big-00.bin"


@asynccontextmanager
async def keeping(settings: Settings, **more: Any) -> AsyncIterator[Any]:
    """A drive with a keeper, as mounts have."""
    async with open_drive(settings, keeper=True, **more) as drive:
        yield drive


async def told(job: Callable[..., Any], drive: Drive, *paths: str) -> list[dict[str, Any]]:
    """All that a job tells."""
    events: list[dict[str, Any]] = []

    async def tell(event: Any) -> None:
        events.append(dict(event))

    await job(drive, {"paths": list(paths)} if paths else {}, tell)
    return events


pinned, unpinned, listed = partial(told, pin), partial(told, unpin), partial(told, pins)


async def complete(drive: Drive, *paths: str) -> list[dict[str, Any]]:
    """Pin, and wait until it is all there."""
    events = await pinned(drive, *paths)
    assert {each["state"] for each in events[-1]["pins"]} == {"complete"}, events[-1]
    return events


async def until(done: Callable[[], Any], seconds: float = 60) -> None:
    with trio.fail_after(seconds):
        while not done():
            await trio.sleep(0.02)


def pin_of(drive: Drive, label: str) -> Pin:
    assert drive.parts.pins is not None
    return next(each for each in drive.parts.pins.contents.pins if each.label == label)


def state(drive: Drive, label: str) -> str:
    return pin_of(drive, label).progress.state


async def file_at(drive: Drive, path: str) -> File:
    node = await drive.resolve(path)
    assert isinstance(node, File)
    return node


async def content(drive: Drive, file: File) -> bytes:
    reader = await drive.open(file)
    try:
        pieces = []
        offset = 0
        while offset < reader.size_bytes:
            data, _ = await reader.read(offset, MIB)
            pieces.append(bytes(data))
            offset += len(data)
        return b"".join(pieces)
    finally:
        reader.close()


def truth(emulator: EmulatorProcess, file: File) -> bytes:
    return emulator.bytes(file.storage_id)


def costly(emulator: EmulatorProcess) -> dict[str, int]:
    """Calls since the reset that count against a quota, and GETs."""
    return {
        route: n for route, n in emulator.counts().items() if n and route not in ("probe", "token")
    }


async def cut(emulator: EmulatorProcess, seconds: float = 600) -> None:
    """The network goes, for the API last: with it goes the way to tell the emulator anything."""
    for origin in ("cdn", "api"):
        await trio.to_thread.run_sync(emulator.refuse, origin, seconds)
