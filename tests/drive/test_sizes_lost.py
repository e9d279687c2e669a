"""A file whose size no listing tells: what was learned of it goes with the cache's index, and then
it is asked for again, never taken for an empty file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmfs.assembly import open_drive
from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import OfflineError
from dmfs.jobs import pinning
from dmfs.model import File
from tests.support.fixtures import running_emulator
from tests.support.helpers import real

FOLDER = "/Emulated Builders \uff0f Headquarters/Quirks/Project Files"


@pytest.fixture
def emulator() -> Iterator[EmulatorProcess]:
    with running_emulator(world="sample") as started:
        yield started


async def untold(drive: Drive) -> File:
    """Its size is missing in every listing."""
    level = [await drive.resolve(FOLDER)]
    while level:
        listing = await drive.prepare(level.pop())  # type: ignore[arg-type] # directories alone
        for child in listing.entries.values():
            if isinstance(child, File) and child.name == "storageSize missing.bin":
                assert child.size_bytes is None
                return child
        level += [each for each in listing.entries.values() if hasattr(each, "rollup_ns")]
    raise AssertionError("there is none")


@real
@pytest.mark.parametrize("pinned", [False, True])
async def test_a_size_that_was_lost_is_asked_for_again(
    emulator: EmulatorProcess, settings: Callable[..., Settings], tmp_path: Path, pinned: bool
) -> None:
    async def tell(_event: object) -> None:
        return None

    async with open_drive(settings(), keeper=True) as drive:
        file = await untold(drive)
        whole = emulator.bytes(file.storage_id)
        assert whole
        if pinned:
            folder = drive.parts.listings.cache.get(f"folder {file.project_id} {file.folder_id}")
            assert folder is not None
            above = drive.path_of(folder.listing.directory)
            await pinning.pin(drive, {"paths": [f"{above}/{file.name}"]}, tell)
    for path in (tmp_path / "cache").rglob("index.db*"):
        path.unlink()
    async with open_drive(settings()) as drive:
        file = await untold(drive)
        reader = await drive.open(file)
        data, _ = await reader.read(0, 1 << 20)
        assert bytes(data) == whole
        reader.close()
    for path in (tmp_path / "cache").rglob("index.db*"):
        path.unlink()
    async with open_drive(settings()) as drive:
        file = await untold(drive)
        drive.force_offline(True)
        with pytest.raises(OfflineError):
            await drive.open(file)
