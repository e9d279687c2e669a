"""scripts/setup where it must not or cannot go ahead. (That it works, CI itself shows.)"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What scripts/setup may take for granted on any Linux; all else it has to look for.
ALWAYS_THERE = (
    *("bash", "basename", "cat", "dirname", "env", "flock", "grep", "head", "id", "mktemp"),
    *("mv", "realpath", "rm", "sed", "sha256sum", "sh", "tail"),
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    copy = tmp_path / "a checkout"
    copy.mkdir()
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH with nothing of what dmfs needs, and no apt."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for program in ALWAYS_THERE:
        found = shutil.which(program)
        assert found, program
        (bin_ / program).symlink_to(found)
    return bin_


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def setup(
    checkout: Path, *arguments: str, path: Path | None = None, python: str | None = None
) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key not in {"PYTHON", "PATH"}}
    env["PATH"] = str(path) if path else os.environ["PATH"]
    if python:
        env["PYTHON"] = python
    return subprocess.run(
        [str(checkout / "scripts" / "setup"), *arguments],
        cwd="/",
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_unknown_argument_is_named(checkout: Path) -> None:
    result = setup(checkout, "--dve")
    assert result.returncode == 2
    assert "--dve" in result.stderr


def test_help_explains(checkout: Path) -> None:
    result = setup(checkout, "--help")
    assert result.returncode == 0
    assert "scripts/setup [--dev]" in result.stdout
    assert "PYTHON=" in result.stdout


def test_asked_for_python_that_is_not_there(checkout: Path) -> None:
    result = setup(checkout, python="python2.0")
    assert result.returncode == 1
    assert "PYTHON=python2.0" in result.stderr


def test_too_old_a_python_is_told_and_kept_from_apt(checkout: Path, bare_path: Path) -> None:
    # A python3 that fails every check and says it is old.
    program(
        bare_path / "old-python",
        '#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2 && exit 0\nexit 1\n',
    )
    result = setup(checkout, path=bare_path, python="old-python")
    assert result.returncode == 1
    assert "older than 3.11" in result.stderr
    assert not (checkout / ".venv").exists()


def test_without_apt_it_says_what_to_install(checkout: Path, bare_path: Path) -> None:
    python = Path("/usr/bin/python3").resolve()
    if not python.exists():
        pytest.skip("no system Python")
    (bare_path / "python3").symlink_to(python)
    result = setup(checkout, path=bare_path)
    assert result.returncode == 1
    assert "lacks: fuse3" in result.stderr
    for manager in ("dnf:", "pacman:", "zypper:"):
        assert manager in result.stderr
    assert not (checkout / ".venv").exists()


def test_apt_is_asked_for_what_is_missing_and_no_more(checkout: Path, bare_path: Path) -> None:
    """With stand-ins for everything but fusermount3, apt is asked for fuse3 alone."""
    asked = checkout.parent / "asked"
    for there in ("pkg-config", "cc", "apt-cache"):
        program(bare_path / there, "#!/bin/sh\nexit 0\n")
    program(bare_path / "python3", "#!/bin/sh\necho /opt/python/bin/python3\n")
    program(bare_path / "apt-get", f'#!/bin/sh\necho "$@" >>"{asked}"\nexit 100\n')
    program(bare_path / "sudo", '#!/bin/sh\n[ "$1" = -n ] && shift\nexec "$@"\n')
    result = setup(checkout, path=bare_path)
    assert result.returncode == 1
    assert "installing fuse3\n" in result.stdout
    calls = [call.split() for call in asked.read_text().splitlines()]
    installs = [call[call.index("install") :] for call in calls if "install" in call]
    assert installs
    assert all(call == ["install", "--no-install-recommends", "fuse3"] for call in installs)
    assert "could not install fuse3" in result.stderr
