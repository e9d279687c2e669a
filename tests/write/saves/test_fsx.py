"""Random operations on a file of a real mount, with uploads beneath and remounts between."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Drive, wait_until
from tests.support.sample import SAMPLE
from tests.write.conftest import WRITES
from tests.write.saves.fsx import DifferenceError, Exerciser
from tests.write.saves.place import Folder, sha256

pytestmark = pytest.mark.mount
SEED = 20_261_129


@pytest.mark.parametrize("rounds", [5])
def test_a_file_is_what_was_written(
    make_drive: Callable[..., Drive], calm: EmulatorProcess, rounds: int
) -> None:
    config = {**WRITES, "upload_delay": "0s", "data_timeout": "30s"}
    drive = make_drive(config=config)
    path = Path(drive.path(SAMPLE)) / "fsx"
    path.mkdir()
    folder = Folder(drive, calm, path)
    _ = folder.id
    fsx = Exerciser(path / "f.bin", SEED)
    chance = random.Random(SEED)
    for number in range(rounds):
        if number:
            drive.start()
            fsx.check()
            fsx.open()
        fsx.run(1500 // rounds)
        fsx.close()
        fsx.check()
        if number < rounds - 1:
            if chance.random() < 0.5:
                assert drive.stop() == 0
            else:
                drive.kill()
                drive.close()
    folder_sums = folder.sums().get("f.bin", [])
    versions = len(folder_sums)
    assert versions > 1, "nothing went up meanwhile"
    wanted = sha256(bytes(fsx.model))
    wait_until(lambda: folder.sums()["f.bin"][-1] == wanted)
    assert set(folder.sums()) == {"f.bin"}
    assert calm.violations() == {}


def test_it_finds_a_byte_that_differs(tmp_path: Path) -> None:
    """The exerciser is right on the disk, and sees what is wrong."""
    fsx = Exerciser(tmp_path / "f", 1)
    fsx.run(500)
    fsx.check()
    fsx.model[len(fsx.model) // 2] ^= 1
    with pytest.raises(DifferenceError):
        fsx.check()
    fsx.close()
