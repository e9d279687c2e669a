"""Dolphin's service menus: the files, and the command that they run."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from dmfs.cli.desktop.menu import VERBS, on_drive
from dmfs.cli.exploring import browser
from dmfs.desktop.share_files import SHARE, share_files
from dmfs.errors import SetupError
from dmfs.system.mountinfo import parse_mountinfo
from tests.desktop.files.conftest import CONTROL
from tests.support.mounts import Drive, wait_until

MENUS = sorted((SHARE / "kio/servicemenus").glob("*.desktop"))


def test_each_item_runs_a_verb_on_what_was_chosen():
    verbs = []
    for path in MENUS:
        menu = configparser.RawConfigParser(delimiters="=", strict=True)
        menu.optionxform = str  # type: ignore[assignment, method-assign]
        menu.read(path, "utf-8")
        entry = menu["Desktop Entry"]
        assert entry["Type"] == "Service"
        actions = entry["Actions"].rstrip(";").split(";")
        assert {f"Desktop Action {name}" for name in actions} == set(menu.sections()[1:])
        for name in actions:
            program, command, menu_word, verb, files = menu[f"Desktop Action {name}"][
                "Exec"
            ].split()
            assert (program, command, menu_word) == ("dmfs", "desktop", "menu")
            assert files == ("%f" if verb in {"open", "versions"} else "%F")
            verbs.append(verb)
    assert sorted(verbs) == sorted(VERBS)


def test_plasma_obeys_files_of_a_person_only_if_they_may_be_run():
    modes = {each.name: each.mode for each in share_files()}
    assert {modes[str(path.relative_to(SHARE))] for path in MENUS} == {0o755}


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/d", True), ("/d/a", True), ("/d/in/a", False), ("/da", False), ("/", False)],
)
def test_a_drive_is_known_by_the_table_of_mounts(path, expected):
    table = parse_mountinfo(
        b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        b"2 1 0:5 / /d rw - fuse.dmfs dmfs rw,user_id=0\n"
        b"3 2 0:6 / /d/in rw - tmpfs none rw\n"
    )
    assert on_drive(path, table) is expected


def test_a_file_manager_that_stays_in_the_foreground_is_not_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    opener = tmp_path / "xdg-open"
    opener.write_text('#!/bin/sh\nsleep 0.2\nprintf "%s" "$1" >"$0.said"\n')
    opener.chmod(0o755)
    monkeypatch.setattr(browser, "WAIT_S", 0.01)
    browser.show_folder("/d/.versions/-a b", {"PATH": f"{tmp_path}:/bin", "DISPLAY": ":9"})
    said = tmp_path / "xdg-open.said"
    assert not said.exists()
    wait_until(lambda: said.exists() and said.read_text() == "/d/.versions/-a b", 20, "it goes on")
    with pytest.raises(SetupError, match="no desktop here"):
        browser.show_folder("/d", {"PATH": str(tmp_path)})


@pytest.mark.mount
def test_the_menu_on_a_drive(models: Drive, tmp_path: Path):
    """What is done, what is shown, and what is said of a failure."""
    for name in ("notify-send", "xdg-open"):
        tool = tmp_path / name
        tool.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/{name}.said\n')
        tool.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{models.home.environ['PATH']}", "DISPLAY": ":9"}

    def menu(*words: str) -> int:
        done = models.tool("dmfs", "desktop", "menu", *words, environ=environ)
        assert done.stderr.count(b"\n") == (done.returncode != 0)
        return done.returncode

    file = models.path(CONTROL, "Plan 0000.rvt")
    assert menu("pin", file) == 0
    assert models.call("getxattr", file, "user.dmfs.pinned") == b"yes"
    assert menu("versions", file) == 0
    shown = models.path(CONTROL, ".versions", "Plan 0000.rvt")
    assert (tmp_path / "xdg-open.said").read_text() == f"{shown}\n"
    assert not (tmp_path / "notify-send.said").exists()
    assert menu("pin", models.path(CONTROL, "not there.rvt")) == 1
    said = (tmp_path / "notify-send.said").read_text()
    assert said.startswith("--app-name=dmfs\n--icon=dialog-warning\n--\ndmfs pin\n")
    assert "not there.rvt" in said
