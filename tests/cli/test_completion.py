"""What fits at the cursor: from the parsers, and from the listings on disk without a call."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from dmfs.cli.completion import local, remote, wanted
from dmfs.cli.completion.answer import answer, complete
from dmfs.cli.completion.local import is_in_mount, profiles, spelled_like, steps_to
from dmfs.cli.control.grammar import VERBS
from dmfs.cli.exploring.grammar import FORMATS
from dmfs.cli.parser import COMMANDS, LOG_LEVELS, parsers
from dmfs.emulator.command_line import command_line
from dmfs.emulator.process import EmulatorProcess
from dmfs.fuse.mount_options import FLAGS, VALUED
from tests.cli.test_imports import HEAVY, imported
from tests.support.mounts import Home

HUB = "/Emulated Builders \uff0f Headquarters"
NO_HOME = {"HOME": "/nowhere"}


@pytest.fixture(autouse=True)
def no_mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens to be mounted on this machine is not what is tested."""
    monkeypatch.setattr(local, "mount_table", list)


def fits(*words: str, environ: dict[str, str] | None = None) -> list[str]:
    """What may stand for the last word."""
    _, rows = answer(words[:-1], words[-1], environ or NO_HOME)
    return [value for value, _ in rows]


def kind(*words: str) -> str:
    return answer(words[:-1], words[-1], NO_HOME)[0]


def test_every_argument_of_every_command_is_of_a_kind_that_completion_knows() -> None:
    for name, parser in {**parsers()[1], "emulator": command_line()}.items():
        for action in parser._actions:
            if action.nargs != 0 and action.help != argparse.SUPPRESS:
                assert not isinstance(action, argparse._SubParsersAction), "none has commands below"
                assert wanted.kind_of(name, action) != wanted.UNKNOWN, (name, action.dest)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["mo"], ["mount"]),
        (["--log-level", "de"], ["debug"]),
        (["--log-level=de"], ["--log-level=debug"]),
        (["--profile", "x", "umo"], ["umount"]),
        (["ls", "--log-level", ""], list(LOG_LEVELS)),
        (["offline", "o"], ["on", "off"]),
        (["find", "-type", ""], ["f", "d"]),
        (["mount", "--fore"], ["--foreground"]),
        (["mount", "--ready"], []),
        (["mount", "/", "/x", "-o", "ro,uma"], ["ro,umask="]),
        (["mount", "/", "/x", "-o", "noatime,noa"], []),
        (["mount", "/", "/x", "-o", "moves="], ["moves=copy"]),
        (["mount", "-o", "snap"], ["snapshots"]),
        (["export", "/x", "--format", "st"], ["step", "stl"]),
        (["pin", "--export", ""], list(FORMATS)),
        (["ls", "--set", "token_s"], ["token_store="]),
        (["ls", "--set", "token_store=k"], ["token_store=keyring"]),
        (["ls", "--set", "notify="], ["notify=true", "notify=false"]),
        (["ls", "--set", "client_sec"], []),
        (["help", "semant"], ["semantics"]),
        (["put", "a", "b", ""], []),
        (["no-such-command", ""], []),
        (["ls", "--no-such-option="], []),
        (["ls", "--", "--l"], []),
        (["find", "-name", ""], []),
        (["emulator", "--wo"], ["--world"]),
        (["emulator", "--log-level=e"], ["--log-level=error"]),
    ],
)
def test_words_come_from_the_parsers(words: list[str], expected: list[str]) -> None:
    assert fits(*words) == expected


def test_commands_and_options_are_all_there_with_what_they_do() -> None:
    every = [name for group in COMMANDS.values() for name in group]
    assert fits("") == [*every, "help"]
    assert dict(answer([], "umo", NO_HOME)[1]) == {"umount": "take it away again"}
    assert set(fits("mount", "-o", "")) == {*FLAGS, *(f"{name}=" for name in VALUED)}
    shown = set(fits("ls", "-"))
    assert shown == set(parsers()[1]["ls"].options())


def test_an_option_is_offered_once_unless_it_may_be_given_again() -> None:
    assert "--json" not in fits("ls", "--json", "--")
    assert "--set" in fits("ls", "--set", "ttl=1", "--")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["put", ""], "files"),
        (["ls", "--config", ""], "files"),
        (["uploads", "get", "x", "-o", ""], "files"),
        (["export", "x", "-o", ""], "directories"),
        (["mount", "/", ""], "directories"),
        (["doctor", ""], "directories"),
        (["umount", ""], "paths"),
        (["ls", ""], "paths"),
        (["put", "x", ""], "paths"),
    ],
)
def test_what_the_shell_knows_better_is_left_to_it(words: list[str], expected: str) -> None:
    assert kind(*words) == expected


MOUNTS = ["/home/ada/Autodesk", "/home/ada/Work/My Drive", "/mnt/図面"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", MOUNTS),
        ("/home/ada/A", ["/home/ada/Autodesk"]),
        ("~/W", ["~/Work/My Drive"]),
        ("Wo", ["Work/My Drive"]),
        ("./A", ["./Autodesk"]),
        ("/mnt/図", ["/mnt/図面"]),
        ("/nothing", []),
    ],
)
def test_mountpoints_in_the_spelling_of_the_person(typed: str, expected: list[str]) -> None:
    assert list(spelled_like(typed, MOUNTS, "/home/ada", "/home/ada")) == expected


