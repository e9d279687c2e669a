"""The cache's disk on its worst days, under a real mount: it fills, turns read-only, fails, hangs,
is deleted. Reads go on from the network with right bytes and one warning, and what is read once
the disk is well again is cached again."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmfs.system.disk_health import PAUSE_S
from tests.hostile import reader
from tests.hostile.measure import gauges
from tests.support.baddisk import BadDisk
from tests.support.mounts import Drive, wait_until

pytestmark = pytest.mark.mount

FOLDER = "Bench/Bench Project/Project Files"
BIG = 40_000_000
BIGS = [f"big/big-0{n}.bin" for n in range(4)]
CONFIG = {"memory_budget": "16MiB", "cache_free_percent": 0, "ttl": "1s"}
"""Little memory and short-lived listings, so that the disk is asked."""
DEADLINE_S = 30.0
"""Of a read of some MB here: hangs are borne for 5 s, several one after the other if need be."""


@pytest.fixture(scope="module")
def world_spec() -> str:
    return f"small:files=60+big:size={BIG},count={len(BIGS)}"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[BadDisk]:
    with BadDisk(tmp_path / "bad") as bad:
        yield bad


class Witness:
    """Reads a drive and knows what it should say."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self._tiles: dict[str, bytes] = {}
        for name in BIGS:
            storage = drive.call("getxattr", drive.path(FOLDER, name), "user.dmfs.storage_id")
            self._tiles[name] = drive.emulator.bytes(storage.decode(), 0, reader.TILE)

    def reads(self, name: str, start: int = 0, length: int = BIG) -> float:
        """Past the page cache, every byte compared; the slowest MiB in seconds."""
        slowest = 0.0
        for at in range(start, start + length, 1 << 20):
            began = time.monotonic()
            got = self.drive.call("direct", self.drive.path(FOLDER, name), at, 1 << 20)
            slowest = max(slowest, time.monotonic() - began)
            assert got == reader.truth(self._tiles[name], at, min(BIG, at + (1 << 20)))
        return slowest

    def keeps(self, name: str) -> None:
        """Read until all of it is at rest: a reader that outruns its disk leaves gaps, which the
        next one fills. (The memory is too small for what a pass without a GET reads.)"""

        def came_from_disk() -> bool:
            self.drive.emulator.reset()
            self.reads(name)
            return not self.drive.emulator.counts()["cdn_get"]

        wait_until(came_from_disk, 40, what=f"{name} at rest")

    def warnings(self) -> list[str]:
        """Of the block cache; what the listings say of the same disk is another line."""
        return [line for line in self.complaints() if "dmfs.blocks.disk_tier" in line]

    def complaints(self) -> list[str]:
        return [line for line in self.drive.log().splitlines() if "WARNING" in line]


def is_cached(drive: Drive, name: str) -> None:
    """A new mount over the same cache reads the file without a GET."""
    drive.emulator.fault("status", origin="cdn", status=500, shape="xml", times=None)
    drive.start()
    drive.emulator.reset()
    Witness(drive).reads(name)
    assert drive.emulator.counts()["cdn_get"] == 0
    drive.emulator.clear_faults()


def bad_day(
    drive: Drive, turn_bad: Callable[[], object], turn_well: Callable[[], object],
    at_rest: Callable[[], int],
) -> list[str]:  # fmt: skip
    """What every bad day has in common; its complaints."""
    witness = Witness(drive)
    witness.keeps(BIGS[0])
    assert witness.complaints() == []
    turn_bad()
    # what is at rest there, what is not, names, and a small file
    assert witness.reads(BIGS[0], 0, 8 << 20) < DEADLINE_S
    assert witness.reads(BIGS[1]) < DEADLINE_S
    assert len(drive.call("listdir", drive.path(FOLDER, "small"))) == 60
    assert drive.call("read", drive.path(FOLDER, "small", "small-00001.txt"))
    time.sleep(PAUSE_S + 0.5)  # it is looked at again, and complained of once all the same
    assert witness.reads(BIGS[1], 0, 20 << 20) < DEADLINE_S
    complaints = witness.complaints()
    assert len(witness.warnings()) <= 1
    turn_well()
    time.sleep(PAUSE_S + 0.5)
    before = at_rest()
    witness.keeps(BIGS[2])
    assert at_rest() >= before + BIG * 0.9, "the disk is used again"
    assert witness.complaints() == complaints
    assert drive.stop() == 0
    assert "Traceback" not in drive.log()
    is_cached(drive, BIGS[2])
    return complaints


