"""Random operations on a file of a real mount, with uploads beneath and remounts between."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Drive, wait_until
from tests.support.sample import SAMPLE
from tests.write.conftest import WRITES
from tests.write.kills.fsx import DifferenceError, Exerciser
from tests.write.saves.place import LOST_S, Folder, sha256

pytestmark = pytest.mark.mount
SEED = 20_261_129
ROUNDS, OPS = 5, 300
LONG_S = float(os.environ.get("DMFS_FSX_S", "0"))
"""Go on for so long, with another file and another seed each time."""


@pytest.mark.timeout(120 + 2 * LONG_S)
def test_a_file_is_what_was_written(
    make_drive: Callable[..., Drive], calm: EmulatorProcess
) -> None:
    drive = make_drive(config={**WRITES, "upload_delay": "0s"}, log_level="info")
    path = Path(drive.path(SAMPLE)) / "fsx"
    path.mkdir()
    folder = Folder(drive, calm, path)
    _ = folder.id
    give_up, wanted = time.monotonic() + LONG_S, {}
    for seed in itertools.count(SEED):
        name = f"f{seed}.bin"
        wanted[name] = _exercise(drive, path / name, seed)
        if time.monotonic() >= give_up:
            break

    def tips() -> dict[str, str]:
        return {name: sums[-1] for name, sums in folder.sums().items()}

    wait_until(lambda: tips() == wanted, LOST_S)
    assert len(folder.sums()[f"f{SEED}.bin"]) > 1, "nothing went up meanwhile"
    assert calm.violations() == {}


def _exercise(drive: Drive, path: Path, seed: int) -> str:
    """The sum of the file in the end."""
    fsx, chance = Exerciser(path, seed), random.Random(seed)
    for number in range(ROUNDS):
        if number:
            if chance.random() < 0.5:
                assert drive.stop() == 0
            else:
                drive.kill()
                drive.close()
            drive.start()
            fsx.check()
            fsx.open()
        fsx.run(OPS)
        fsx.close()
        fsx.check()
    return sha256(bytes(fsx.model))


def test_it_finds_a_byte_that_differs(tmp_path: Path) -> None:
    """The exerciser is right on the disk, and sees what is wrong."""
    fsx = Exerciser(tmp_path / "f", 1)
    fsx.run(500)
    fsx.check()
    fsx.model[len(fsx.model) // 2] ^= 1
    with pytest.raises(DifferenceError):
        fsx.check()
    fsx.close()
