"""The cache's disk on its worst days, under a real mount: it fails, turns read-only, fills, hangs.
Reads go on from the network with right bytes and one warning, and what is read once the disk is
well again is cached again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile import bad_days
from tests.hostile.bad_days import CONFIG, bad_day
from tests.support.baddisk import BadDisk

pytestmark = pytest.mark.mount


@pytest.fixture(scope="module")
def world_spec() -> str:
    return bad_days.WORLD


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[BadDisk]:
    with BadDisk(tmp_path / "bad") as bad:
        yield bad


@pytest.mark.parametrize("mood", ["eio", "erofs", "enospc", "hang"])
def test_a_disk_that_turns_bad_and_well_again(mood, calm, make_drive, disk):
    cache = {"DMFS_CACHE_DIR": str(disk.directory / "cache")}
    drive = make_drive(config=CONFIG, log_level="info", environ=cache)
    said = bad_day(drive, lambda: disk.turn(mood), lambda: disk.turn("well"), disk.bytes_at_rest)
    drive.close()  # before its disk
    assert len([line for line in said if "the disk cache fails" in line]) == 1, said
    assert len([line for line in said if "the disk that keeps listings fails" in line]) <= 1, said
    assert len(said) <= 2, said