def test_the_way_to_a_mountpoint_and_what_is_below_it() -> None:
    def steps(typed: str) -> list[str]:
        return list(steps_to(typed, MOUNTS, "/home/ada", "/srv"))

    assert steps("/ho") == ["/home/", "/home/"]
    assert steps("/home/ada/W") == ["/home/ada/Work/"]
    assert steps("~/Work/M") == ["~/Work/My Drive/"]
    for typed, below in (("~/Autodesk/", True), ("~/Autodes", False), ("x", False), ("..", False)):
        assert is_in_mount(typed, MOUNTS, "/home/ada", "/srv") == below
    assert is_in_mount("", MOUNTS, "/home/ada", "/mnt/図面/Hub")
    assert not is_in_mount("../..", MOUNTS, "/home/ada", "/mnt/図面/Hub")


def test_commands_that_take_mountpoints_offer_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [SimpleNamespace(mountpoint=path, kind="fuse.dmfs", owner=None) for path in MOUNTS]
    rows.append(SimpleNamespace(mountpoint="/mnt/other", kind="fuse.sshfs", owner=None))
    monkeypatch.setattr(local, "mount_table", lambda: rows)
    monkeypatch.setattr("os.getuid", lambda: 0)
    for command in ("umount", "status", "top", "events", "uploads"):
        assert fits(command, "/mnt/") == ["/mnt/図面"]
    assert fits("status", "/mnt/図面", "/mnt/") == []
    assert fits("uploads", "di") == ["discard"]
    assert kind("versions", "/mnt/図面/H") == "files"
    assert kind("refresh", "/mnt/図面/H") == "directories"
    monkeypatch.setattr("os.getuid", lambda: 1000)
    assert fits("umount", "/mnt/") == []


def test_profiles_are_those_of_the_configuration_and_of_sign_ins(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    assert profiles(config, tmp_path) == ["default"]
    config.write_text('[profiles.work]\nclient_id = "x"\n[profiles.server]\n')
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens/home.json").touch()
    assert profiles(config, tmp_path) == ["default", "home", "server", "work"]
    environ = {"HOME": "/nowhere", "DMFS_CONFIG": str(config), "DMFS_STATE_DIR": str(tmp_path)}
    assert fits("ls", "--profile", "w", environ=environ) == ["work"]
    config.write_text("profiles = [")
    assert profiles(config, tmp_path) == ["default", "home"]


def test_a_configuration_that_is_wrong_is_no_answer(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("nonsense = 1")
    environ = {"HOME": str(tmp_path), "DMFS_CONFIG": str(config)}
    assert answer(["ls"], "/", environ) == ("words", [])
    assert answer(["ls", "--set", "x"], "/", {"HOME": str(tmp_path)}) == ("words", [])


@pytest.mark.parametrize(
    "words", [[], ["bash"], ["zsh"], ["fish"], ["fish", ""], ["sh", "ls", "-"]]
)
def test_a_shell_that_asks_badly_gets_nothing_or_something_and_no_trace(
    words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert complete(words, NO_HOME) == 0
    assert capsys.readouterr().err == ""


def test_a_listing_that_is_damaged_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    text = '{"version"\n["a\\x", "f", "'
    monkeypatch.setattr(remote, "_listing", lambda *_: text)
    environ = {"DMFS_CLIENT_ID": "x", "HOME": "/nowhere"}
    assert answer(["ls"], "/", environ) == ("words", [])


@pytest.mark.mount  # for the emulator of its fixtures
def test_paths_of_the_drive_come_from_the_disk_without_a_call_or_a_library(
    tmp_path: Path, home: Home, emulator: EmulatorProcess
) -> None:
    folder = f"{HUB}/Sample Project/Project Files"
    assert home.run("ls", folder).returncode == 0
    emulator.reset()
    environ = home.environment()

    assert fits("ls", "/Emulated Bui", environ=environ) == [f"{HUB}/"]
    assert fits("ls", "Ada", environ=environ) == ["Ada's Hub/"]
    assert f"{HUB}/" in fits("mount", "", environ=environ)
    assert fits("cat", f"{folder}/R", environ=environ) == [f"{folder}/README.txt"]
    assert fits("find", f"{folder}/R", environ=environ) == []
    for verb in VERBS:
        assert fits("uploads", verb, f"{folder}/R", environ=environ) == [f"{folder}/README.txt"]
    assert fits("cat", f"{folder}//Dr", environ=environ) == [f"{folder}//Drawings/"]
    assert dict(answer(["ls"], f"{HUB}/Sam", environ)[1]) == {f"{HUB}/Sample Project/": "project"}
    for unknown in (f"{folder}/Drawings/", f"{folder}/README.txt/", "/no hub/", f"{HUB}/x/y/"):
        assert fits("cat", unknown, environ=environ) == []
    assert fits("ls", "--set", "client_id=another", "/", environ=environ) == []

    status, modules = imported(tmp_path / "modules", "_complete", "zsh", "ls", folder, home=home)
    assert status == 0
    assert not modules & (HEAVY - {"sqlite3"})
    assert len(modules) <= 150, sorted(modules)
    assert not any(emulator.counts().values())


@pytest.mark.mount
def test_names_that_no_line_can_hold_are_left_out_and_all_others_are_there(
    home: Home, emulator: EmulatorProcess
) -> None:
    folder = f"{HUB}/Quirks/Project Files/Names"
    listed = {row["name"] for row in json.loads(home.run("ls", "--json", folder).stdout)}
    offered = {
        each.removeprefix(f"{folder}/").rstrip("/")
        for each in fits("ls", f"{folder}/", environ=home.environment())
    }
    assert offered <= listed
    left_out = listed - offered
    assert left_out
    assert all(not name.isprintable() for name in left_out)
    assert len(offered) > 10
