"""From the command line to Settings: which file is read, and what relative paths mean."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dmfs.cli.parser import parsers
from dmfs.cli.settings import Invocation, check_proxies, read_settings
from dmfs.config import DECLARED, Settings
from dmfs.errors import SetupError, UsageError


def read(*words: str, **environ: str) -> Settings:
    argv = ["ls", *words]
    return read_settings(Invocation(parsers()[0].parse_args(argv), argv, environ))


def test_every_relative_path_becomes_an_absolute_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keys = [key for key, declared in DECLARED.items() if declared.type.is_path]
    assert {"cache_dir", "state_dir", "key_file", "ca_file"} == set(keys)
    words = [word for key in keys for word in ("--set", f"{key}=some/{key}")]
    settings = read(*words, HOME="/home/ada")
    for key in keys:
        value = getattr(settings, key)
        assert str(value) == str(tmp_path / "some" / key)
        assert isinstance(value, type(getattr(Settings(), key)))


def test_a_path_with_dots_means_what_linux_means_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "inner")
    (tmp_path / "disk" / "state").mkdir()
    monkeypatch.chdir(tmp_path)
    for text in ("link/../state", f"{tmp_path}/link/../state"):
        assert read("--set", f"state_dir={text}").state_dir.samefile(tmp_path / "disk" / "state")


def test_absent_files_stay_absent_and_home_is_expanded_by_the_reader() -> None:
    settings = read("--set", "key_file=~/key.json", HOME="/home/ada")
    assert (settings.key_file, settings.ca_file) == ("~/key.json", "")
    assert settings.cache_dir == Path("/home/ada/.cache/dmfs")


def test_the_configuration_file_is_the_option_then_the_variable_then_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "option.toml").write_text("ttl = 1")
    (tmp_path / "variable.toml").write_text("ttl = 2")
    (tmp_path / "dmfs").mkdir()
    (tmp_path / "dmfs/config.toml").write_text("ttl = 3")
    environ = {"DMFS_CONFIG": "variable.toml", "XDG_CONFIG_HOME": str(tmp_path)}
    assert read("--config", "option.toml", **environ).ttl == 1
    assert read(**environ).ttl == 2
    assert read(XDG_CONFIG_HOME=str(tmp_path)).ttl == 3
    assert read("--set", "ttl=4", "--set", "ttl=5", **environ).ttl == 5


def test_a_chosen_file_must_exist_and_the_default_one_need_not(tmp_path: Path) -> None:
    assert read(HOME=str(tmp_path)) == read(HOME=str(tmp_path))
    with pytest.raises(SetupError, match="does not exist"):
        read("--config", str(tmp_path / "absent"))
    with pytest.raises(SetupError, match="does not exist"):
        read(DMFS_CONFIG=str(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("ttl", "--set 'ttl': unknown key 'ttl'"),
        ("tttl=1", "unknown key 'tttl'"),
        ("client_secret=x", "would show in the process list"),
        ("ttl=soon", "option ttl: 'soon' is not a duration"),
    ],
)
def test_a_wrong_assignment_is_a_usage_error(word: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read("--set", word)
    assert message in caught.value.message
    assert caught.value.hint or "soon" in word


def test_the_option_for_the_profile_comes_before_the_variable() -> None:
    assert read("--profile", "work", DMFS_PROFILE="home").profile == "work"
    assert read(DMFS_PROFILE="home").profile == "home"


@pytest.mark.parametrize("name", ["ALL_PROXY", "https_proxy"])
def test_a_proxy_that_only_the_engine_for_forms_refuses_fails_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """libcurl takes it, so a drive would work until its first refresh of a token."""
    monkeypatch.setenv(name, "socks5://someone:hunter2@127.0.0.1:9")
    with pytest.raises(SetupError, match="proxy") as caught:
        check_proxies({name: "socks5://someone:hunter2@127.0.0.1:9"})
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_without_a_proxy_nothing_is_imported_to_check_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("dmfs.http.httpx_client", raising=False)
    monkeypatch.setitem(sys.modules, "dmfs.http.httpx_client", None)
    check_proxies({"NO_PROXY": "example.org", "https_proxy": ""})
    with pytest.raises(ImportError):
        check_proxies({"https_proxy": "http://127.0.0.1:9"})


UNREADABLE = {
    "lists in lists": b"ttl = " + b"[" * 5000,
    "tables in tables": b"ttl = " + b"{a=" * 5000,
    "a number that Python refuses": b"ttl = " + b"9" * 5000,
    "a number that Python reads and cannot write": b"ttl = 0x" + b"f" * 4000,
    "the same in a profile": b"[profiles.a]\nkey_id = 0x" + b"f" * 4000,
    "a NUL": b"ttl = 1\0",
    "Latin-1": b"# caf\xe9\n",
    "UTF-16": "ttl = 1\n".encode("utf-16"),
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_configuration_that_cannot_be_read_is_told_with_its_name(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(SetupError) as caught:
        read("--config", str(path))
    assert str(path) in caught.value.message


def test_a_configuration_with_a_mark_of_its_encoding_and_other_line_ends_is_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes("ttl = 5\r\nscopes = 'data:read'\r\n".encode("utf-8-sig"))
    assert read("--config", str(path)).ttl == 5


def test_a_configuration_that_never_ends_is_not_read_to_its_end() -> None:
    with pytest.raises(SetupError, match=r"cannot be read: .*File too large"):
        read("--config", "/dev/zero")


@pytest.mark.parametrize("key", [key for key, each in DECLARED.items() if each.environment])
def test_a_value_that_is_not_in_utf8_is_told_without_it_unless_it_names_a_file(key: str) -> None:
    name, value = DECLARED[key].environment, "/hush\udcff"  # as Python reads such bytes
    if DECLARED[key].type.is_path:
        assert str(getattr(read(**{name: value}), key)) == value
        return
    with pytest.raises(SetupError, match=f"{name}: is not in UTF-8") as caught:
        read(**{name: value})
    assert "hush" not in caught.value.message


@pytest.mark.parametrize(
    "key", [key for key, declared in DECLARED.items() if declared.type.is_path]
)
def test_a_path_in_the_home_of_nobody_is_told_at_once(key: str) -> None:
    with pytest.raises(UsageError, match=f"option {key}: .*there is no such user"):
        read("--set", f"{key}=~nobody-of-that-name/x")
