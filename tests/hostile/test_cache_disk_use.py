"""A cache's disk of which some still works, under a real mount: it is read-only, it is slow, or it
hangs while the drive ends."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.hostile import bad_days
from tests.hostile.bad_days import BIGS, CONFIG, DEADLINE_S, FOLDER, Witness
from tests.hostile.measure import gauges
from tests.hostile.test_cache_disk import disk
from tests.support.mounts import wait_until

__all__ = ["disk"]

pytestmark = pytest.mark.mount


@pytest.fixture(scope="module")
def world_spec() -> str:
    return bad_days.WORLD


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
