"""The scripts of the shells, in the shells themselves, at a terminal.

What a person would have in the line after Tab is printed by the shell, each word between angle
brackets: so the quoting is right, or it shows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

import dmfs.cli.completion
from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Home, dmfs_command
from tests.support.terminals import Terminal, terminal

SCRIPTS = Path(dmfs.cli.completion.__file__).parent / "shells"
HUB = "/Emulated Builders \uff0f Headquarters"
PROJECT = f"{HUB}/Sample Project"
LINES = [
    ("mo\t", "<mount>"),
    (r"ls /Emulated\ Bui" + "\tSam\tProj\tREA\t", f"<ls><{PROJECT}/Project Files/README.txt>"),
    ("ls /Ada\t", "<ls></Ada's Hub/>"),
    ("put /etc/hostn\t", "<put></etc/hostname>"),
    ("mount / x -o ro,uma\t022", "<mount></><x><-o><ro,umask=022>"),
    ("ls --log-level=de\t", "<ls><--log-level=debug>"),
]
"""Typed behind ``dmfs``, and what the line is then."""
IN_QUOTES = {
    "bash": [
        ('"/Emulated Bui\tSam\t', f"<ls><{PROJECT}/>"),
        ("'/Ada\t", "<ls></Ada's Hub/>"),
        (f'"{HUB}"/Sam\t', f"<ls><{PROJECT}/>"),
    ],
    "zsh": [
        ('"/Emulated Bui\t"', f"<ls><{HUB}/>"),
        ("'/Emulated Bui\tSam\t'", f"<ls><{PROJECT}/>"),
    ],
}
"""bash ends the quotation itself, and goes on behind it."""


def test_the_scripts_are_no_riddle_to_their_shells() -> None:
    for shell in ("bash", "zsh", "fish"):
        if shutil.which(shell):
            subprocess.run([shell, "-n", SCRIPTS / f"dmfs.{shell}"], check=True, timeout=30)


@pytest.mark.mount  # for the emulator of its fixtures
@pytest.mark.tool
def test_tab_in_bash_zsh_and_fish(tmp_path: Path, home: Home, emulator: EmulatorProcess) -> None:
    assert home.run("ls", f"{PROJECT}/Project Files").returncode == 0
    emulator.reset()
    directory = Path(dmfs_command()[0]).parent
    environ = {
        **home.environment(), "TERM": "dumb", "LC_ALL": "C.UTF-8", "PS1": "$ ",
        "PATH": f"{directory}:{os.environ['PATH']}", "COLUMNS": "250",
    }  # fmt: skip
    missing = [shell for shell in ("bash", "zsh", "fish") if shutil.which(shell) is None]
    if "bash" not in missing:
        with terminal(["bash", "--norc", "--noprofile"], environ, tmp_path) as at:
            at.type(f"source '{SCRIPTS / 'dmfs.bash'}'; echo rea''dy\n")
            at.shows("ready")
            type_and_look(at, "bash")
    if "zsh" not in missing:
        (tmp_path / "functions").mkdir()
        shutil.copy(SCRIPTS / "dmfs.zsh", tmp_path / "functions/_dmfs")
        with terminal(["zsh", "-f", "-i"], environ, tmp_path) as at:
            at.type("fpath=($PWD/functions $fpath); bindkey -e; autoload -U compinit; "
                    "compinit -u -D; echo rea''dy\n")  # fmt: skip
            at.shows("ready")
            type_and_look(at, "zsh")
    if "fish" not in missing:
        look_in_fish(environ, tmp_path)
    assert not any(emulator.counts().values())
    if missing:
        pytest.skip(f"the others did well; {', '.join(missing)}: not installed")


def type_and_look(at: Terminal, shell: str) -> None:
    quoted = [(f"ls {typed}", expected) for typed, expected in IN_QUOTES[shell]]
    for typed, expected in [*LINES, *quoted]:
        at.type(f"dmfs {typed}\x01printf '<%s>' \n")  # Ctrl-A: to the beginning of the line
        at.shows(f"<dmfs>{expected}")


def look_in_fish(environ: Mapping[str, str], at: Path) -> None:
    """``complete -C`` tells what fits, without quotation marks: those are fish's own."""
    lines = {
        "dmfs mo": "mount\tshow the drive, or a part of it, in a directory",
        r"dmfs ls /Emulated\ Bui": f"{HUB}/\thub",
        'dmfs ls "/Emulated Bui': f"{HUB}/\thub",
        f"dmfs ls '{HUB}/Sam": f"{PROJECT}/\tproject",
        r"dmfs ls '/Ada\'": "/Ada's Hub/\thub",
        "dmfs put /etc/hostn": "/etc/hostname",
        "dmfs mount / x -o ro,uma": "ro,umask=\tpermissions to take away, such as 022",
        "dmfs ls --log-level=de": "--log-level=debug",
    }
    asked = "\n".join(f"complete -C {quoted_for_fish(line)}" for line in lines)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source '{SCRIPTS / 'dmfs.fish'}'\n{asked}"],
        env=dict(environ), cwd=at, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout.splitlines(), done.stderr) == (list(lines.values()), "")


def quoted_for_fish(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
