"""Old versions in a drive that is written to: they are read, and nothing changes them."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.histories import look_again
from tests.support.mounts import wait_until
from tests.write.saves.place import Folder


def code(change: Callable[..., object], *of: object) -> int:
    """The errno of a change; 0 if it worked."""
    try:
        change(*of)
    except OSError as error:
        return error.errno or -1
    return 0


def listed(folder: Folder) -> None:
    look_again(folder.drive, str(folder.path.relative_to(folder.drive.point)))


@pytest.fixture
def plan(folder: Folder) -> Path:
    """``plan.txt``, which others made in three versions."""
    item = folder.emulator.change(
        "add_item", path=folder.service_path, name="plan.txt", text="first"
    )
    for text in ("the second", "and a third"):
        folder.emulator.change("new_version", id=item["id"], text=text)
    listed(folder)
    return folder / "plan.txt"


def writes(folder: Folder) -> dict[str, int]:
    """Calls that change something."""
    return {
        route: n
        for route, n in folder.emulator.counts().items()
        if n and route in ("storage", "items_post", "versions_post", "folders_post",
                           "folder_patch", "item_patch", "version_patch", "cdn_put")
    }  # fmt: skip


def test_nothing_changes_an_old_version(plan, folder):
    """EACCES where a version is opened to be written, EROFS where its name would be changed, EEXIST
    where something would be made in its place; nothing reaches the service."""
    folder.emulator.reset()
    history = folder / ".versions" / "plan.txt"
    (folder / "other.txt").write_text("of ours")
    (folder / "below").mkdir()
    folder.comes_to_all(
        {"plan.txt": [b"first", b"the second", b"and a third"], "other.txt": [b"of ours"]}
    )
    folder.emulator.reset()
    other, below, new = folder / "other.txt", folder / "below", folder / "new.txt"
    for old in (folder / "plan@v1.txt", history / "plan@v1.txt", folder / "plan@v3.txt"):
        assert os.access(old, os.R_OK)
        assert old.stat().st_mode & 0o777 == 0o444
        for way in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_TRUNC):
            assert code(os.open, old, way) == errno.EACCES, (old, way)
        assert code(os.open, old, os.O_CREAT | os.O_EXCL | os.O_WRONLY) == errno.EEXIST
        assert code(os.truncate, old, 0) == errno.EACCES
        assert code(os.utime, old, (1, 1)) == errno.EACCES
        assert code(os.unlink, old) == errno.EROFS
        assert code(os.rename, old, new) == errno.EROFS
        assert code(os.rename, plan, old) == errno.EROFS
        assert code(os.rename, other, old) == errno.EROFS
        assert code(os.mkdir, old) == errno.EEXIST
    for view in (folder / ".versions", history):
        assert view.stat().st_mode & 0o777 == 0o555
        assert code(os.mkdir, view) == errno.EEXIST
        assert code(os.mkdir, view / "new") == errno.EROFS
        assert code(os.open, view / "new", os.O_CREAT | os.O_WRONLY) == errno.EROFS
        assert code(os.mknod, view / "new") == errno.EROFS
        assert code(os.rmdir, view) == errno.EROFS
        assert code(os.rename, view, new) == errno.EROFS
        assert code(os.rename, plan, view / "new") == errno.EROFS
        assert code(os.rename, below, view / "new") == errno.EROFS
        assert code(os.rename, below, view) == errno.EROFS
    assert folder.names() == ["below", "other.txt", "plan.txt"]
    assert (folder / "plan@v1.txt").read_text() == "first"
    listed(folder)
    assert writes(folder) == {}
    assert folder.names() == ["below", "other.txt", "plan.txt"]


def test_what_programs_say_of_an_old_version(plan, folder):
    folder.emulator.reset()
    for words, said in (
        ("touch plan@v1.txt", "Permission denied"),
        ("cp plan.txt plan@v1.txt", "Permission denied"),
        ("cp --remove-destination plan.txt plan@v1.txt", "Read-only file system"),
        ("mv plan.txt plan@v2.txt", "Read-only file system"),
        ("rm -f plan@v2.txt", "Read-only file system"),
        ("rm -rf .versions", "Read-only file system"),
        ("mkdir .versions", "File exists"),
        ("mkdir -p .versions/plan.txt", ""),
        ("sh -c 'echo x > plan@v2.txt'", "Permission denied"),
        ("sh -c 'echo x > .versions/plan.txt/x'", "Read-only file system"),
    ):
        done = folder.drive.tool("sh", "-c", words, cwd=folder.path)
        text = done.stderr.decode()
        assert (done.returncode != 0) == bool(said), words
        assert said in text, words
    assert folder.names() == ["plan.txt"]
    assert writes(folder) == {}


def test_the_drives_own_commands_change_no_version(plan, folder, tmp_path):
    (tmp_path / "x").write_text("x")
    folder.emulator.reset()
    run = folder.drive.home.run
    for words in (
        ("put", str(tmp_path / "x"), str(folder / "plan@v1.txt")),
        ("put", str(tmp_path / "x"), str(folder / ".versions" / "new.txt")),
        ("rm", str(folder / "plan@v1.txt")),
        ("mkdir", str(folder / ".versions")),
        ("mkdir", str(folder / ".versions" / "new")),
    ):
        done = run(*words)
        assert done.returncode == 1, words
        line = done.stderr.decode()
        assert "old versions can be read and copied, and are never changed" in line
        assert line.count("\n") == 1
    assert writes(folder) == {}
    assert folder.names() == ["plan.txt"]


def test_a_name_that_means_no_version_can_be_had(plan, folder):
    """And means what was made from then on, until there is such a version: it goes first."""
    (folder / "plan@v4.txt").write_text("mine")
    (folder / "plan@v07.txt").write_text("mine, too")
    assert (folder / "plan@v4.txt").read_text() == "mine"
    wait_until(lambda: set(folder.ids()) == {"plan.txt", "plan@v4.txt", "plan@v07.txt"})
    plan.write_text("a fourth")
    wait_until(lambda: len(folder.sums()["plan.txt"]) == 4)
    listed(folder)
    assert (folder / "plan@v4.txt").read_text() == "mine"
    assert (folder / ".versions" / "plan.txt" / "plan@v4.txt").read_text() == "a fourth"
    (folder / "plan@v4.txt").unlink()
    assert (folder / "plan@v4.txt").read_text() == "a fourth"


def test_an_old_version_is_as_it_was_while_its_file_is_being_edited(plan, folder):
    """With the file open, between its save and the upload, and after that; the second save follows
    one that no listing shows yet."""
    old, history = folder / "plan@v3.txt", folder / ".versions" / "plan.txt"
    before = old.stat()
    names = ["plan@v1.txt", "plan@v2.txt", "plan@v3.txt"]

    def is_as_it_was() -> None:
        after = old.stat()
        for attribute in ("st_size", "st_mtime_ns", "st_ino", "st_mode"):
            assert getattr(after, attribute) == getattr(before, attribute)
        assert old.read_bytes() == os.pread(reader, 100, 0) == b"and a third"
        assert (folder / "plan@v1.txt").read_bytes() == b"first"
        assert sorted(each.name for each in history.iterdir()) == names

    reader = os.open(old, os.O_RDONLY)
    try:
        for number in (4, 5):
            editor = os.open(plan, os.O_RDWR)
            text = b"edit %d" % number
            os.pwrite(editor, text, 0)
            is_as_it_was()
            os.ftruncate(editor, len(text))
            os.fsync(editor)
            is_as_it_was()
            assert plan.read_bytes() == text
            if number == 4:
                told = folder.drive.home.run("versions", "--json", str(plan))
                assert (told.returncode, told.stderr) == (0, b"")
                rows = [json.loads(line) for line in told.stdout.splitlines()]
                assert [row["name"] for row in rows if "name" in row] == names[::-1]
            os.close(editor)
            is_as_it_was()
            new = folder / f"plan@v{number}.txt"
            wait_until(new.exists)
            wait_until((history / new.name).exists)
            wait_until(lambda new=new: new.name in os.listdir(history))  # noqa: PTH208
            names.append(new.name)
            is_as_it_was()
            assert new.read_bytes() == text
            assert new.stat().st_mode & 0o777 == 0o444
            facts = folder.emulator.timeline(path=f"{folder.service_path}/plan.txt")
            assert len(facts) >= number
        (folder / "plan@v4.txt").read_bytes()
        listed(folder)
        is_as_it_was()
        assert (folder / "plan@v4.txt").read_bytes() == b"edit 4"
        assert plan.read_bytes() == b"edit 5"
    finally:
        os.close(reader)


def test_what_has_no_version_yet_has_no_history(folder):
    (folder / "new.txt").write_text("draft")
    (folder / ".local.swp").write_text("stays here")
    for name in ("new@v1.txt", ".versions/new.txt", ".versions/.local.swp", ".local@v1.swp"):
        assert not (folder / name).exists() or name == "new@v1.txt"
    assert list((folder / ".versions").iterdir()) == []
    folder.comes_to_all({"new.txt": [b"draft"]})
    wait_until((folder / "new@v1.txt").exists)
    assert list((folder / ".versions").iterdir()) == []
    (folder / "new.txt").write_text("second")
    wait_until((folder / ".versions" / "new.txt").exists)
    assert (folder / ".versions/new.txt/new@v1.txt").read_text() == "draft"
    assert (folder / "new@v2.txt").read_text() == "second"


def test_a_conflict_copy_has_a_history_of_its_own(plan, folder):
    with plan.open("r+") as editor:
        editor.write("mine")
        folder.emulator.change(
            "new_version", path=f"{folder.service_path}/plan.txt", text="theirs meanwhile"
        )
    wait_until(lambda: any("conflict" in name for name in folder.ids()))
    wait_until(lambda: plan.read_text() == "theirs meanwhile")
    beside = next(folder / name for name in folder.names() if "conflict" in name)
    assert (folder / "plan@v4.txt").read_text() == "theirs meanwhile"
    assert (folder / "plan@v3.txt").read_text() == "and a third"
    assert [each.name for each in (folder / ".versions").iterdir()] == ["plan.txt"]
    assert (folder / f"{beside.stem}@v1.txt").read_text() == beside.read_text()


def test_a_renamed_file_takes_its_history_along(plan, folder):
    plan.rename(folder / "renamed.txt")
    assert (folder / "renamed@v1.txt").read_text() == "first"
    assert not (folder / "plan@v1.txt").exists()
    wait_until(lambda: set(folder.ids()) == {"renamed.txt"})
    listed(folder)
    assert (folder / "renamed@v3.txt").read_text() == "and a third"
    assert (folder / ".versions" / "renamed.txt" / "renamed@v2.txt").read_text() == "the second"


def test_a_deleted_file_takes_its_history_along(plan, folder):
    reader = os.open(folder / "plan@v1.txt", os.O_RDONLY)
    plan.unlink()
    assert not (folder / "plan@v1.txt").exists()
    assert list((folder / ".versions").iterdir()) == []
    assert os.pread(reader, 100, 0) == b"first"
    os.close(reader)
    folder.comes_to_all({})


def test_an_old_version_is_copied_over_the_file_to_bring_it_back(plan, folder):
    done = folder.drive.tool("cp", "plan@v1.txt", "plan.txt", cwd=folder.path)
    assert (done.returncode, done.stderr) == (0, b"")
    folder.comes_to_all({"plan.txt": [b"first", b"the second", b"and a third", b"first"]})
    assert (folder / "plan@v3.txt").read_text() == "and a third"


def test_a_save_by_another_name_goes_on_with_the_history(plan, folder):
    """As editors save: what was written under another name takes the place of the file. Nothing of
    the history is missing from then until the upload, which an open handle puts off."""
    history = folder / ".versions" / "plan.txt"
    (folder / "another.txt").write_text("new")
    for number, text in ((4, b"the fourth"), (5, b"the fifth one")):
        with (folder / "plan.txt.tmp").open("wb") as editor:
            editor.write(text)
            editor.flush()
            (folder / "plan.txt.tmp").replace(plan)
            assert (folder / "plan@v3.txt").read_bytes() == b"and a third"
            assert not (folder / f"plan@v{number}.txt").exists()
            names = [f"plan@v{each}.txt" for each in range(1, number)]
            assert sorted(each.name for each in history.iterdir()) == names
            told = folder.drive.home.run("versions", "--json", str(plan))
            assert (told.returncode, told.stderr) == (0, b"")
            rows = [json.loads(line) for line in told.stdout.splitlines()]
            assert [row["name"] for row in rows if "name" in row] == names[::-1]
            assert plan.read_bytes() == text
        wait_until((folder / f"plan@v{number}.txt").exists)
        assert (folder / f"plan@v{number}.txt").read_bytes() == text
        assert (folder / "plan@v3.txt").read_bytes() == b"and a third"
    listed(folder)
    assert sorted(each.name for each in history.iterdir()) == [
        f"plan@v{number}.txt" for number in range(1, 6)
    ]


def test_what_was_moved_aside_keeps_its_history_there(plan, folder):
    """As editors save that keep what was: the history is under one name, not under two."""
    aside = folder / "plan.bak"
    plan.rename(aside)
    with plan.open("wb") as editor:
        editor.write(b"anew")
        editor.flush()
        assert (folder / "plan@v3.bak").read_bytes() == b"and a third"
        assert not (folder / "plan@v3.txt").exists()
        aside.unlink()
        assert not (folder / "plan@v3.bak").exists()
        assert (folder / "plan@v3.txt").read_bytes() == b"and a third"
    wait_until((folder / "plan@v4.txt").exists)
    assert (folder / "plan@v4.txt").read_bytes() == b"anew"
