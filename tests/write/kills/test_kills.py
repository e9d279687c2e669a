"""The mount is killed while programs save: what close(2) confirmed is there, and goes up once."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Drive, wait_until
from tests.support.sample import SAMPLE
from tests.write.conftest import WRITES
from tests.write.kills import saver
from tests.write.saves.place import LOST_S, Folder, sha256

pytestmark = pytest.mark.mount
KILLS = int(os.environ.get("DMFS_SAVE_KILLS", "12"))
GONE = {f"over {errno.ENOTCONN}", f"over {errno.ECONNABORTED}"}
SEED = int(os.environ.get("DMFS_SAVE_SEED", "20261129"))


class Account:
    """What programs were told: by name, what is there now, and all that might have gone up."""

    def __init__(self) -> None:
        self.now: dict[str, set[str]] = {name: {""} for name in saver.NAMES}
        """What may be found; '' for nothing. More than one where the kill came in between."""
        self.lines: list[str] = []
        self.ever: dict[str, set[str]] = {name: set() for name in saver.NAMES}

    def read(self, lines: list[str]) -> int:
        """The saver's lines; how many saves it finished."""
        saves, trying = 0, ""
        self.lines += lines
        for line in lines:
            word, name, *rest = line.split()
            if word == "try":
                trying = rest[0]
                self.ever[name].add(trying)
                self.now[name].add(trying)
            elif word == "done":
                self.now[name] = {trying}
                saves += 1
        return saves

    def check(self, directory: Path) -> None:
        """What is in the mount is what was confirmed last, or what the kill came upon. From then on
        it is that."""
        assert not [each.name for each in directory.iterdir() if "conflict" in each.name]
        for name in saver.NAMES:
            path = directory / name
            found = sha256(path.read_bytes()) if path.exists() else ""
            backup = path.with_name(f"{name}~")
            if backup.exists():  # between the two halves of a save: a person would take this one
                if found not in self.now[name]:
                    backup.rename(path)
                    found = sha256(path.read_bytes())
                else:
                    backup.unlink()
            assert found in self.now[name], f"{name}: {found}\n" + "".join(self.lines[-60:])
            self.now[name] = {found}
            self.ever[name].add(found)


@pytest.mark.timeout(90 + 15 * KILLS)
def test_a_close_that_returned_0_survives(
    make_drive: Callable[..., Drive], calm: EmulatorProcess
) -> None:
    chance, account, saves = random.Random(SEED), Account(), 0
    drive = make_drive(config={**WRITES, "upload_delay": "50ms"}, log_level="debug")
    path = Path(drive.path(SAMPLE)) / "kills"
    path.mkdir()
    folder = Folder(drive, calm, path)
    _ = folder.id
    for number in range(KILLS):
        words = [sys.executable, "-IS", saver.__file__, str(path), str(SEED), str(number)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            lines = [program.stdout.readline()]
            try:
                program.wait(chance.uniform(0.02, 0.6))
            except subprocess.TimeoutExpired:
                drive.kill()
                lines += program.stdout.readlines()
            assert lines[-1].strip() in GONE, lines[-3:]
        saves += account.read(lines[:-1])
        drive.close()
        drive.start()
        account.check(path)
        print(f"kill {number + 1} of {KILLS}: {saves} saves so far", flush=True)
    assert saves > KILLS
    _everything_goes_up(folder, account)
    assert calm.violations() == {}


def _everything_goes_up(folder: Folder, account: Account) -> None:
    """Once each, and nothing else."""
    there = {name: next(iter(found)) for name, found in account.now.items() if found != {""}}

    def tips() -> dict[str, str]:
        return {name: sums[-1] for name, sums in folder.sums().items()}

    try:
        wait_until(lambda: tips() == there, LOST_S)
    except AssertionError:
        assert tips() == there, folder.drive.log()[-3000:]
    for name, sums in folder.sums().items():
        assert set(sums) <= account.ever[name], "nobody saved that"
        assert len(set(sums)) == len(sums), "it went up twice"
