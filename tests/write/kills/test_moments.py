"""A kill, or the next save, at a moment that chance meets too seldom."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Drive, wait_until
from tests.support.sample import SAMPLE
from tests.write.saves.place import Folder

pytestmark = pytest.mark.mount


@pytest.fixture
def drive(make_drive: Callable[..., Drive]) -> Drive:
    return make_drive()


@pytest.fixture
def folder(drive: Drive, calm: EmulatorProcess, request: pytest.FixtureRequest) -> Folder:
    path = Path(drive.path(SAMPLE)) / request.node.name
    path.mkdir()
    found = Folder(drive, calm, path)
    assert found.id
    return found


def kill(drive: Drive, *handles: int) -> None:
    drive.kill()
    for handle in handles:
        with pytest.raises(OSError, match=r"."):
            os.close(handle)
    drive.close()
    drive.start()


def test_what_was_not_confirmed_is_as_if_it_had_not_been(drive: Drive, folder: Folder) -> None:
    """Names are written down with any confirmation, also those without confirmed bytes."""
    path = folder.write("version", b"old")
    folder.comes_to(version=[b"old"])
    emptied = os.open(path, os.O_WRONLY | os.O_TRUNC)
    os.write(emptied, b"half")
    new = os.open(folder / "new", os.O_WRONLY | os.O_CREAT)
    os.write(new, b"half")
    folder.write("other", b"whole")
    kill(drive, emptied, new)
    assert folder.names() == ["other", "version"]
    assert path.read_bytes() == b"old"
    folder.comes_to(version=[b"old"], other=[b"whole"])
    path.write_bytes(b"next")
    folder.comes_to(version=[b"old", b"next"], other=[b"whole"])
    assert "Traceback" not in drive.log()


def test_a_rename_confirms_what_it_gives_a_name(drive: Drive, folder: Folder) -> None:
    """Else it would take the confirmed bytes away, and leave none."""
    first = os.open(folder / "f", os.O_WRONLY | os.O_CREAT)
    os.write(first, b"first")
    os.fsync(first)
    second = os.open(folder / "f.tmp", os.O_WRONLY | os.O_CREAT)
    os.write(second, b"second")
    (folder / "f.tmp").rename(folder / "f")
    kill(drive, first, second)
    assert (folder / "f").read_bytes() == b"second"
    folder.comes_to(f=[b"second"])


@pytest.mark.parametrize("killed", [False, True])
def test_a_save_while_the_last_one_is_posted(
    drive: Drive, folder: Folder, calm: EmulatorProcess, killed: bool
) -> None:
    """Our own version is nobody else's."""
    path = folder.write("f", b"first")
    folder.comes_to(f=[b"first"])
    calm.fault("stall_before_headers", route="versions_post", seconds=1.5)
    path.write_bytes(b"second")
    wait_until(lambda: folder.sums()["f"][1:])  # done, and not answered yet
    folder.write("f.tmp", b"third").rename(path)
    if killed:
        kill(drive)
    folder.write("f.tmp", b"fourth").rename(path)
    wait_until(lambda: len(folder.sums()["f"]) > 2, 75)
    folder.comes_to(f=[b"first", b"second", b"fourth"])
    assert folder.names() == ["f"]


def test_times_are_kept_over_restarts(drive: Drive, folder: Folder) -> None:
    """Of a version, and of what has not gone up."""
    path = folder.write("f", b"data")
    folder.comes_to(f=[b"data"])
    os.utime(path, ns=(1, 1_600_000_000_123_456_789))
    other = folder.write("g", b"data")
    os.utime(other, ns=(1, 1_500_000_000_123_456_789))
    for _ in range(2):
        kill(drive)
        assert path.stat().st_mtime_ns == 1_600_000_000_123_456_789
        assert other.stat().st_mtime_ns == 1_500_000_000_123_456_789
    folder.comes_to(f=[b"data"], g=[b"data"])
    assert other.stat().st_mtime_ns == 1_500_000_000_123_456_789
