"""The scripts of the shells, in the shells themselves, at a terminal.

What a person would have in the line after Tab is printed by the shell, each word between angle
brackets: so the quoting is right, or it shows.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
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
    for shell in {"bash", "zsh"} - set(missing):
        with shell_at_terminal(shell, environ, tmp_path) as at:
            type_and_look(at, shell)
    if "fish" not in missing:
        look_in_fish(environ, tmp_path)
    assert not any(emulator.counts().values())
    if missing:
        pytest.skip(f"the others did well; {', '.join(missing)}: not installed")


@contextlib.contextmanager
def shell_at_terminal(shell: str, environ: Mapping[str, str], place: Path) -> Iterator[Terminal]:
    """Without anybody's own configuration, and with our completion."""
    if shell == "bash":
        command = ["bash", "--norc", "--noprofile"]
        begin = f"set +H; source '{SCRIPTS / 'dmfs.bash'}'"  # no history in quotation marks
    else:
        (place / "functions").mkdir()
        shutil.copy(SCRIPTS / "dmfs.zsh", place / "functions/_dmfs")
        command = ["zsh", "-f", "-i"]
        begin = "fpath=($PWD/functions $fpath); bindkey -e; autoload -U compinit; compinit -u -D"
    with terminal(command, environ, place) as at:
        at.type(f"{begin}; echo rea''dy\n")
        at.shows("ready")
        yield at


HOSTILE = "/q $HOME $(touch X) `touch Y`;\"z'\u00e9&|<>*?[a]{b,c}!h#~=:@\\n.dwg"
"""A name, and nothing that any shell should do."""
STAND_IN = """\
#!/bin/sh
# As dmfs, in a drive where this is the only entry
exec "$PYTHON" -c '
import os, sys
from dmfs.cli.completion import answer
answer.answer = lambda *_: ("paths", [(os.environ["HOSTILE"], "")])
answer.complete(sys.argv[2:], {})
' "$@"
"""


@pytest.mark.tool
def test_no_name_is_taken_for_something_to_do(tmp_path: Path) -> None:
    program = tmp_path / "dmfs"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    environ = {
        **os.environ, "TERM": "dumb", "LC_ALL": "C.UTF-8", "PS1": "$ ", "COLUMNS": "250",
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOSTILE": HOSTILE, "PYTHON": sys.executable,
    }  # fmt: skip
    missing = [shell for shell in ("bash", "zsh") if shutil.which(shell) is None]
    for shell in {"bash", "zsh"} - set(missing):
        with shell_at_terminal(shell, environ, tmp_path) as at:
            for begin in ("/q", '"/q', "'/q"):
                at.type(f"dmfs ls {begin}\t\x01printf '<%s>' \n")
                at.shows(f"<dmfs><ls><{HOSTILE}>")
    assert not {"X", "Y"} & {each.name for each in tmp_path.iterdir()}
    if missing:
        pytest.skip(f"{', '.join(missing)}: not installed")


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
