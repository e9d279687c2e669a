"""One file by all ways at once."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.spec.conftest import BENCH
from tests.support.fixtures import drives, running_emulator

SIZE = 12 * 1024 * 1024
READ = """
import hashlib, sys
from dmfs.spec.filesystem import DmfsFileSystem
print(hashlib.sha256(DmfsFileSystem().open(sys.argv[1]).read()).hexdigest())
"""


@pytest.mark.mount
def test_a_file_that_is_read_by_all_ways_at_once_is_fetched_once(tmp_path: Path) -> None:
    path = f"{BENCH}/big/big-00.bin"
    world = f"big:size={SIZE},count=1"
    with (
        running_emulator(world=world, cdn_mb_per_s=20) as emulator,
        drives(tmp_path, emulator, source=BENCH) as make,
        ThreadPoolExecutor(3) as pool,
    ):
        drive = make()
        home = drive.home
        ways = [
            pool.submit(drive.tool, "sha256sum", drive.path("big", "big-00.bin")),
            pool.submit(home.tool, sys.executable, "-c", READ, path),
            pool.submit(home.tool, "sh", "-c", 'exec "$0" -m dmfs cat "$1" | sha256sum',
                        sys.executable, path),
        ]  # fmt: skip
        read = {each.result().stdout.split()[0].decode() for each in ways}
        calls = emulator.calls()
        assert read == {whole_of(emulator.timeline(path=path.lstrip("/")))}
        assert calls["cdn_bytes"] == SIZE
        assert calls["counts"]["cdn_get"] < 2 * SIZE // (1024 * 1024)


def whole_of(versions: list[dict[str, str]]) -> str:
    """SHA-256 of the true bytes of the newest."""
    return versions[-1]["sha256"]
