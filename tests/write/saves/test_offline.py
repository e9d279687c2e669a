"""Folders made while the service is away: they can be used at once, and become real ones later."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Drive, wait_until
from tests.support.sample import SAMPLE
from tests.write.saves.place import Folder, sha256

pytestmark = pytest.mark.mount


@pytest.mark.parametrize("restarts", [False, True])
def test_a_folder_that_is_made_later(
    make_drive: Callable[..., Drive], calm: EmulatorProcess, restarts: bool
) -> None:
    drive = make_drive()
    base = Path(drive.path(SAMPLE)) / f"offline {restarts}"
    base.mkdir()
    (base / "before").write_bytes(b"x")  # what may be done here is known by now
    assert drive.home.run("offline", "on", str(drive.point)).returncode == 0
    (base / "a").mkdir()
    (base / "a" / "b").mkdir()
    (base / "gone").mkdir()
    (base / "gone").rmdir()
    (base / "a" / "f").write_bytes(b"in a")
    (base / "a" / "b" / "g").write_bytes(b"in b")
    handle = os.open(base / "a" / "b" / "h", os.O_RDWR | os.O_CREAT)
    os.write(handle, b"first ")
    inode = (base / "a").stat().st_ino
    assert sorted(each.name for each in (base / "a").iterdir()) == ["b", "f"]
    if restarts:
        os.close(handle)
        drive.kill()
        drive.close()
        drive.start()
        assert (base / "a" / "b" / "g").read_bytes() == b"in b"
        handle = os.open(base / "a" / "b" / "h", os.O_RDWR | os.O_APPEND)
        os.write(handle, b"")
    else:
        assert drive.home.run("offline", "off", str(drive.point)).returncode == 0
    wait_until(lambda: not _id(base / "a" / "b").startswith("local:"))
    os.write(handle, b"second")
    os.close(handle)
    first = Folder(drive, calm, base / "a")
    first.comes_to(f=[b"in a"])
    second = Folder(drive, calm, base / "a" / "b")
    wait_until(lambda: {k: v[-1] for k, v in second.sums().items()} == {
        "g": sha256(b"in b"), "h": sha256(b"first second")
    })  # fmt: skip
    assert (base / "a" / "b" / "h").read_bytes() == b"first second"
    assert restarts or (base / "a").stat().st_ino == inode
    made = [each["name"] for each in calm.writes()["events"] if each["what"] == "new_folder"]
    assert made[-3:] == [base.name, "a", "b"]
    assert calm.violations() == {}


def _id(path: Path) -> str:
    return os.getxattr(path, "user.dmfs.folder_id").decode()
