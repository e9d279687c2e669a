"""Handles of an exported mount, opened as an NFS server does it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.file_handles import Handle, handle_of, open_handle
from tests.support.fixtures import drives
from tests.support.mounts import Drive, wait_until
from tests.write.conftest import WRITES

FILES = "Emulated Builders ／ Headquarters/Sample Project/Project Files"
RAW = "Emulated Builders ~1 Headquarters/Sample Project/Project Files"
Found = TypeVar("Found")
EXPORT = ("export,allow_other",)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="open_by_handle_at(2) is for root")


@pytest.fixture(scope="module")
def drive_config() -> dict[str, object]:
    return {"ttl": "10m", "hub_ttl": "10m"}


@pytest.fixture
def make(calm: EmulatorProcess, tmp_path: Path) -> Iterator[Callable[..., Drive]]:
    config = {"ttl": "200ms", "hub_ttl": "200ms", "patience": "3s", "rollup_trust": 0}
    with drives(tmp_path, calm, options=EXPORT, config=config) as made:
        yield made


def read_by(drive: Drive, handle: Handle) -> bytes:
    number = open_handle(str(drive.point), handle)
    with os.fdopen(number, "rb") as file:
        return file.read()


def listed_by(drive: Drive, handle: Handle) -> list[str]:
    number = open_handle(str(drive.point), handle, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return sorted(os.listdir(number))  # noqa: PTH208 - by its descriptor
    finally:
        os.close(number)


def restored(drive: Drive) -> int:
    """How often the kernel asked for an inode that it had forgotten."""
    return drive.log().count("by_handle")


def after_forgetting(drive: Drive, look: Callable[[], Found]) -> Found:
    """What ``look`` gives once the kernel has forgotten what it looks at."""
    before = restored(drive)
    for _ in range(20):
        Path("/proc/sys/vm/drop_caches").write_text("2")
        found = look()
        if restored(drive) > before:
            return found
    raise AssertionError("the kernel forgets nothing")


def stale(look: Callable[[], object]) -> bool:
    with contextlib.suppress(OSError):
        look()
        return False
    with pytest.raises(OSError) as failed:
        look()
    return failed.value.errno == errno.ESTALE


def test_a_handle_of_an_export_means_the_same_file_for_ever(make, calm):
    drive = make("one")
    path, folder = drive.path(FILES, "README.txt"), drive.path(FILES)
    content, names = Path(path).read_bytes(), sorted(p.name for p in Path(folder).iterdir())
    file, directory, top = handle_of(path), handle_of(folder), handle_of(str(drive.point))
    assert read_by(drive, file) == content
    assert after_forgetting(drive, lambda: read_by(drive, file)) == content
    assert after_forgetting(drive, lambda: listed_by(drive, directory)) == names

    drive.kill()  # with its last breath it promised nothing
    drive.close()
    calls = make("one")
    assert read_by(calls, file) == content
    assert listed_by(calls, directory) == names
    assert Path("README.txt").name in names
    assert listed_by(calls, top)
    assert restored(calls) >= 2
    assert handle_of(path) == file
    assert handle_of(folder) == directory

    # a new version is another file, and the handle stays that of the old one
    calm.change("new_version", path=f"{RAW}/README.txt", size=5000)
    wait_until(lambda: Path(path).stat().st_size == 5000, 10)
    assert handle_of(path) != file
    assert after_forgetting(calls, lambda: read_by(calls, file)) == content
    newer = handle_of(path)

    calm.change("rename", path=f"{RAW}/README.txt", name="READ ME.txt")
    wait_until(lambda: not Path(path).exists(), 10)
    assert len(after_forgetting(calls, lambda: read_by(calls, newer))) == 5000

    calm.change("hide", path=f"{RAW}/READ ME.txt")
    wait_until(lambda: not Path(folder, "READ ME.txt").exists(), 10)
    wait_until(lambda: gone(calls, newer), 10)
    assert stale(lambda: read_by(calls, file))


def gone(drive: Drive, handle: Handle) -> bool:
    """Whether it is, once the kernel has forgotten it."""
    Path("/proc/sys/vm/drop_caches").write_text("2")
    return stale(lambda: read_by(drive, handle))


def test_the_handles_of_a_walk_outlive_a_kill(tmp_path, calm):
    """With those of its folders; and a walk by handles lists nothing again that is stored."""
    # what is listed ahead of a walk depends on how fast it goes: none, for the count
    config = {"ttl": "10m", "hub_ttl": "10m", "walk_ahead": 0}
    with drives(tmp_path, calm, options=EXPORT, config=config) as make:
        drive = make("one")
        paths = [
            os.path.join(at, name)  # noqa: PTH118
            for at, folders, files in os.walk(drive.path(FILES))
            for name in (*folders, *files)
        ]
        handles = {path: handle_of(path) for path in paths}
        numbers = {path: os.lstat(path).st_ino for path in paths}
        assert len(handles) > 15
        for end in (Drive.kill, Drive.stop):
            end(drive)
            drive.close()
            calm.reset()
            drive = make("one")
            for path, handle in handles.items():
                number = open_handle(str(drive.point), handle, os.O_PATH)
                assert os.fstat(number).st_ino == numbers[path]
                os.close(number)
        # of the second time: a kill may cost listings that were about to be stored
        assert drive.counts().get("contents", 0) == 0


def test_what_was_written_has_the_handle_that_it_had_over_its_upload_and_a_restart(tmp_path, calm):
    options = ("rw", "shared_identity", *EXPORT)
    with drives(tmp_path, calm, options=options, config=WRITES) as make:
        drive = make("one")
        path = Path(drive.path(FILES, "Documents", "new.txt"))
        path.write_bytes(b"first")
        handle = handle_of(str(path))
        path.write_bytes(b"second")
        assert handle_of(str(path)) == handle
        assert after_forgetting(drive, lambda: read_by(drive, handle)) == b"second"
        drive.home.run("uploads", "--wait")
        assert after_forgetting(drive, lambda: read_by(drive, handle)) == b"second"
        drive.kill()
        drive.close()
        assert read_by(make("one"), handle) == b"second"
