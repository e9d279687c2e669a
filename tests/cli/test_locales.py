"""No name makes a command fail, whatever the locale and the streams."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
from pathlib import Path

import pytest

from tests.support.mounts import dmfs_command

ACCOUNT = "Emulated Builders \uff0f Headquarters"
NAMES = f"/{ACCOUNT}/Quirks/Project Files/Names"
ASCII = {"LC_ALL": "C", "LANG": None, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture(scope="module")
def latin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """A locale whose encoding is ISO-8859-1."""
    where = tmp_path_factory.mktemp("locales")
    try:
        words = ["localedef", "-f", "ISO-8859-1", "-i", "de_DE", str(where / "de_DE.ISO-8859-1")]
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no localedef with de_DE here")
    return {"LC_ALL": "de_DE.ISO-8859-1", "LOCPATH": str(where), "PYTHONUTF8": "0"}


@pytest.fixture(params=["ascii", "latin-1"])
def environ(request: pytest.FixtureRequest) -> dict[str, str | None]:
    return ASCII if request.param == "ascii" else request.getfixturevalue("latin")


def test_names_come_out_as_the_mount_has_them(home, environ):
    expected = home.run("ls", NAMES).stdout
    assert "日本語".encode() in expected or any(byte > 127 for byte in expected)
    for words in (["ls", NAMES], ["ls", "-0", NAMES], ["ls", "--json", NAMES], ["stat", NAMES]):
        done = home.run(*words, environ=environ)
        assert (done.returncode, done.stderr) == (0, b""), words
        assert done.stdout == home.run(*words).stdout, words
    json.loads(home.run("ls", "--json", NAMES, environ=environ).stdout)


def test_every_command_gets_its_words_out(home, environ):
    for words in (["help"], ["help", "config"], ["--help"], ["mount", "--help"], ["doctor"],
                  ["whoami"], ["whoami", "--json"], ["ls", "-l", NAMES]):  # fmt: skip
        done = home.run(*words, environ=environ)
        assert b"Traceback" not in done.stderr, words
        assert done.stdout.decode("utf-8"), words


def test_an_error_names_what_was_asked_for(home, environ):
    for raw in ("/Plänе 図面".encode(), b"/caf\xe9"):
        done = home.run("ls", raw, environ=environ)
        assert done.returncode == 1
        assert done.stderr.startswith(b"dmfs: ")
        assert b"Traceback" not in done.stderr
        assert done.stderr.count(b"\n") == 1


def test_a_path_of_other_bytes_in_the_configuration(home, environ, tmp_path):
    home.config.write_text(home.config.read_text() + f'cache_dir = "{tmp_path}/Pläne"\n', "utf-8")
    done = home.run("ls", "/", environ=environ | {"DMFS_CACHE_DIR": None})
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "Pläne").is_dir()


def on_terminal(home, environ: dict[str, str | None], *words: str) -> bytes:
    """What a person at a terminal of that locale sees."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen([*dmfs_command(), *words], env=home.environment(environ),
                             stdin=theirs, stdout=theirs, stderr=theirs)  # fmt: skip
    os.close(theirs)
    seen = b""
    try:
        while select.select([ours], [], [], 40)[0]:
            try:
                seen += os.read(ours, 65536)
            except OSError:
                break  # its other end is closed
    finally:
        assert child.wait(20) == 0, seen
        os.close(ours)
    return seen


def test_a_terminal_gets_a_question_mark_for_what_it_cannot_show(home):
    for words in (["ls", "/"], ["stat", f"/{ACCOUNT}"]):
        seen = on_terminal(home, ASCII, *words)
        assert seen.isascii()
        assert b"Traceback" not in seen
    assert b"Builders ? Headquarters" in on_terminal(home, ASCII, "ls", "/")
    assert ACCOUNT.encode() in on_terminal(home, {}, "ls", "/")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_harm_nothing(home, closed, tmp_path):
    file = f"/{ACCOUNT}/Sample Project/Project Files/README.txt"
    command = f'"$@" {closed}'
    for words in (["ls", "/"], ["cat", file]):
        done = home.tool("sh", "-c", command, "sh", *dmfs_command(), *words)
        assert b"Traceback" not in done.stderr
        assert done.returncode == (">&-" in closed.split()), (words, done)
    # nothing was written into a file that took the place of stdout
    body = home.run("cat", file).stdout[:40]
    assert body
    for path in Path(home.state).rglob("*"):
        assert not path.is_file() or body not in path.read_bytes()
    assert home.run("doctor", "--json").stdout.count(b'"error"') == 0
