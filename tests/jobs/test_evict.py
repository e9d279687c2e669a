"""``evict``: bytes go, without a call, but for what is open or pinned."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dmfs.assembly import open_drive
from dmfs.blocks.store.block_store import DIRECTORY
from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import DriveError, NotADirectory, NotFoundError, UsageError
from dmfs.model import File, StorageId
from dmfs.spans import BLOCK_BYTES
from tests.jobs.test_offline import files, read
from tests.support.helpers import CHILD_ENVIRONMENT, real
from tests.support.stores import SIZE, A, B, C, books_balance, bytes_at_rest, full, open_store
from tests.support.told import run_job

SMALL = "/Bench/Bench Project/Project Files/small"
MakeSettings = Callable[..., Settings]
NOTHING = {"evicted": 0, "evicted_bytes": 0, "open": 0, "open_bytes": 0, "pinned": 0,
           "pinned_bytes": 0}  # fmt: skip


async def at_rest(drive: Drive, count: int) -> list[File]:
    """Read so many small files, until all of it is on disk."""
    chosen = (await files(drive))[:count]
    for file in chosen:
        await read(drive, file)
    assert await drive.parts.blocks.drain(10)
    return chosen


@real
async def test_bytes_of_a_folder_go_and_nobody_is_called(
    emulator: EmulatorProcess, settings: MakeSettings, tmp_path: Path
) -> None:
    async with open_drive(settings()) as drive:
        chosen = await at_rest(drive, 30)
        size_bytes = sum(file.size_bytes or 0 for file in chosen)
        assert bytes_at_rest(tmp_path / "cache") == size_bytes
        emulator.reset()
        drive.force_offline(True)
        told = await run_job(drive, "evict", paths=[SMALL])
        assert told.last == NOTHING | {
            "event": "done", "files": 40, "evicted": 30, "evicted_bytes": size_bytes
        }  # fmt: skip
        assert bytes_at_rest(tmp_path / "cache") == 0
        assert drive.gauges()["memory_bytes"] == 0
        assert not any(emulator.counts().values())
        data = (tmp_path / "cache" / DIRECTORY / "data").rglob("*")
        assert not [each for each in data if each.is_file()]
        told = await run_job(drive, "evict", paths=[SMALL, "/"])  # again: nothing is left
        assert told.last == NOTHING | {"event": "done", "files": 40}
        drive.force_offline(False)
        before = drive.gauges()["fetch.gets_ok"]
        assert len(await read(drive, chosen[0])) == chosen[0].size_bytes
        assert drive.gauges()["fetch.gets_ok"] == before + 1
    books_balance(tmp_path / "cache")


@real
async def test_of_one_file_and_by_what_an_earlier_process_listed(
    emulator: EmulatorProcess, settings: MakeSettings, tmp_path: Path
) -> None:
    async with open_drive(settings()) as drive:
        one, two, *_ = await at_rest(drive, 2)
    async with open_drive(settings()) as drive:
        emulator.reset()
        told = await run_job(drive, "evict", paths=[f"{SMALL}/{one.name}"])
        assert told.last["evicted_bytes"] == one.size_bytes
        assert bytes_at_rest(tmp_path / "cache") == two.size_bytes
        assert not any(emulator.counts().values())


@real
async def test_evict_leaves_what_is_open(emulator: EmulatorProcess, settings: MakeSettings) -> None:
    async with open_drive(settings()) as drive:
        chosen = await at_rest(drive, 3)
        reader = await drive.open(chosen[1])
        told = await run_job(drive, "evict", paths=[SMALL])
        assert (told.last["evicted"], told.last["open"]) == (2, 1)
        assert told.last["open_bytes"] == chosen[1].size_bytes
        drive.force_offline(True)
        assert len((await reader.read(0, 1 << 20))[0]) == chosen[1].size_bytes
        reader.close()


@real
async def test_what_another_process_reads_stays(
    emulator: EmulatorProcess, settings: MakeSettings, tmp_path: Path
) -> None:
    async with open_drive(settings()) as drive:
        chosen = await at_rest(drive, 3)
        cache = tmp_path / "cache"
        with reading_elsewhere(cache, chosen[2]):
            told = await run_job(drive, "evict", paths=[SMALL])
            assert (told.last["evicted"], told.last["open"]) == (2, 1)
        told = await run_job(drive, "evict", paths=[SMALL])
        assert (told.last["evicted"], told.last["open"]) == (1, 0)


@contextmanager
def reading_elsewhere(cache: Path, file: File) -> Iterator[None]:
    """Another process has the file's object open."""
    script = f"""
import sys
from pathlib import Path
from tests.support.stores import open_store
store = open_store(Path({str(cache)!r}))
stored = store.attach({file.storage_id!r}, {file.size_bytes})
assert stored.row
print("reading", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], env=CHILD_ENVIRONMENT, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "reading\n"
        yield
        other.communicate()


@real
async def test_what_is_pinned_stays(
    emulator: EmulatorProcess, settings: MakeSettings, tmp_path: Path
) -> None:
    async with open_drive(settings()) as drive:
        chosen = await at_rest(drive, 3)
        with sqlite3.connect(tmp_path / "cache" / DIRECTORY / "index.db") as db:
            db.execute("INSERT INTO held VALUES (?)", (chosen[0].storage_id,))
        db.close()
        told = await run_job(drive, "evict", paths=[SMALL])
        assert (told.last["evicted"], told.last["pinned"]) == (2, 1)
        assert told.last["pinned_bytes"] == chosen[0].size_bytes
        assert bytes_at_rest(tmp_path / "cache") == chosen[0].size_bytes


@real
async def test_paths_that_mean_nothing(emulator: EmulatorProcess, settings: MakeSettings) -> None:
    async with open_drive(settings()) as drive:
        emulator.reset()
        with pytest.raises(NotFoundError, match="as far as this drive knows"):
            await run_job(drive, "evict", paths=[SMALL])
        assert not any(emulator.counts().values())
        (file, *_) = await files(drive)
        with pytest.raises(NotADirectory):
            await run_job(drive, "evict", paths=[f"{SMALL}/{file.name}/x"])
        for wrong in (None, [], "/", [5]):
            with pytest.raises(UsageError):
                await run_job(drive, "evict", paths=wrong)


@real
async def test_without_a_cache_and_with_a_disk_that_fails(
    emulator: EmulatorProcess, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_drive(settings(cache_size=0)) as drive:
        (file, *_) = await files(drive)
        await read(drive, file)
        assert drive.gauges()["memory_bytes"]
        told = await run_job(drive, "evict", paths=[SMALL])
        assert told.last == NOTHING | {"event": "done", "files": 40}
        assert drive.gauges()["memory_bytes"] == 0
    async with open_drive(settings()) as drive:
        (file, *_) = await at_rest(drive, 1)
        store = drive.parts.blocks._disk._store

        def broken(_ids: object) -> None:
            raise OSError(5, "the disk is broken")

        monkeypatch.setattr(store.inventory, "evict", broken)  # type: ignore[union-attr]
        with pytest.raises(DriveError, match="the disk is broken"):
            await run_job(drive, "evict", paths=[SMALL])
        drive.force_offline(True)


def test_the_store_lets_go_in_batches_and_of_nothing_else(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    stays = full(store, C)
    for each in (A, B):
        store.release(full(store, each))
    partial = StorageId("urn:partial")
    part = store.attach(partial, SIZE)
    assert store.write(part, 1, memoryview(bytes(BLOCK_BYTES)))
    store.release(part)
    many = [StorageId(f"urn:{n}") for n in range(150)]
    for each in many:
        stored = store.attach(each, 100)
        assert store.write(stored, 0, memoryview(bytes(100)))
        store.release(stored)
    unknown = StorageId("urn:unknown")
    assert store.inventory.at_rest([A, B, C, partial, *many, unknown]) == {
        A: SIZE, B: SIZE, C: SIZE, partial: BLOCK_BYTES, **dict.fromkeys(many, 100)
    }  # fmt: skip
    gone = store.inventory.evict([A, C, partial, *many, unknown])
    assert gone == (152, SIZE + BLOCK_BYTES + 15_000, 1, SIZE, 0, 0)
    assert store.used_bytes() == 2 * SIZE
    store.release(stays)
    assert store.inventory.at_rest([A, B, C]) == {B: SIZE, C: SIZE}
    store.close()
    assert books_balance(tmp_path) == 2 * SIZE
    assert len([each for each in (tmp_path / DIRECTORY / "data").rglob("*") if each.is_file()]) == 2
