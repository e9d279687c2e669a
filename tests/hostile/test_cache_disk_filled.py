"""The cache's disk is taken away under a real mount: somebody else fills it, or deletes all."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.hostile import bad_days
from tests.hostile.bad_days import CONFIG, bad_day

pytestmark = pytest.mark.mount


@pytest.fixture(scope="module")
def world_spec() -> str:
    return bad_days.WORLD


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
