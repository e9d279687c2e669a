"""Two mounts of one person, two processes, one cache: what is pinned stays, whatever is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.commands import stdout_of
from tests.support.fixtures import drives, running_emulator
from tests.support.mounts import Drive

pytestmark = pytest.mark.mount

CACHE_BYTES = 16 * 1024 * 1024
PINNED_FILES, OTHERS, OTHER_BYTES = 20, 20, 8_500_000
"""Together ten times the cache, read by each of the two."""
FILES = "Bench/Bench Project/Project Files"


@pytest.fixture
def emulator() -> Iterator[EmulatorProcess]:
    world = f"small:files={PINNED_FILES},min=100000,max=600000"
    with running_emulator(world=f"{world}+big:size={OTHER_BYTES},count={OTHERS}") as started:
        yield started


def test_ten_times_the_cache_read_through_by_two_processes_costs_no_pinned_block(
    emulator: EmulatorProcess, tmp_path: Path
) -> None:
    assert OTHERS * OTHER_BYTES >= 10 * CACHE_BYTES
    config = {"cache_size": CACHE_BYTES, "memory_budget": "16M"}
    with drives(tmp_path, emulator, log_level="info") as make:
        one: Drive = make("one", config=config)
        two: Drive = make("two", home=one.home)
        lines = stdout_of(one.home, "pin", "--json", one.path(FILES, "small")).splitlines()
        assert [pin["state"] for pin in json.loads(lines[-1])["pins"]] == ["complete"]
        names = one.call("listdir", one.path(FILES, "small"))
        true = {
            name: emulator.sha256(
                one.call(
                    "getxattr", one.path(FILES, "small", name), "user.dmfs.storage_id"
                ).decode()
            )
            for name in names
        }
        assert len(true) == PINNED_FILES
        for each in (one, two):
            for name in each.call("listdir", each.path(FILES, "big")):
                each.call("sha256", each.path(FILES, "big", name))
        status = json.loads(stdout_of(one.home, "status", "--json", str(one.point)))[0]
        assert status["cache"]["evicted_bytes"] > 0
        assert status["cache"]["bytes"] <= CACHE_BYTES
        assert one.stop() == two.stop() == 0
        for origin in ("cdn", "api"):
            emulator.refuse(origin, 3600)
        two.start()
        for name, expected in true.items():
            assert tuple(two.call("sha256", two.path(FILES, "small", name))) == expected, name
