"""``dmfs help config``: complete, correct, readable by people and by programs."""

from __future__ import annotations

import json
import tomllib

import pytest

from dmfs.cli.main import main
from dmfs.cli.parser import LOG_LEVELS
from dmfs.config import DECLARED, KEYS, PROFILE_KEYS, load_settings
from dmfs.help import TOPICS
from dmfs.help.topics import topic_json, topic_text
from dmfs.telemetry.logs import LEVELS
from tests.support.commands import stdout_of
from tests.support.mounts import Home

HIDDEN = {"rate_window", "any_spool_disk"}


def test_the_settings_for_people_are_a_configuration_file_of_the_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    environ = {"HOME": "/home/ada"}
    text = topic_text("config")
    assert set(tomllib.loads(text)) == set(KEYS) - HIDDEN
    assert load_settings(text, environ, {}) == load_settings("", environ, {})
    assert "ttl = 60.0 " in text


def test_the_settings_for_people_fit_a_terminal_and_are_aligned() -> None:
    lines = topic_text("config").splitlines()
    assert max(len(line) for line in lines) <= 80
    columns = {line.index("# ", 2) for line in lines if "# " in line[2:]}
    assert len(columns) == 1


def test_every_setting_is_explained_with_its_limits_and_its_variable() -> None:
    text = " ".join(topic_text("config").replace("#", " ").split())
    for key, declared in DECLARED.items():
        assert declared.help.endswith("."), key
        assert (" ".join(declared.help.split()) in text) == (key not in HIDDEN), key
        assert declared.environment in text
        assert all(choice in text for choice in declared.choices)
    assert "size, 16M to 64G" in text
    assert "duration, 0 to 86400 s" in text
    assert "allowed keys: " + ", ".join(PROFILE_KEYS) in text


def test_the_settings_for_programs_name_type_unit_default_and_limits() -> None:
    rows = {row["key"]: row for row in json.loads(topic_json("config"))}
    assert set(rows) == set(KEYS) - HIDDEN
    assert rows["ttl"] | {"help": ""} == {
        "key": "ttl", "type": "duration", "unit": "s", "default": 60.0, "minimum": 0,
        "maximum": 86400, "choices": None, "environment": None, "in_profile": False, "help": "",
    }  # fmt: skip
    assert rows["token_store"]["choices"] == ["auto", "keyring", "file"]
    assert rows["ca_file"]["environment"] == "SSL_CERT_FILE"
    assert rows["client_secret"]["default"] == ""


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_is_printed_for_people_and_for_programs(
    capsys: pytest.CaptureFixture[str], topic: str
) -> None:
    words = ["help", topic]
    assert main(words) == 0
    assert capsys.readouterr().out == topic_text(topic)
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_the_parser_offers_the_log_levels_that_exist() -> None:
    """It does not import them: logging to files brings pickle, queues and sockets along."""
    assert LOG_LEVELS == LEVELS


def test_version_and_help(home: Home) -> None:
    assert stdout_of(home, "--version").startswith(b"dmfs 0.")
    for words in ([], ["mount"], ["umount"], ["ls"], ["stat"], ["cat"], ["demo"], ["emulator"]):
        assert b"usage" in stdout_of(home, *words, "--help").lower()
    assert b"Right bytes or an honest error" in stdout_of(home, "help", "semantics")
    assert b"ttl = 60.0" in stdout_of(home, "help", "config")
