"""``dmfs doctor MOUNTPOINT``: each place is a finding, and none ends the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.cli.doctor.place import place_of
from dmfs.cli.doctor.surroundings import desktop_findings
from dmfs.fuse.confinement.refusals import overheard
from dmfs.fuse.descriptor.opening import open_mounted
from dmfs.fuse.mount_place import detach
from dmfs.fuse.mountpoint import parse_options
from dmfs.system.mountinfo import mount_at

ADA = 4711
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts by mount(2)")


def said(place: Path | str, uid: int = 0) -> tuple[str, str]:
    _, (finding,) = place_of(str(place), uid)
    return finding.level, finding.what


def test_an_empty_directory_will_do(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "point")
    (tmp_path / "point").mkdir()
    assert said(tmp_path / "link")[0] == "ok"
    assert place_of(str(tmp_path / "link"), 0)[0] == str(tmp_path / "point")


def test_what_will_not_do_is_said(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    assert said(tmp_path / "none") == ("error", f"the mountpoint {tmp_path}/none does not exist")
    for name, words in (("full", "is not empty"), ("full/file", "is not a directory")):
        assert said(tmp_path / name) == ("error", f"the mountpoint {tmp_path}/{name} {words}")
    assert said("/proc") == ("error", "something else (proc) is already mounted at /proc")
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)
    assert "is not yours to write" in said(tmp_path / "sticky", ADA)[1]
    assert said(tmp_path / "sticky")[0] == "ok", "root mounts where it likes"


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[Path]:
    """A drive of somebody whose process is gone."""
    path = tmp_path / "dead"
    path.mkdir()
    os.close(open_mounted(str(path), parse_options("allow_other"), ADA, ADA)[1])
    yield path
    detach(str(path))


@ROOT
@pytest.mark.mount
def test_a_dead_drive_is_a_finding(dead: Path) -> None:
    with pytest.raises(OSError, match="not connected"):
        (dead / "x").stat()
    already = f"a drive is mounted at {dead} already"
    assert said(dead, ADA) == ("note", already)
    assert said(dead) == ("note", f"{already}, by user {ADA}, and they let others use it")
    path, (below,) = place_of(f"{dead}/x", ADA)
    assert (path, below.level) == (None, "error")
    assert "its process is gone" in below.what
    assert below.remedy == f"fusermount3 -uz {dead}"
    assert mount_at(str(dead)) is not None, "who asks changes nothing"


@ROOT
@pytest.mark.mount
def test_a_dead_drive_on_the_way_of_the_desktop_is_passed_by(
    dead: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/gio")
    environ = {"DISPLAY": ":0", "XDG_DATA_HOME": f"{dead}/x", "XDG_DATA_DIRS": "/nowhere"}
    assert [each.level for each in desktop_findings(environ)] == ["note"]


def refuse() -> None:
    os.write(2, b"fusermount3: no\n")
    raise BrokenPipeError


def test_what_fusermount3_says_is_heard_and_the_rest_goes_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with overheard() as words:
        os.write(2, b"fusermount3: could not determine username\nanother's\n")
    assert words == ["could not determine username"]
    assert capfd.readouterr().err == "another's\n"
    with pytest.raises(BrokenPipeError), overheard() as words:
        refuse()
    assert words == ["no"]
    os.write(2, b"back\n")
    assert capfd.readouterr().err == "back\n"