@pytest.mark.parametrize("mood", ["eio", "erofs", "enospc", "hang"])
def test_a_disk_that_turns_bad_and_well_again(mood, calm, make_drive, disk):
    cache = {"DMFS_CACHE_DIR": str(disk.directory / "cache")}
    drive = make_drive(config=CONFIG, log_level="info", environ=cache)
    said = bad_day(drive, lambda: disk.turn(mood), lambda: disk.turn("well"), disk.bytes_at_rest)
    drive.close()  # before its disk
    assert len([line for line in said if "the disk cache fails" in line]) == 1, said
    assert len([line for line in said if "the disk that keeps listings fails" in line]) <= 1, said
    assert len(said) <= 2, said


def test_a_read_only_disk_is_still_read_from(calm, make_drive, disk):
    """One that cannot be written to is no reason to fetch what is there."""
    cache = {"DMFS_CACHE_DIR": str(disk.directory / "cache")}
    drive = make_drive(config=CONFIG, log_level="info", environ=cache)
    witness = Witness(drive)
    for name in BIGS[:2]:
        witness.keeps(name)
    disk.turn("erofs")
    calm.reset()
    for name in BIGS[:2]:
        witness.reads(name)
    assert calm.counts()["cdn_get"] == 0
    witness.reads(BIGS[2])  # a failed write, a warning
    calm.reset()
    witness.reads(BIGS[0])
    assert calm.counts()["cdn_get"] == 0
    assert len(witness.warnings()) == 1
    drive.close()


def test_a_disk_that_hangs_for_ever_does_not_keep_the_drive_from_ending(calm, make_drive, disk):
    cache = {"DMFS_CACHE_DIR": str(disk.directory / "cache")}
    drive = make_drive(config=CONFIG, log_level="info", environ=cache)
    witness = Witness(drive)
    witness.reads(BIGS[0])
    disk.turn("hang")
    assert witness.reads(BIGS[1], 0, 8 << 20) < DEADLINE_S  # its writes hang
    assert witness.reads(BIGS[0], 0, 1 << 20) < DEADLINE_S  # and a read
    assert drive.process is not None
    drive.process.terminate()
    wait_until(lambda: not Path(drive.point).is_mount(), 20, "unmounted")
    # the process itself cannot go while the kernel holds a thread of it: the disk must answer first
    disk.turn("well")
    assert drive.process.wait(20) == 0
    drive.close()


def test_a_small_disk_that_somebody_else_fills(calm, make_drive, tmp_path):
    place = tmp_path / "small disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(place)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("only root can make a small disk")
    filler = place / "filler"

    def fill() -> None:
        with filler.open("wb") as file:
            try:
                while file.write(bytes(1 << 20)):
                    file.flush()
            except OSError:
                pass  # full

    def at_rest() -> int:
        return sum(p.stat().st_blocks * 512 for p in place.rglob("data/*/*") if p.is_file())

    try:
        drive = make_drive(
            config=CONFIG, log_level="info", environ={"DMFS_CACHE_DIR": str(place / "cache")}
        )
        bad_day(drive, fill, filler.unlink, at_rest)
        drive.close()
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_cache_deleted_while_mounted_is_made_anew(calm, make_drive):
    drive = make_drive(config=CONFIG, log_level="info")
    cache = drive.home.cache

    def at_rest() -> int:
        return sum(p.stat().st_blocks * 512 for p in cache.rglob("data/*/*") if p.is_file())

    said = bad_day(drive, lambda: shutil.rmtree(cache), lambda: None, at_rest)
    assert len(said) == 1, said


def test_a_slow_disk_slows_no_reader_and_no_end(calm, make_drive, disk):
    """3 MB/s: at that pace the 80 MB of these streams take 27 s, and so did its reader."""
    disk.turn("slow:3000000")
    cache = {"DMFS_CACHE_DIR": str(disk.directory / "cache")}
    drive = make_drive(config=CONFIG, log_level="info", environ=cache)
    witness = Witness(drive)
    began = time.monotonic()
    for name in BIGS[:2]:
        witness.reads(name)
        looked = time.monotonic()
        assert drive.call("read", drive.path(FOLDER, "small", "small-00001.txt"))
        assert time.monotonic() - looked < 4.0, "behind 8 MiB that are being written: 2.7 s"
    assert time.monotonic() - began < 20.0
    assert witness.complaints() == [], "slow is not broken"
    assert gauges(drive)["disk.dropped_bytes"] > 0
    assert "not all of it is kept" in drive.log()
    began = time.monotonic()
    assert drive.stop() == 0
    assert time.monotonic() - began < 9.0
    assert not Path(drive.point).is_mount()
    disk.turn("well")
    drive.start()  # what was kept is whole
    Witness(drive).reads(BIGS[0], 0, 8 << 20)
    assert gauges(drive)["blocks.disk_bytes"] > 0
    drive.close()
