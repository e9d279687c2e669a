"""What docs/fsspec.md tells to type works. Blocks for other programs run in tests/engines."""

from __future__ import annotations

from typing import Any

from dmfs.emulator.process import EmulatorProcess
from dmfs.spec.filesystem import DmfsFileSystem
from tests.spec import page
from tests.spec.conftest import Open


def test_the_blocks_of_the_page(open_fs: Open, emulator: EmulatorProcess):
    DmfsFileSystem.clear_instance_cache()
    made: dict[str, Any] = {}
    try:
        made = page.run([each for each in page.blocks() if not page.missing(each)])
        assert (made["before"], made["parts"][0]) == (b"First meeting.\n", b"Welcome to")
        assert [each.rpartition("/")[2] for each in made["fs"].glob(made["folder"] + "/*/*.ifc")]
        assert [len(made[each]) for each in ("versions", "first")] == [2, 31]
        assert made["member"].startswith(b"door,width_mm")
        assert made["address"].startswith("http")
        assert emulator.counts()["sign"] > 0  # how much is listed ahead depends on the machine
    finally:
        for name in ("same", "fs", "small", "elsewhere"):
            if name in made:
                made[name].close()
        DmfsFileSystem.clear_instance_cache()
