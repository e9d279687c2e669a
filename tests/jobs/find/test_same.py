"""Whether it is searched or walked, the same files are found: in a world with every kind of name,
item and folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmfs.assembly import open_drive
from dmfs.config import Settings
from dmfs.emulator.process import EmulatorProcess
from tests.jobs.find.test_find import paths
from tests.support.fixtures import running_emulator
from tests.support.helpers import real
from tests.support.told import run_job

QUIRKS = "/Emulated Builders ／ Headquarters/Quirks"
TEAM = "/Emulated Fusion Team"
ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    (QUIRKS, {"iname": "*EQUAL*"}), (QUIRKS, {"name": "*.txt"}),
    (QUIRKS, {"newer": "2024-05-02"}), (TEAM, {"name": "*ous*"}),
)  # fmt: skip


@pytest.fixture(scope="module")
def sample() -> Iterator[EmulatorProcess]:
    with running_emulator(world="sample") as started:
        yield started


@real
async def test_the_search_and_a_walk_find_the_same_files(
    sample: EmulatorProcess, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    here = {
        "api_url": sample.api_url, "client_id": sample.client_id,
        "client_secret": sample.client_secret,
    }  # fmt: skip
    async with open_drive(settings(**here)) as drive:
        walked = [
            paths(await run_job(drive, "find", path=path, type="f", **each)) for path, each in ASKED
        ]
    assert all(walked), str([len(each) for each in walked])
    for number, (path, each) in enumerate(ASKED):
        own = settings(**here, scopes="data:read data:search", cache_dir=tmp_path / str(number))
        async with open_drive(own) as drive:
            told = await run_job(drive, "find", path=path, type="f", **each)
            assert paths(told) == walked[number], each
            assert told.last["searched"]
