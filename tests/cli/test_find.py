"""`dmfs find`: from the disk, by a mount, by a drive of its own; what it prints."""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.cli.exploring.find import Output
from dmfs.cli.settings import Invocation
from dmfs.emulator.process import EmulatorProcess
from tests.cli.test_imports import HEAVY, imported
from tests.support.commands import the_line
from tests.support.mounts import Drive, Home

NUMBERS = itertools.count()
FILES = "/Bench/Bench Project/Project Files"
FILE = "Umbau Süd \n.dwg"
"""A name that needs care."""


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "small:files=3"


@pytest.fixture
def folder(calm: EmulatorProcess) -> Iterator[str]:
    """A new folder with two files and a folder in it, which has two of its own."""
    path = f"{FILES}/found {next(NUMBERS)}"
    calm.change("add_folder", path=FILES[1:], name=path.rpartition("/")[2])
    calm.change("add_item", path=path[1:], name="a.rvt", size=300_000)
    calm.change("add_item", path=path[1:], name=FILE, size=5000)
    calm.change("add_folder", path=path[1:], name="below")
    calm.change("add_item", path=f"{path[1:]}/below", name="c.RVT", size=1000)
    calm.change(
        "add_item", path=f"{path[1:]}/below", name="Plan.dwg", size=1000, type="fusion360:Design"
    )
    calm.reset()
    yield path
    calm.change("hide", path=path[1:])


def found(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    """Paths, of a command that worked."""
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    return sorted(done.stdout.decode().split("\0")[:-1])


def test_what_is_known_answers_without_a_library_and_without_a_call(
    calm: EmulatorProcess, home: Home, folder: str, tmp_path: Path
) -> None:
    below = [f"{folder}/a.rvt", f"{folder}/{FILE}", f"{folder}/below", f"{folder}/below/c.RVT"]
    first = home.run("find", folder, "-0")
    assert set(found(first)) > {folder, *below}
    calm.reset()
    for words, wanted in (
        (["-name", "*.rvt"], below[:1]),
        (["-iname", "*.rvt"], [below[0], below[3]]),
        (["-type", "d"], [folder, below[2]]),
        (["-size", "-2k", "-iname", "*.RVT", "-newer", "2001-01-01"], [below[3]]),
        (["-name", "nothing"], []),
    ):
        done = home.run("find", folder, "-0", *words)
        assert found(done) == sorted(wanted), words
        assert done.stderr.startswith(b"dmfs: as of 20")
    status, modules = imported(tmp_path / "modules", "find", folder, "-name", "*.rvt", home=home)
    assert status == 0
    assert not modules & (HEAVY - {"sqlite3"})
    # nothing below it was ever listed
    known = home.run("find", FILES, "--known", "-0", "-type", "d")
    assert f"{folder}/below" in found(known)
    assert b"not known here; without --known, the service is asked" in known.stderr
    assert not any(calm.counts().values())


def test_json_is_the_same_from_the_disk_and_from_the_service(
    calm: EmulatorProcess, home: Home, folder: str
) -> None:
    told = []
    for calls in (True, False):
        calm.reset()
        done = home.run("find", folder, "--json")
        assert (done.returncode, done.stderr) == (0, b"")
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert bool(calm.counts()["contents"]) is calls
        *entries, last = events
        assert {each["event"] for each in entries} <= {"found", "listing", "note"}
        assert set(last) == {
            "event", "found", "folders", "unknown", "as_of", "searched", "calls", "failed",
        }  # fmt: skip
        rows = [each for each in entries if each["event"] == "found"]
        assert last["found"] == len(rows)
        told.append(sorted(rows, key=lambda each: str(each["path"])))
    assert told[0] == told[1]
    by_path = {each["path"].removeprefix(folder): each for each in told[0]}
    assert by_path[""]["type"] == "folder"
    assert (by_path["/a.rvt"]["type"], by_path["/a.rvt"]["size"]) == ("file", 300_000)
    assert by_path["/a.rvt"]["mtime"].endswith("Z")


@pytest.mark.mount
def test_a_mount_answers_and_paths_are_as_they_were_named(
    calm: EmulatorProcess, drive: Drive, folder: str
) -> None:
    here = drive.path(folder[1:])
    walked = found(drive.home.tool("find", here, "-print0"))
    calm.reset()
    done = drive.home.run("find", f"{here}/", "-0")
    assert found(done) == walked
    assert not any(calm.counts().values())
    relative = drive.home.run("find", "./below", "-0", "-iname", "c.rvt", cwd=here)
    assert found(relative) == ["./below/c.RVT"]
    in_the_drive = drive.home.run("find", folder, "-0", "-iname", "c.rvt")
    assert found(in_the_drive) == [f"{folder}/below/c.RVT"]
    plain = drive.home.run("find", folder, "-iname", "c.rvt")
    assert plain.stdout.decode() == f"{folder}/below/c.RVT\n"
    calm.change("add_item", path=folder[1:], name="later.rvt", size=1)
    assert drive.home.run("refresh", here).returncode == 0
    assert found(drive.home.run("find", here, "-0", "-name", "later*")) == [f"{here}/later.rvt"]


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["{folder}/a.rvt/below"], 1, "is a file"),
        (["/", "-name", ""], 2, "name: the pattern is empty"),
        (["/", "-newer", "yesterday"], 2, "'yesterday' is no time"),
        (["/never/listed", "--known"], 1, "knows nothing of"),
    ],
)
def test_mistakes_are_one_line(
    home: Home, folder: str, words: list[str], status: int, says: str
) -> None:
    done = home.run("find", *(word.format(folder=folder) for word in words))
    assert says in the_line(done, status)


def output(base: str, shown: str, **options: bool) -> Output:
    given = {"json": False, "null": False, "known": False} | options
    return Output(Invocation(argparse.Namespace(**given), [], {}), base, shown)


@pytest.mark.parametrize(
    ("base", "shown", "path", "prints"),
    [
        ("/", "", "/", "/"),
        ("/", "", "/Hub/a", "/Hub/a"),
        ("/Hub/P", "", "/Hub/P/a", "/Hub/P/a"),
        ("/Hub/P", "/mnt/x/", "/Hub/P", "/mnt/x"),
        ("/Hub/P", "/mnt/x/", "/Hub/P/a/b", "/mnt/x/a/b"),
        ("/", ".", "/", "."),
        ("/", ".", "/Hub/a", "./Hub/a"),
        ("/", "/", "/Hub", "/Hub"),
    ],
)
def test_paths_begin_as_the_person_did(
    capsys: pytest.CaptureFixture[str], base: str, shown: str, path: str, prints: str
) -> None:
    output(base, shown).event({"event": "found", "entries": [{"path": path}]})
    assert capsys.readouterr().out == f"{prints}\n"


def test_what_could_not_be_looked_at_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = output("/", "")
    out.event({"event": "failed", "path": "/Hub/\x1b[31mred", "message": "no"})
    out.event({"event": "note", "message": "walked instead"})
    done = {"event": "done", "found": 0, "folders": 3, "as_of": "2026-01-02T03:04:05Z"}
    out.event(done | {"unknown": 1, "calls": 0})
    out.event(done | {"unknown": 0, "calls": 4})
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "dmfs: /Hub/\ufffd[31mred: no",
        "dmfs: walked instead",
        "dmfs: as of 2026-01-02T03:04:05Z",
        "dmfs: 1 folder is not known here",
    ]
