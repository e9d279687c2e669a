"""What differs between hubs, and what a project or a file of another kind does not take."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Drive
from tests.support.sample import ACCOUNT, SAMPLE
from tests.write.saves.place import Folder
from tests.write.saves.test_posix_bytes import read_elsewhere, refused

pytestmark = pytest.mark.mount
REST_S = 0.3
"""Longer than the mount's upload_delay."""


@pytest.fixture
def team(shared: Drive, emulator: EmulatorProcess, request: pytest.FixtureRequest) -> Folder:
    """In an ``a.`` project, where nothing is deleted and nothing copied."""
    path = Path(shared.path("Emulated BIM 360 Team", "House Design", request.node.name))
    path.mkdir()
    return Folder(shared, emulator, path)


def test_nothing_is_deleted_in_a_team_hub(team: Folder) -> None:
    path = team.write("f.txt", b"data")
    team.comes_to_all({"f.txt": [b"data"]})
    time.sleep(REST_S)  # else a program may be saving
    with refused(errno.EPERM):
        path.unlink()
    with refused(errno.EPERM):
        team.path.rmdir()
    team.write("draft", b"x").unlink()  # the service has never seen it
    assert team.names() == ["f.txt"]
    path.rename(team / "g.txt")
    team.comes_to_all({"g.txt": [b"data"]})


def test_a_save_in_a_team_hub(team: Folder) -> None:
    """By a rename over it, and by a backup that takes its name."""
    path = team.write("f.txt", b"first")
    team.comes_to_all({"f.txt": [b"first"]})
    team.write(".f.txt.Ab12Cd", b"second").rename(path)
    team.comes_to_all({"f.txt": [b"first", b"second"]})
    path.rename(team / "f.txt~")
    path.write_bytes(b"third")
    (team / "f.txt~").unlink()
    team.comes_to_all({"f.txt": [b"first", b"second", b"third"]})
    path.rename(team / "g.txt")
    team.comes_to_all({"g.txt": [b"first", b"second", b"third"]})
    assert read_elsewhere(team / "g.txt") == b"third"


def test_where_nothing_can_be_made(shared: Drive) -> None:
    for place in ("", ACCOUNT, f"{ACCOUNT}/Sample Project"):
        with refused(errno.EPERM):
            (Path(shared.path(place)) / "new").touch()
        with refused(errno.EPERM):
            (Path(shared.path(place)) / "new").mkdir()
    with refused(errno.EPERM):
        Path(shared.path(SAMPLE)).rmdir()


def test_what_other_programs_make(shared: Drive) -> None:
    parts = Path(shared.path("Emulated Fusion Team", "Gearbox", "Parts"))
    with refused(errno.EACCES):
        (parts / "Assembly.iam").open("r+b")
    links = [each for each in parts.parent.iterdir() if each.suffix == ".url"]
    assert links
    with refused(errno.EACCES):
        links[0].open("r+b")
    with refused(errno.EACCES):
        links[0].unlink()
