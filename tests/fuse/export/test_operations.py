"""What an exported mount shows of directories, without a mount."""

from __future__ import annotations

from pathlib import Path

import pytest

import dmfs.fuse.export.operations
from dmfs.fuse.attributes import Ownership
from dmfs.fuse.export.handle_table import HandleTable
from dmfs.fuse.export.handles import Handles
from dmfs.fuse.export.numbering import generation_of
from dmfs.fuse.export.operations import DIRECTORY_ATTR_S, SETTLED_NS, ExportOperations
from dmfs.fuse.inode_table import ROOT_INODE
from dmfs.model import Folder, FolderId, HubId, ProjectId, Root
from tests.support.helpers import a_file
from tests.support.made_drives import a_drive

FOLDER = Folder(FolderId("f"), ProjectId("b.p"), HubId("b.h"), "Plans", mtime_ns=5)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    times = [10**18]
    monkeypatch.setattr(dmfs.fuse.export.operations, "wall_time_ns", lambda: times[0])
    return times


def test_a_change_in_an_export_changes_the_time_of_its_directory(
    now: list[int], tmp_path: Path
) -> None:
    """And goes on for a moment, since the kernel takes the changed names later than it is told."""
    door = ExportOperations(a_drive(), Root(), Ownership(0, 0))
    door.keep_handles(Handles(HandleTable(tmp_path / "a.db")))
    row = door._inodes.ref(ROOT_INODE, "Plans", FOLDER)
    pushed: list[bytes] = []
    door.push_by = lambda _parent, name: pushed.append(name)

    def shown_ns() -> int:
        entry = door._entry(row.number, FOLDER, 60.0)
        assert entry.st_mtime_ns == FOLDER.mtime_ns
        assert entry.attr_timeout <= DIRECTORY_ATTR_S
        assert entry.generation == generation_of(FOLDER.identity)
        return int(entry.st_ctime_ns)

    began = now[0]
    now[0] = began + 3600 * 10**9
    still = shown_ns()
    now[0] += 10**9
    assert shown_ns() == still == began + SETTLED_NS
    door._on_changes(FOLDER, ["plan.dwg"])
    assert pushed == [b"plan.dwg"]
    changed = shown_ns()
    assert changed == now[0] > still
    now[0] += 10**9
    assert shown_ns() > changed
    now[0] += SETTLED_NS
    settled = shown_ns()
    now[0] += 10**9
    assert shown_ns() == settled > changed


def test_the_handle_of_a_file_that_is_saved_stays(tmp_path: Path) -> None:
    door = ExportOperations(a_drive(), Root(), Ownership(0, 0))
    door.keep_handles(Handles(HandleTable(tmp_path / "a.db")))
    before, after = a_file("plan"), a_file("plan v2")
    row = door._inodes.ref(ROOT_INODE, "plan", before)
    told = door._entry(row.number, before, 60.0)
    door._inodes.became(before, after)
    again = door._entry(door._inodes.number_of(after), after, 60.0)
    assert (again.st_ino, again.generation) == (told.st_ino, told.generation)
