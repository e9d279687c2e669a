"""What each command imports: a count that stays the same on every machine, unlike its duration.

The duration itself is a row of the benchmark (`scripts/bench --row start`).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Home

PROJECT = "/Emulated Builders \uff0f Headquarters/Sample Project"
HEAVY = {
    "trio", "httpx", "pyfuse3", "pycurl", "rich", "diskcache", "keyring", "asyncio", "sqlite3",
    "email", "isal", "joserfc", "cryptography", "ssl", "dmfs.assembly", "dmfs.drive",
}  # fmt: skip
"""Libraries, and the parts of dmfs that import most of them."""
SCRIPT = """
import gc, sys  # both are the interpreter's own
before = set(sys.modules)
from dmfs.cli.main import main
try:
    sys.exit(main(sys.argv[2:]))
finally:
    with open(sys.argv[1], "w") as file:
        file.write("\\n".join(set(sys.modules) - before))
"""


def imported(path: Path, *words: str, home: Home | None = None) -> tuple[int, set[str]]:
    """The exit status of ``dmfs WORDS``, and the modules that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), *words],
        capture_output=True, check=False, timeout=60, env=home.environment() if home else None,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr, done.stderr
    return done.returncode, set(path.read_text("utf-8").splitlines())


@pytest.mark.parametrize(
    ("words", "status", "most"),
    [
        (["--version"], 0, 30),
        (["--version", "--help"], 0, 60),
        (["--help"], 0, 60),
        (["ls", "--help"], 0, 60),
        (["mount", "--help"], 0, 60),
        ([], 2, 60),
        (["mount", "/"], 2, 60),
        (["no-such-command"], 2, 108),
        (["ls", "--jsn"], 2, 108),
        (["help"], 0, 108),
        (["help", "config"], 0, 108),
        (["help", "semantics"], 0, 108),
        (["help", "config", "--json"], 0, 108),
        (["umount", "/nowhere"], 1, 122),
        (["mount", "/", "/nowhere"], 1, 122),
        (["mount", "/", "/", "-o", "blksize=1"], 2, 122),
    ],
)
def test_commands_that_need_no_service_import_little(
    tmp_path: Path, words: list[str], status: int, most: int
) -> None:
    returned, modules = imported(tmp_path / "modules", *words)
    assert returned == status
    assert not modules & HEAVY
    assert len(modules) <= most, sorted(modules)


def test_completion_can_read_the_parser_without_a_library(tmp_path: Path) -> None:
    code = "import sys; from dmfs.cli.parser import parsers; parsers(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert not set(done.stdout.split()) & HEAVY


@pytest.mark.parametrize("words", [["ls"], ["ls", "-0"], ["ls", "--json"], ["stat"]])
def test_a_known_folder_is_listed_without_what_a_mount_or_a_person_needs(
    tmp_path: Path, home: Home, emulator: EmulatorProcess, words: list[str]
) -> None:
    assert home.run(*words, PROJECT).returncode == 0
    emulator.reset()
    status, modules = imported(tmp_path / "modules", *words, PROJECT, home=home)
    assert status == 0
    needless = {
        "pyfuse3", "rich", "keyring", "asyncio", "joserfc", "cryptography", "webbrowser",
        "httpx", "certifi",
        "dmfs.fuse.mountpoint", "dmfs.fuse.operations", "dmfs.emulator", "dmfs.cli.serve",
        "dmfs.cli.login",
    }  # fmt: skip
    assert not modules & needless
    assert not any(emulator.counts().values())


@pytest.mark.mount
def test_the_process_that_starts_a_background_mount_does_not_open_a_drive(
    tmp_path: Path, home: Home
) -> None:
    """It checks, starts the process that serves, and waits."""
    (tmp_path / "point").mkdir()
    words = ["mount", "/no such hub", str(tmp_path / "point")]
    status, modules = imported(tmp_path / "modules", *words, home=home)
    assert status == 1
    assert not modules & HEAVY
