"""A mount of a moment, against what the emulator itself recorded."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Drive

PROJECT = "Emulated Archive/Long Past"
AT = "2020-01-20T00:00Z"


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "history"


@pytest.fixture(scope="module")
def then(emulator: EmulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    place = tmp_path_factory.mktemp("then")
    with Drive(place, emulator, source=f"/{PROJECT}", options=[f"at={AT}"]) as mounted:
        yield mounted


def recorded(emulator: EmulatorProcess, at: str) -> dict[str, tuple[int, str]]:
    """Size and digest of each file that has bytes, by its path below the project."""
    entries: list[dict[str, Any]] = emulator.tree(at, path=PROJECT, sha256=True)["entries"]
    return {
        each["path"]: (each["size"], each["sha256"])
        for each in entries
        if each["kind"] == "item" and each["storage"] and each["doubt"] is None
    }


def sha256(path: Path) -> str:
    return (
        subprocess.run(["sha256sum", str(path)], check=True, capture_output=True, text=True)
        .stdout.split()[0]
        .removeprefix("\\")
    )


def shown(top: Path) -> dict[str, tuple[int, str]]:
    files = [path for path in top.rglob("*") if path.is_file() and path.suffix != ".url"]
    return {str(path.relative_to(top)): (path.stat().st_size, sha256(path)) for path in files}


def test_a_mount_of_a_moment_is_as_it_was_then(then: Drive):
    wanted, found = recorded(then.emulator, AT), shown(then.point)
    assert wanted
    assert {name: found.get(name) for name in wanted} == wanted
    assert recorded(then.emulator, AT) != recorded(then.emulator, "2026-06-01T00:00Z")


def test_what_was_looked_at_once_of_a_moment_is_never_asked_for_again(then: Drive, tmp_path: Path):
    before = shown(then.point)
    then.emulator.reset()
    assert shown(then.point) == before
    assert {route: n for route, n in then.counts().items() if route != "token"} == {}


def test_a_moment_cannot_be_written_to_and_says_which_it_is(then: Drive):
    with pytest.raises(OSError, match="Read-only"):
        (then.point / "new.txt").write_text("new")
    assert os.getxattr(then.point, "user.dmfs.at") == b"2020-01-20T00:00:00Z"
    file = next(path for path in then.point.rglob("*.txt"))
    assert os.getxattr(file, "user.dmfs.at") == b"2020-01-20T00:00:00Z"
    assert "user.dmfs.at" not in os.listxattr(file)
    status = then.home.run("status", str(then.point))
    assert f"/{PROJECT} as it was at 2020-01-20T00:00:00Z" in status.stdout.decode()


def test_commands_below_a_mount_of_a_moment_mean_that_moment(then: Drive):
    listed = then.home.run("ls", "--json", str(then.point))
    assert b"Project Files" in listed.stdout, listed.stderr
    file = next(path for path in then.point.rglob("*.txt") if path.stat().st_size)
    read = then.home.run("cat", str(file))
    assert read.stdout == file.read_bytes()
    told = json.loads(then.home.run("stat", "--json", str(file)).stdout)
    assert (told["size"], told["inode"]) == (file.stat().st_size, file.stat().st_ino)
    warmed = then.home.run("warm", "--dry-run", str(then.point))
    assert f" {len(shown(then.point))} files" in warmed.stdout.decode(), warmed.stdout
    earlier = then.home.run("ls", "--at", "2018-01-01", str(then.point))
    assert earlier.returncode == 0, earlier.stderr
    assert earlier.stdout == b""


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ("at=2099-01-01", 2, "lies in the future"),
        ("at=yesterday", 2, "is no moment"),
        ("at=2024-02-30", 2, "is no moment"),
        ("at=1999-01-01", 2, "before the service"),
        ("at=2024-01-01,rw", 2, "the past cannot be changed"),
        ("at=2024-01-01,snapshots", 2, "exclude each other"),
        ("at=2001-01-01", 1, "had nothing in it at 2001-01-02T00:00:00Z"),
    ],
)
def test_bad_moments_are_one_clear_line(
    then: Drive, tmp_path: Path, options: str, status: int, words: str
):
    done = then.home.run("mount", f"/{PROJECT}", str(tmp_path), "-o", options)
    assert done.returncode == status, done.stderr
    assert words in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1
    assert not os.path.ismount(tmp_path)


def test_a_source_that_was_not_there_yet_is_named_with_the_moment(then: Drive, tmp_path: Path):
    source = f"/{PROJECT}/Project Files"
    done = then.home.run("mount", source, str(tmp_path), "-o", "at=2001-01-01")
    assert done.returncode == 1
    assert f"'{source}' was not there at 2001-01-02T00:00:00Z" in done.stderr.decode()
