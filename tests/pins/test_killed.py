"""A mount that is killed while it fetches what is pinned; then a network that is cut."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from dmfs.assembly import open_drive
from dmfs.blocks.whole.window import WINDOW_BYTES
from dmfs.config import Settings
from dmfs.emulator.process import EmulatorProcess
from dmfs.jobs import pinning
from tests.support.fixtures import drives, running_emulator
from tests.support.mounts import Drive, wait_until
from tests.support.stores import bytes_at_rest

pytestmark = pytest.mark.mount

KILLS = int(os.environ.get("DMFS_PIN_KILLS", "5"))
LONG = KILLS > 5
SMALL, MOST = (990, 1_700_000) if LONG else (59, 500_000)
BIG, BIG_BYTES = (10, 18_900_000) if LONG else (1, 9_500_000)
"""1000 files of a gigabyte in a night, 60 of 24 MiB otherwise."""
WORLD = f"small:files={SMALL},min=100000,max={MOST}+big:size={BIG_BYTES},count={BIG}"
FILES = "Bench/Bench Project/Project Files"
PATIENCE_S = 600 if LONG else 60


@pytest.fixture
def emulator() -> Iterator[EmulatorProcess]:
    with running_emulator(world=WORLD) as started:
        yield started


@pytest.fixture
def drive(emulator: EmulatorProcess, tmp_path: Path) -> Iterator[Drive]:
    with drives(tmp_path, emulator, log_level="info") as make:
        made = make()
        assert made.stop() == 0
        yield made


def settings(drive: Drive, emulator: EmulatorProcess) -> Settings:
    return Settings(
        api_url=emulator.api_url, client_id=emulator.client_id,
        client_secret=emulator.client_secret, cache_dir=drive.home.cache,
        state_dir=drive.home.state, poll=0.0, rates="off",
    )  # fmt: skip


async def pin_and_leave(settings: Settings) -> tuple[int, int]:
    """Files and bytes that are pinned now; nobody has begun to fetch them."""
    async with open_drive(settings) as drive:
        assert drive.parts.pins is not None
        wanted = await pinning._pin(drive, f"/{FILES}")
        needed = await pinning._needed(drive, [wanted])
        await drive.parts.pins.add([wanted])
    return len(needed), sum(needed.values())


def state(drive: Drive) -> tuple[str, int, int]:
    with sqlite3.connect(f"file:{drive.home.state}/pins.db?mode=ro", uri=True) as db:
        row: tuple[str, int, int] = db.execute(
            "SELECT state, files, files_done FROM pins"
        ).fetchone()
    db.close()
    return row


@pytest.mark.timeout(PATIENCE_S * 3)
def test_a_kill_costs_at_most_one_part_and_all_reads_right_without_a_network(emulator, drive):
    files, size = trio.run(pin_and_leave, settings(drive, emulator))
    assert (files, size) == (SMALL + BIG, size)
    emulator.reset()
    emulator.settings(cdn_bytes_per_s=20_000_000 if LONG else 3_000_000)
    began = time.monotonic()
    for number in range(KILLS):
        drive.start()
        target = size * (number + 1) // (KILLS + 1)
        wait_until(lambda t=target: bytes_at_rest(drive.home.cache) >= t, PATIENCE_S, "some came")
        drive.kill()
        with sqlite3.connect(drive.home.state / "pins.db") as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()
    drive.start()
    wait_until(lambda: state(drive) == ("complete", files, files), PATIENCE_S, "complete")
    fetched = emulator.calls()["cdn_bytes"]
    print(
        f"files={files} bytes={size} kills={KILLS} fetched={fetched} over={fetched - size}"
        f" a_kill={(fetched - size) / KILLS / 2**20:.2f}MiB s={time.monotonic() - began:.0f}"
    )
    assert size <= fetched <= size + KILLS * WINDOW_BYTES
    true = {}
    for folder in ("small", "big"):
        for name in drive.call("listdir", drive.path(FILES, folder)):
            path = drive.path(FILES, folder, name)
            storage = drive.call("getxattr", path, "user.dmfs.storage_id").decode()
            true[path] = emulator.sha256(storage)
            assert drive.call("getxattr", path, "user.dmfs.cached") == b"100"
    assert drive.stop() == 0
    for origin in ("cdn", "api"):
        emulator.refuse(origin, 3600)
    drive.start()
    for path, expected in true.items():
        assert tuple(drive.call("sha256", path)) == expected, path
    assert len(true) == files
    assert "Traceback" not in drive.log()
