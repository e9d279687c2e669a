"""A configuration with a secret that everybody can read is told: once by commands, each time by the
doctor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dmfs.cli.secret_files import exposed_files, warn_once
from dmfs.config import Settings
from tests.support.mounts import Home

SECRET = 'client_secret = "hush-hush"\n'


def told(capsys: pytest.CaptureFixture[str], config: Path, settings: Settings) -> list[str]:
    warn_once(config, settings)
    lines = capsys.readouterr().err.splitlines()
    assert not any("hush" in line for line in lines)
    return lines


def test_it_is_told_once_a_file_until_it_is_mended_and_exposed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    for path in (one, two):
        path.write_text(SECRET)
        path.chmod(0o644)
        (line,) = told(capsys, path, settings)
        assert line == (
            f"dmfs: warning: everybody on this machine can read client_secret in {path}"
            f" — chmod 600 {path}"
        )
        assert told(capsys, path, settings) == []
    one.chmod(0o600)
    assert told(capsys, one, settings) == []
    one.chmod(0o604)
    assert len(told(capsys, one, settings)) == 1
    assert told(capsys, two, settings) == []
    assert (tmp_path / "state/warned").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("text", "mode", "exposed"),
    [
        (SECRET, 0o644, True),
        ("[profiles.work]\n  client_secret='x'\n", 0o604, True),
        ('"client_secret" = """x"""\n', 0o666, True),
        (SECRET, 0o602, True),  # whoever may write it may send the secret elsewhere
        (SECRET, 0o600, False),
        (SECRET, 0o640, False),  # a group was chosen
        ('# client_secret = "x"\n', 0o644, False),
        ('client_secret = ""\n', 0o644, False),
        ('client_id = "x"\n', 0o644, False),
        ("", 0o644, False),
    ],
)
def test_which_configuration_is_exposed(
    tmp_path: Path, text: str, mode: int, exposed: bool
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text)
    config.chmod(mode)
    assert [path for _, path in exposed_files(config, Settings())] == [config] * exposed


def test_so_is_the_key_of_a_service_account(tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text("{}")
    key.chmod(0o644)
    found = list(exposed_files(tmp_path / "none", Settings(key_file=str(key))))
    assert found == [("the private key of a service account", key)]
    assert list(exposed_files(tmp_path / "none", Settings(key_file=str(tmp_path / "gone")))) == []


def test_a_state_directory_that_cannot_be_written_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(SECRET)
    config.chmod(0o644)
    settings = Settings(state_dir=config / "no directory")
    assert len(told(capsys, config, settings)) == 1


@pytest.mark.mount  # for the emulator of its fixtures
def test_the_commands_say_so_once_and_the_doctor_each_time(home: Home) -> None:
    home.config.write_text(home.config.read_text() + SECRET)
    home.config.chmod(0o644)
    first, second = home.run("ls", "/"), home.run("ls", "/")
    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout == second.stdout
    assert b"chmod 600" in first.stderr
    assert second.stderr == b""
    for _ in range(2):
        done = home.run("doctor", "--json")
        assert done.stderr == b""
        found = [each for each in json.loads(done.stdout) if "client_secret" in each["what"]]
        assert [each["level"] for each in found] == ["warning"]
        assert found[0]["remedy"].startswith(f"chmod 600 {home.config}")
