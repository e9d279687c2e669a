"""``dmfs put``, ``rm``, ``mkdir`` and ``restore``: without a mount, and through one that writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.auth.person import Person
from tests.support.commands import stdout_of, the_line
from tests.support.mounts import Drive, Home, wait_until
from tests.write.commands.conftest import Folder, sha256

pytestmark = pytest.mark.mount
TEAM = "/Emulated Fusion Team/Gearbox"


@pytest.fixture(params=["without a mount", "by a mount"])
def user(request: pytest.FixtureRequest, writer: Home, make_drive: Callable[..., Drive]) -> Home:
    if request.param == "by a mount":
        make_drive(home=writer)
    return writer


def test_put_makes_a_file_and_then_a_version(
    user: Home, folder: Folder, calm: EmulatorProcess, tmp_path: Path
) -> None:
    local = tmp_path / "plan.dwg"
    local.write_bytes(b"first" * 1000)
    said = stdout_of(user, "put", str(local), folder.path()).decode()
    assert said == f"{folder.path('plan.dwg')}: v1\n"
    local.write_bytes(b"second, and shorter")
    said = stdout_of(user, "put", str(local), folder.path("plan.dwg")).decode()
    assert said == f"{folder.path('plan.dwg')}: v2\n"
    assert folder.versions("plan.dwg") == [sha256(b"first" * 1000), sha256(b"second, and shorter")]
    assert stdout_of(user, "cat", folder.path("plan.dwg")) == b"second, and shorter"
    assert calm.violations() == {}


def test_put_reads_stdin_and_the_next_command_sees_the_file(user: Home, folder: Folder) -> None:
    done = user.run("put", "-", folder.path("from stdin.txt"), stdin=None, input=b"piped" * 70_000)
    assert (done.returncode, done.stderr) == (0, b"")
    assert folder.versions("from stdin.txt") == [sha256(b"piped" * 70_000)]
    assert b"from stdin.txt" in stdout_of(user, "ls", folder.path())


def test_what_cannot_be_put_leaves_nothing(user: Home, folder: Folder, tmp_path: Path) -> None:
    local = tmp_path / "a.txt"
    local.write_bytes(b"a")
    the_line(user.run("put", str(local), folder.path("a?b.txt")), 1)
    the_line(user.run("put", str(tmp_path), folder.path()), 2)
    the_line(user.run("put", str(tmp_path / "none"), folder.path()), 1)
    the_line(user.run("put", "-", folder.path()), 2)
    assert "nowhere" in the_line(user.run("put", str(local), folder.path("nowhere/b.txt")), 1)
    report = json.loads(stdout_of(user, "uploads", "--json", "--local"))
    assert report["uploads"] == []


def test_rm_deletes_and_restore_brings_back(
    user: Home, folder: Folder, calm: EmulatorProcess
) -> None:
    for name in ("a.txt", "b.txt", "stays.txt"):
        folder.add(name, f"text of {name}")
    said = stdout_of(user, "rm", folder.path("a.txt"), folder.path("b.txt"))
    assert said == b"2 entries deleted\n"
    assert stdout_of(user, "ls", folder.path()) == b"stays.txt\n"
    assert stdout_of(user, "restore", folder.path("b.txt")).startswith(b"restored: ")
    assert stdout_of(user, "ls", folder.path()) == b"b.txt\nstays.txt\n"
    assert stdout_of(user, "cat", folder.path("b.txt")) == b"text of b.txt"
    assert len(folder.versions("b.txt")) == 3  # with the tombstone
    assert calm.violations() == {}


def test_restore_of_what_was_not_deleted(user: Home, folder: Folder) -> None:
    folder.add("there.txt", "there")
    assert "was deleted" in the_line(user.run("restore", folder.path("never.txt")), 1)
    assert "there is a" in the_line(user.run("restore", folder.path("there.txt")), 1)


def test_rm_of_several_finds_all_of_them_first(user: Home, folder: Folder) -> None:
    folder.add("a.txt", "a")
    the_line(user.run("rm", folder.path("a.txt"), folder.path("none.txt")), 1)
    assert stdout_of(user, "ls", folder.path()) == b"a.txt\n"


def test_mkdir_with_parents_and_rm_of_what_is_empty(user: Home, folder: Folder) -> None:
    assert stdout_of(user, "mkdir", folder.path("one")) == b"1 entry made\n"
    the_line(user.run("mkdir", folder.path("one")), 1)
    the_line(user.run("mkdir", folder.path("two/three")), 1)
    assert stdout_of(user, "mkdir", "-p", folder.path("two/three")) == b"2 entries made\n"
    assert stdout_of(user, "mkdir", "-p", folder.path("two/three")) == b"0 entries made\n"
    assert stdout_of(user, "ls", folder.path()) == b"one\ntwo\n"
    assert "not empty" in the_line(user.run("rm", folder.path("two")), 1)
    stdout_of(user, "rm", folder.path("two/three"), folder.path("one"))
    stdout_of(user, "rm", folder.path("two"))
    assert stdout_of(user, "ls", folder.path()) == b""


def test_files_of_a_team_hub_stay(user: Home) -> None:
    name = "Datasheet.pdf"
    assert "does not delete" in the_line(user.run("rm", f"{TEAM}/{name}"), 1)
    assert "does not restore" in the_line(user.run("restore", f"{TEAM}/{name}"), 1)


def test_a_path_below_the_mountpoint_names_the_same_file(
    mounted: Drive, folder: Folder, tmp_path: Path
) -> None:
    local = tmp_path / "below.txt"
    local.write_bytes(b"below")
    point = folder.below(mounted)
    stdout_of(mounted.home, "put", str(local), str(point))
    assert (point / "below.txt").read_bytes() == b"below"
    stdout_of(mounted.home, "rm", str(point / "below.txt"))
    assert list(point.iterdir()) == []


def test_what_a_program_deleted_in_the_mount_comes_back_there(
    mounted: Drive, folder: Folder
) -> None:
    item = folder.add("back.txt", "back")
    path = folder.below(mounted, "back.txt")
    path.unlink()
    wait_until(lambda: len(folder.emulator.timeline(id=item)) == 2)
    stdout_of(mounted.home, "restore", str(path))
    assert path.read_bytes() == b"back"
    stdout_of(mounted.home, "uploads", "--wait")
    assert path.read_bytes() == b"back"


def test_a_sign_in_that_may_only_read_is_told_how_to_write(
    calm: EmulatorProcess, tmp_path: Path
) -> None:
    reader = Home(tmp_path / "reader", calm, {})
    line = the_line(reader.run("mkdir", "/anything"), 1)
    assert "may only read" in line
    assert 'scopes = "data:read data:create data:write"' in line, "an app signs in nowhere"
    whoami = json.loads(stdout_of(reader, "whoami", "--json"))
    assert whoami["may_write"] is False
    assert b"read (scopes, in the configuration)" in stdout_of(reader, "whoami")
    person = Person(tmp_path / "person", calm)
    person.hand()
    line = the_line(person.home.run("mkdir", "/anything"), 1)
    assert line.strip() == "dmfs: this sign-in may only read — run dmfs login --write"
    assert b"read (dmfs login --write)" in stdout_of(person.home, "whoami")
