"""`dmfs url`, `open` and `path`: by a mount's socket, and without a mount."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dmfs.cli.exploring.links import local_paths
from dmfs.control.cards import Card
from dmfs.control.mounts import Seen
from dmfs.emulator.process import EmulatorProcess
from tests.support.commands import stdout_of, the_line
from tests.support.mounts import Drive, Home
from tests.support.sample import ACCOUNT, SAMPLE

README = f"{SAMPLE}/README.txt"
LINK = "https://acc.autodesk.com/docs/files/projects/"


@pytest.mark.mount
def test_a_link_leads_below_the_mountpoint_and_back(
    drive: Drive, make_drive: Callable[..., Drive]
) -> None:
    local = drive.path(README)
    assert Path(local).stat().st_size
    drive.emulator.reset()
    link = stdout_of(drive.home, "url", local).decode().rstrip("\n")
    assert link.startswith(LINK)
    assert stdout_of(drive.home, "url", f"/{README}").decode() == f"{link}\n"
    assert stdout_of(drive.home, "path", f"<{link}>,").decode() == f"{local}\n"
    told = json.loads(stdout_of(drive.home, "path", "--json", "-", input=link.encode(), stdin=None))
    assert told["path"] == f"/{README}"
    assert told["local"] == local
    assert told["type"] == "file"
    assert told["calls"] == 0
    told = json.loads(stdout_of(drive.home, "url", "--json", drive.path(ACCOUNT)))
    assert (told["type"], told["url"][:38]) == ("hub", "https://acc.autodesk.com/account-admin")
    assert "sign" not in drive.counts()
    assert not sum(drive.counts().values())
    # a mount of one project: what is in it is local, all else is a path of the drive
    part = make_drive(source=f"/{SAMPLE}")
    assert stdout_of(part.home, "path", link).decode() == f"{part.point}/README.txt\n"
    hub = link.partition("?")[0]
    assert stdout_of(part.home, "path", hub).decode() == f"/{ACCOUNT}/Sample Project\n"


def test_without_a_mount_and_from_a_shortcut(home: Home, tmp_path: Path) -> None:
    link = stdout_of(home, "url", f"/{README}").decode().rstrip("\n")
    shortcut = tmp_path / "readme.URL"
    for encoding in ("utf-8", "utf-16"):
        shortcut.write_text(f"[InternetShortcut]\r\nURL={link}\r\n", encoding)
        assert stdout_of(home, "path", str(shortcut)).decode() == f"/{README}\n"
    assert "no such" not in the_line(home.run("path", str(tmp_path / "none.url")), 1)
    shortcut.chmod(0)
    if os.getuid():
        assert "cannot be read" in the_line(home.run("path", str(shortcut)), 1)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("path", ""), "there is no link"),
        (("path", "https://user:pa55@example.com/x?token=s3cret"), "example.com is not a site"),
        (("url", "/"), "no web page"),
    ],
)
def test_what_goes_wrong_is_one_line(home: Home, words: tuple[str, ...], text: str) -> None:
    line = the_line(home.run(*words), 1)
    assert text in line
    assert "pa55" not in line
    assert "s3cret" not in line


def test_open_shows_the_page_without_a_shell(
    home: Home, emulator: EmulatorProcess, tmp_path: Path
) -> None:
    target = f"/{README}"
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    path = f"{bin_}:{home.environ['PATH'].partition(':')[0]}"
    desktop = {"PATH": path, "DISPLAY": ":9", "WAYLAND_DISPLAY": None, "BROWSER": None}
    line = the_line(home.run("open", target, environ=desktop), 1)
    assert "xdg-open" in line
    assert LINK in line
    program = bin_ / "xdg-open"
    program.write_text('#!/bin/sh\nprintf "%s|" "$#" "$@" > "$HOME/shown"\nexit "${STATUS:-0}"\n')
    program.chmod(0o755)
    line = the_line(home.run("open", target, environ=desktop | {"DISPLAY": None}), 1)
    assert "no desktop" in line
    assert stdout_of(home, "open", target, environ=desktop) == b""
    shown = Path(home.environ["HOME"], "shown").read_text()
    assert shown.startswith(f"1|{LINK}")
    assert "status 3" in the_line(home.run("open", target, environ=desktop | {"STATUS": "3"}), 1)


def test_the_mount_that_shows_the_least_is_the_nearest(tmp_path: Path) -> None:
    def mount(point: str, source: str, *, lives: bool = True) -> Seen:
        card = Card.__new__(Card)
        object.__setattr__(card, "source", source)
        return Seen(point, True, 0, card, tmp_path if lives else None)

    mounts = [mount("/m", "/"), mount("/p", "/Hub/Project"), mount("/dead", "/Hub", lives=False)]
    for order in (mounts, mounts[::-1]):
        assert local_paths("/Hub/Project/a b", order) == ["/p/a b", "/m/Hub/Project/a b"]
    assert local_paths("/Hub/Project", mounts) == ["/p", "/m/Hub/Project"]
    assert local_paths("/Other", mounts) == ["/m/Other"]
    assert local_paths("/Hub/Projects", [mounts[1]]) == []
