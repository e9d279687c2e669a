"""stdout that is closed, full, left by its reader, or of an encoding without our characters."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dmfs.cli import streams
from dmfs.cli.main import COMMANDS, main
from dmfs.cli.settings import Invocation
from tests.support.mounts import Home, dmfs_command

DMFS = " ".join(dmfs_command())
PROJECTS = "/Emulated Builders \uff0f Headquarters"
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def alone(tmp_path: Path) -> Home:
    """A user without a service."""
    return Home(tmp_path / "user", None, {})


def shell(home: Home, script: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    done = home.tool("bash", "-c", script, environ=environ)
    assert b"Traceback" not in done.stderr, done.stderr
    assert b"Exception ignored" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("words", ["--version", "--help", "help config", "ls --help", "help"])
def test_output_that_cannot_be_written_is_one_line_and_status_1(alone: Home, words: str) -> None:
    for target, reason in ((">&-", b"Bad file descriptor"), (">/dev/full", b"No space left")):
        done = shell(alone, f"{DMFS} {words} {target}")
        assert done.returncode == 1, target
        assert done.stderr.startswith(b"dmfs: stdout cannot be written: " + reason)
        assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("words", ["--version", "--help", "help config", "help semantics"])
def test_a_reader_that_has_gone_is_no_news(alone: Home, words: str) -> None:
    done = shell(alone, f"{DMFS} {words} | head -0; {DMFS} {words} | head -1")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("words", ["--help", "help semantics", "help config", "mount --help"])
def test_help_in_a_locale_without_its_characters(alone: Home, words: str) -> None:
    done = shell(alone, f"{DMFS} {words}", **ASCII)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == shell(alone, f"{DMFS} {words}", LC_ALL="C.UTF-8").stdout
    assert not done.stdout.isascii() or words not in ("--help", "help semantics")


def test_a_closed_descriptor_is_not_given_to_a_file(alone: Home) -> None:
    """Without stdout the first file that is opened would get its number, and what is printed."""
    script = (
        "import os; from dmfs.cli.streams import make_usable; make_usable();"
        'number = os.open("/etc/hostname", os.O_RDONLY); os._exit(number > 2)'
    )
    for closed in (">&-", "<&-", "2>&-", "<&- >&- 2>&-"):
        done = shell(alone, f"python -c '{script}' {closed}")
        assert done.returncode == 1, closed


@pytest.mark.mount  # for the emulator of its fixtures
def test_names_in_a_locale_without_their_characters(home: Home) -> None:
    plain = home.run("ls", PROJECTS)
    assert plain.returncode == 0
    done = home.run("ls", PROJECTS, environ=ASCII)
    assert (done.returncode, done.stdout, done.stderr) == (0, plain.stdout, b"")
    table = home.run("ls", "-l", "/", environ=ASCII)
    assert (table.returncode, table.stderr) == (0, b"")
    assert "Emulated Builders ／ Headquarters".encode() in table.stdout
    for words in (["whoami"], ["stat", PROJECTS], ["doctor"], ["ls", "/\u5efa"]):
        done = home.run(*words, environ=ASCII)
        assert b"Traceback" not in done.stderr, done.stderr


@pytest.mark.mount
@pytest.mark.parametrize("words", ["ls", "ls -l", "ls --json", "stat /", "whoami", "doctor"])
def test_data_that_cannot_be_written(home: Home, words: str) -> None:
    for target in (">&-", ">/dev/full"):
        done = shell(home, f"{DMFS} {words} {target}")
        assert done.returncode == 1
        assert done.stderr.startswith(b"dmfs: stdout cannot be written: "), done.stderr


def test_two_tasks_that_found_the_reader_gone_are_no_news_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with ``dmfs find / | head -1``: two folders were being told at the same time."""

    def fail_with(*errors: Exception) -> None:
        def command(call: Invocation) -> int:
            raise ExceptionGroup("of a nursery", [ExceptionGroup("inner", list(errors))])

        monkeypatch.setitem(COMMANDS, "help", command)

    monkeypatch.setattr(streams, "give_up_stdout", lambda: None)
    fail_with(BrokenPipeError(32, "Broken pipe"), BrokenPipeError(32, "Broken pipe"))
    assert main(["help"]) == 1
    fail_with(BrokenPipeError(32, "Broken pipe"), ValueError("a bug"))
    with pytest.raises(ExceptionGroup):
        main(["help"])
