"""``dmfs refs``: what it prints, with a mount and without."""

from __future__ import annotations

import json

import pytest

from tests.support.commands import stdout_of, the_line

pytestmark = pytest.mark.mount
TOP = "Bench/Bench Project/Project Files/relations"
PLAN = f"{TOP}/Drawings/Site plan.dwg"


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "relations"


def test_a_person_reads_paths_and_which_are_stale(home):
    lines = stdout_of(home, "refs", f"/{PLAN}").decode().splitlines()
    assert f"uses     xref (attachment)  /{TOP}/Drawings/Grid.dwg  v1 of 2: stale" in lines
    assert f"used by  xref (overlay)     /{TOP}/Drawings/Grid.dwg  v2" in lines
    assert "uses     xref (attachment)  Deleted.dwg  v1, deleted" in lines
    assert sum(line.endswith("v1, in a place that you may not see") for line in lines) == 2
    assert lines[-1].startswith("1 file: uses 6, used by 4, 1 to an older version (")


def test_a_person_reads_what_refers_to_a_former_version(home):
    lines = stdout_of(home, "refs", f"/{TOP}/Drawings/Grid.dwg").decode().splitlines()
    assert f"used by  xref (attachment)  /{PLAN}  v2, refers to v1 of 2: stale" in lines
    assert ", 1 to an older version (" in lines[-1]


def test_of_a_folder_each_file_has_its_own(home):
    lines = stdout_of(home, "refs", f"/{TOP}/Drawings/").decode().splitlines()
    heads = [line for line in lines[:-1] if not line.startswith("  ")]
    assert heads == [f"/{TOP}/Drawings/Grid.dwg", f"/{PLAN}"]
    assert lines[1] == f"  uses     xref (overlay)     /{PLAN}  v2"
    assert lines[-1].startswith("2 files: ")


def test_a_mount_answers_and_shows_its_own_paths(drive):
    grid = drive.path(TOP, "Drawings", "Grid.dwg")
    for given in (drive.path(PLAN), f"/{PLAN}"):
        found = json.loads(stdout_of(drive.home, "refs", "--json", given))
        (row,) = [row for row in found if row["direction"] == "uses" and row["state"] == "stale"]
        assert (row["path"], row["local_path"]) == (f"/{TOP}/Drawings/Grid.dwg", grid)
        assert (row["version_number"], row["tip_number"], row["is_tip"]) == (1, 2, False)
        assert (row["type"], row["type_words"], row["kind_words"]) == (
            "xrefs", "xref (attachment)", "file",
        )  # fmt: skip
        assert row["version_id"].endswith("?version=1")
    assert f"  {grid}  v1 of 2: stale\n".encode() in stdout_of(drive.home, "refs", f"/{PLAN}")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/", 2, "is no file and no folder of a project"),
        (f"/{TOP}", 1, "there are no files in"),
    ],
)
def test_what_has_none(home, path, status, words):
    assert words in the_line(home.run("refs", path), status)
