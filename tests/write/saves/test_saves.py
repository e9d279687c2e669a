"""Saves as programs make them, by real system calls on a real mount: each is one version."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.fixtures import drives
from tests.support.mounts import Drive, wait_until
from tests.support.sample import SAMPLE
from tests.write.conftest import WRITES
from tests.write.saves.place import SEEN_S, Folder, sha256
from tests.write.traces.replay import Trace, before_bytes, lay_out, load, replay
from tests.write.traces.replay import trace_names as all_traces

pytestmark = pytest.mark.mount
DELAY_S = 1.5
"""Longer than any pause in a replay (half a second was not, at a load of 20 on two cores)."""
ORDINARY = {"chromium", "cp_new", "fallocate", "firefox", "rsync"}
"""Traces whose new files are people's, not the program's own."""
NOTHING_CHANGES = {"git_commit", "open_without_a_write"}
Stat = tuple[int, int, int]


class Save:
    """One trace in a folder of its own."""

    def __init__(self, trace: Trace, folder: Folder, plain: Path) -> None:
        """``plain``: a directory of the disk in which the same is done."""
        self.trace = trace
        self.folder = folder
        self._plain = plain
        for path in (folder.path, plain):
            path.mkdir()
            lay_out(trace, path)
        ordinary = trace.name in ORDINARY
        self.wanted = {
            name: [sha256(data)] for name, data in before_bytes(trace).items() if "/" not in name
        }
        """Name → the sums of the versions that are to be there."""
        self._news = {name for name in trace.after if name not in trace.before and "/" not in name}
        self.repeats = not (ordinary and self._news) and trace.name not in NOTHING_CHANGES
        self._stats: dict[str, Stat] = {}
        self._bytes: dict[str, bytes] = {}

    def make(self) -> None:
        number = 1_000 if self.wanted_versions > 1 else 0
        trace = replace(self.trace, ops=[{"op": "stat", "path": "."}] * number + self.trace.ops)
        if number:
            for name in self._news:  # a backup of the save before
                (self.folder / name).unlink()
                (self._plain / name).unlink()
        replay(trace, self.folder.path)
        replay(trace, self._plain)
        self._bytes = {
            str(each.relative_to(self._plain)): each.read_bytes() for each in _files(self._plain)
        }
        for name in self._seen():
            before = before_bytes(trace).get(name)
            if sha256(self._bytes[name]) != sha256(before or b"") or number:
                self.wanted.setdefault(name, []).append(sha256(self._bytes[name]))
        self._stats = self.stats()
        self.check_bytes()

    @property
    def wanted_versions(self) -> int:
        return max(map(len, self.wanted.values()), default=0)

    def _seen(self) -> list[str]:
        """What the service is to have."""
        if self.trace.name in NOTHING_CHANGES:
            return []
        names = [name for name in self._bytes if "/" not in name]
        return [name for name in names if self.trace.name in ORDINARY or name not in self._news]

    def stats(self) -> dict[str, Stat]:
        found = {name: (self.folder / name).stat() for name in self._bytes}
        return {name: (st.st_ino, st.st_mtime_ns, st.st_size) for name, st in found.items()}

    def check_bytes(self) -> None:
        """In another process."""
        for name, data in self._bytes.items():
            found = self.folder.drive.call("read", str(self.folder / name))
            assert found == data, f"{self.trace.name}: {name}"

    def check(self) -> None:
        assert self.folder.sums() == self.wanted, self.trace.name
        assert self.stats() == self._stats, self.trace.name
        self.check_bytes()
        names = {str(path.relative_to(self.folder.path)) for path in _files(self.folder.path)}
        assert names == set(self._bytes)


def _files(path: Path) -> Iterator[Path]:
    return (each for each in path.rglob("*") if each.is_file() and not each.is_symlink())


def come_to_rest(saves: list[Save], emulator: EmulatorProcess) -> None:
    """Wait until the service has what is wanted, and for what should not come."""

    def differ() -> dict[str, object]:
        writes = emulator.writes()
        sums = {each.trace.name: (each.folder.sums(writes), each.wanted) for each in saves}
        return {name: both for name, both in sums.items() if both[0] != both[1]}

    with contextlib.suppress(AssertionError):
        wait_until(lambda: not differ(), SEEN_S)
    assert differ() == {}
    time.sleep(0.2)


@pytest.fixture(scope="module")
def drive(emulator: EmulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    config = {**WRITES, "upload_delay": f"{int(DELAY_S * 1000)}ms"}
    with drives(tmp_path_factory.mktemp("t"), emulator, options=["rw"], config=config) as make:
        yield make()


def test_a_save_is_one_version_of_the_same_item(
    drive: Drive, emulator: EmulatorProcess, tmp_path: Path
) -> None:
    saves = []
    for name in all_traces():
        folder = Folder(drive, emulator, Path(drive.path(SAMPLE)) / name)
        saves.append(Save(load(name), folder, tmp_path / name))
    come_to_rest(saves, emulator)
    items = {save.trace.name: save.folder.ids() for save in saves}
    for save in saves:
        save.make()
    come_to_rest(saves, emulator)
    for save in saves:
        save.check()
    again = [save for save in saves if save.repeats]
    assert len(again) > 25
    for save in again:
        save.make()
    come_to_rest(again, emulator)
    for save in saves:
        save.check()
        before = items[save.trace.name]
        assert {name: save.folder.ids()[name] for name in before} == before, save.trace.name
    assert emulator.violations() == {}
    assert [each for each in emulator.writes()["events"] if each["what"] == "delete"] == []


def test_an_open_without_a_write_is_no_version(drive: Drive, emulator: EmulatorProcess) -> None:
    """LibreOffice opens every document so, and closes it a dozen times."""
    path = Path(drive.path(SAMPLE)) / "opened"
    path.mkdir()
    folder = Folder(drive, emulator, path)
    folder.write("f", b"data")
    folder.comes_to(f=[b"data"])
    before = emulator.counts()
    fd = os.open(path / "f", os.O_RDWR)
    for _ in range(12):
        os.close(os.dup(fd))
        os.fsync(fd)
    os.close(fd)
    time.sleep(0.2)
    folder.write("g", b"next")
    folder.comes_to(f=[b"data"], g=[b"next"])
    after = emulator.counts()
    assert after["versions_post"] == before["versions_post"]
    assert after["storage"] == before["storage"] + 1
