"""``dmfs uploads retry``, ``discard`` and ``get``: what a person does about what waits."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.commands import stdout_of, the_line
from tests.support.mounts import Drive, wait_until
from tests.write.commands.conftest import Folder, sha256
from tests.write.commands.looks import hold, refuse, report, state_of

pytestmark = pytest.mark.mount


def test_discarded_bytes_are_not_sent_and_the_version_is_seen_again(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    folder.add("keep.txt", "theirs")
    refuse(calm)
    path, home = folder.below(mounted, "keep.txt"), mounted.home
    path.write_bytes(b"ours, which nobody wants")
    wait_until(lambda: state_of(path) == "failed")
    the_line(home.run("uploads", "discard", folder.path("keep.txt")), 2)  # nobody can be asked
    said = stdout_of(home, "uploads", "discard", "--yes", str(path)).decode()
    assert said == f"discarded: {folder.path('keep.txt')}\n"
    wait_until(lambda: path.read_bytes() == b"theirs")
    assert path.stat().st_size == 6
    assert report(home, "--local") == {}
    (left,) = (home.state / "spool" / "default" / "discarded").iterdir()
    assert (left / "data").read_bytes() == b"ours, which nobody wants"
    assert len(folder.versions("keep.txt")) == 1


def test_a_new_file_that_is_discarded_is_gone(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    refuse(calm)
    path = folder.below(mounted, "new.txt")
    path.write_bytes(b"new")
    wait_until(lambda: state_of(path) == "failed")
    stdout_of(mounted.home, "uploads", "discard", "--yes", folder.path("new.txt"))
    wait_until(lambda: not path.exists())
    calm.clear_faults()
    stdout_of(mounted.home, "uploads", "--wait")
    assert "new.txt" not in [item["name"] for item in calm.writes()["items"]]


def test_a_deletion_that_waits_is_listed_and_can_be_taken_back(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    folder.add("oops.txt", "still wanted")
    calm.fault("status", route="item", status=503, times=None)
    path, home = folder.below(mounted, "oops.txt"), mounted.home
    path.unlink()
    row = wait_until(lambda: report(home).get("oops.txt"))
    assert (row["what"], row["state"], row["path"]) == ("delete", "waiting", folder.path(path.name))
    stdout_of(home, "uploads", "discard", "--yes", folder.path("oops.txt"))
    wait_until(path.exists)
    calm.clear_faults()
    stdout_of(home, "uploads", "--wait")
    assert path.read_bytes() == b"still wanted"
    assert len(folder.versions("oops.txt")) == 1


@pytest.mark.parametrize("how", ["--to", "--as", "--beside"])
def test_a_retry_as_another_file_leaves_the_first_one_alone(
    mounted: Drive, folder: Folder, calm: EmulatorProcess, how: str
) -> None:
    folder.add("a.txt", "theirs")
    calm.change("add_folder", path=folder.raw("")[:-1], name="other")
    refuse(calm)
    path, home = folder.below(mounted, "a.txt"), mounted.home
    path.write_bytes(b"ours")
    wait_until(lambda: state_of(path) == "failed")
    calm.clear_faults()
    hold(calm)
    stdout_of(home, "refresh", folder.path())
    words = {"--to": ["--to", folder.path("other")], "--as": ["--as", "b.txt"], "--beside": [how]}
    said = stdout_of(home, "uploads", "retry", folder.path("a.txt"), *words[how]).decode()
    where = said.strip().removeprefix(f"sent again: {folder.path()}/")
    row = report(home)[where.rpartition("/")[2]]
    assert (row["item_id"], row["base_version"]) == ("", 0)
    calm.clear_faults()
    stdout_of(home, "uploads", "--wait")
    assert {"--to": "other/a.txt", "--as": "b.txt"}.get(how, where) == where
    assert folder.versions(where) == [sha256(b"ours")]
    assert len(folder.versions("a.txt")) == 1
    wait_until(lambda: path.read_bytes() == b"theirs")
    assert folder.below(mounted, where).read_bytes() == b"ours"
    assert calm.violations() == {}


def test_a_file_whose_folder_was_deleted_goes_to_another_one(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    calm.change("add_folder", path=folder.raw("")[:-1], name="doomed")
    path, home = folder.below(mounted, "doomed/mine.txt"), mounted.home
    calm.race("storage", {"op": "hide", "path": folder.raw("doomed")})
    path.write_bytes(b"not lost")
    wait_until(lambda: report(home).get("mine.txt", {}).get("state") == "failed")
    stdout_of(home, "uploads", "retry", folder.path("doomed/mine.txt"), "--to", folder.path())
    stdout_of(home, "uploads", "--wait")
    assert folder.versions("mine.txt") == [sha256(b"not lost")]
    assert folder.below(mounted, "mine.txt").read_bytes() == b"not lost"


def test_get_gives_the_saved_bytes_with_and_without_the_mount(
    mounted: Drive, folder: Folder, calm: EmulatorProcess, tmp_path: Path
) -> None:
    folder.add("base.txt", "base" * 5000)
    hold(calm)
    home, path = mounted.home, folder.below(mounted, "base.txt")
    with path.open("r+b") as file:
        file.seek(4)
        file.write(b"OURS")
    folder.below(mounted, "new.txt").write_bytes(b"new" * 7)
    want = b"baseOURS" + b"base" * 4998
    stdout_of(home, "uploads", "get", folder.path("base.txt"), "-o", str(tmp_path / "one"))
    assert (tmp_path / "one").read_bytes() == want
    line = the_line(home.run("uploads", "get", str(path), "-o", str(tmp_path / "one")), 1)
    assert "is there already" in line
    mounted.stop(signal.SIGTERM)
    assert stdout_of(home, "uploads", "get", folder.path("base.txt"), "-o", "-") == want
    assert stdout_of(home, "uploads", "get", folder.path("new.txt"), "-o", "-") == b"new" * 7
    assert "nothing waits" in the_line(home.run("uploads", "get", "/x", "-o", "-"), 1)


def test_get_gives_no_damaged_bytes(
    mounted: Drive, folder: Folder, calm: EmulatorProcess, tmp_path: Path
) -> None:
    hold(calm)
    folder.below(mounted, "a.txt").write_bytes(b"0123456789")
    mounted.kill()
    (data,) = (mounted.home.state / "spool" / "default").glob("*/data")
    data.write_bytes(b"012345X789")
    out = tmp_path / "out"
    words = "uploads", "get", folder.path("a.txt"), "-o", str(out)
    assert "damaged" in the_line(mounted.home.run(*words), 1)
    assert not out.exists()
