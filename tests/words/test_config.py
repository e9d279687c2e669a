"""Settings: which source wins, and what each refusal says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.config import (
    DECLARED,
    DEFAULT_API_URL,
    KEYS,
    PROFILE_KEYS,
    Settings,
    default_paths,
    load_settings,
)
from dmfs.errors import SetupError
from dmfs.setting_types import parse_duration, parse_size
from dmfs.urls import check_api_url

MIB = 1 << 20
HOME = {"HOME": "/home/ada"}


def test_defaults() -> None:
    settings = load_settings("", HOME, {})
    assert settings.api_url == DEFAULT_API_URL == "https://developer.api.autodesk.com"
    assert settings.cache_dir == Path("/home/ada/.cache/dmfs")
    assert settings.state_dir == Path("/home/ada/.local/state/dmfs")
    assert (settings.ttl, settings.patience, settings.rollup_trust) == (60, 1, 900)


def test_flags_beat_environment_beats_file_beats_defaults() -> None:
    file, env, flags = 'client_id = "file"', {"DMFS_CLIENT_ID": "env"}, {"client_id": "flag"}
    assert load_settings("", HOME, {}).client_id == ""
    assert load_settings(file, HOME, {}).client_id == "file"
    assert load_settings(file, HOME | env, {}).client_id == "env"
    assert load_settings(file, HOME | env, flags).client_id == "flag"
    assert load_settings(file, HOME | {"DMFS_CLIENT_ID": ""}, {}).client_id == "file"


def test_every_name_of_the_contract_is_read_from_the_environment() -> None:
    environ = {
        "DMFS_API_URL": "https://x", "DMFS_CLIENT_ID": "i", "DMFS_CLIENT_SECRET": "s",
        "DMFS_PROFILE": "p", "DMFS_CACHE_DIR": "/c", "DMFS_STATE_DIR": "/s",
    }  # fmt: skip
    settings = load_settings("", environ, {})
    assert (settings.api_url, settings.client_id, settings.client_secret) == ("https://x", "i", "s")
    assert (settings.profile, settings.cache_dir, settings.state_dir) == (
        "p", Path("/c"), Path("/s"),
    )  # fmt: skip


def test_paths_follow_xdg_if_it_is_absolute() -> None:
    xdg = HOME | {"XDG_CACHE_HOME": "/x", "XDG_STATE_HOME": "relative", "XDG_CONFIG_HOME": "/y"}
    paths = default_paths(xdg)
    assert paths["cache_dir"] == "/x/dmfs"
    assert paths["state_dir"] == "/home/ada/.local/state/dmfs"
    assert paths["config"] == "/y/dmfs/config.toml"
    assert default_paths(xdg | {"DMFS_CONFIG": "/z.toml"})["config"] == "/z.toml"


@pytest.mark.parametrize(
    ("toml", "message", "hint"),
    [
        ('chache_size = "1G"', "unknown key 'chache_size'", "'cache_size'"),
        ("zzzzzz = 1", "unknown key 'zzzzzz'", "known are"),
        ("ttl = [1]", "ttl: expected a text or a number", ""),
        ("ttl = true", "ttl: expected a text or a number", ""),
        ('ttl = "soon"', "ttl: 'soon' is not a duration", ""),
        ('cache_size = "-5"', "cache_size: '-5' is not a size", ""),
        ("connections = 0", "out of bounds (1 to 256)", ""),
        ("connections = 1.5", "'1.5' is not a whole number", ""),
        ("url_minutes = 61", "out of bounds (1 to 60)", ""),
        ("ttl = inf", "'inf' is not a duration", ""),
        ("ttl = nan", "'nan' is not a duration", ""),
        ('memory_budget = "1M"', "memory_budget: 1M is out of bounds", ""),
        ("notify = 1", "notify: '1' is not true or false", ""),
        ("metrics = 9177", "metrics: '9177' is not an address of this machine alone", ""),
        ('metrics = "0.0.0.0:9177"', "is not an address of this machine alone", ""),
        ('metrics = "localhost:9177"', "is not an address of this machine alone", ""),
        ('metrics = "::1:9177"', "is not an address of this machine alone", ""),
        ('metrics = "[127.0.0.1]:9177"', "is not an address of this machine alone", ""),
        ('metrics = "127.0.0.1:65536"', "is not an address with a port", ""),
        ('metrics = "127.0.0.1:"', "is not an address with a port", ""),
        ("a = ", "not valid TOML", ""),
        ('client_id = "a\\u0000b"', "NUL", ""),
        ('cache_dir = "~nosuchuserhere/x"', "cache_dir", ""),
    ],
)
def test_refusals_name_source_key_and_remedy(toml: str, message: str, hint: str) -> None:
    with pytest.raises(SetupError) as caught:
        load_settings(toml, HOME, {}, toml_name="/etc/dmfs.toml")
    assert "/etc/dmfs.toml" in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_mount_is_observed_only_if_asked_for() -> None:
    assert (load_settings("", HOME, {}).metrics, load_settings("", HOME, {}).notify) == ("", False)
    for address in ("127.0.0.1:9177", "[::1]:0", "127.8.9.10:65535"):
        assert load_settings(f'metrics = "{address}"', HOME, {}).metrics == address
    for text in ("true", '"true"', '"TRUE"'):
        assert load_settings(f"notify = {text}", HOME, {}).notify is True
    assert load_settings("notify = true", HOME, {"notify": "false"}).notify is False


def test_a_profile_may_set_what_belongs_to_an_account_and_nothing_else() -> None:
    for key in KEYS:
        text = f'profile = "work"\n[profiles.work]\n{key} = ""'
        try:
            load_settings(text, HOME, {})
        except SetupError as error:
            refused = "unknown key" in error.message
        else:
            refused = False
        assert refused == (key not in PROFILE_KEYS), key


@pytest.mark.parametrize("key", [key for key in KEYS if DECLARED[key].bounds])
def test_bounds_are_allowed_themselves_and_nothing_beyond_them(key: str) -> None:
    low, high = DECLARED[key].bounds or (0, 0)
    for value in (low, high):
        assert getattr(load_settings(f"{key} = {value}", HOME, {}), key) == value
    with pytest.raises(SetupError, match="out of bounds"):
        load_settings(f"{key} = {high + 1}", HOME, {})


@pytest.mark.parametrize("key", [key for key in KEYS if DECLARED[key].choices])
def test_a_choice_is_one_of_those_declared(key: str) -> None:
    for choice in DECLARED[key].choices:
        assert getattr(load_settings(f'{key} = "{choice}"', HOME, {}), key) == choice
    with pytest.raises(SetupError, match=f"is none of {DECLARED[key].choices[0]}"):
        load_settings(f'{key} = "other"', HOME, {})


def test_refusals_name_the_variable_or_the_option() -> None:
    with pytest.raises(SetupError, match="option ttl"):
        load_settings("", HOME, {"ttl": "x"})
    with pytest.raises(SetupError, match="environment variable DMFS_PROFILE"):
        load_settings("", HOME | {"DMFS_PROFILE": "a\0b"}, {})


def test_a_secret_in_the_settings_is_not_in_their_repr() -> None:
    settings = load_settings("", HOME | {"DMFS_CLIENT_SECRET": "very-secret"}, {})
    assert "very-secret" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("1k", 1024), ("192MiB", 192 * MIB), ("20G", 20480 * MIB),
     ("1.5m", 1572864), ("2 gb", 2048 * MIB), ("1T", MIB * MIB), (" 7 ", 7), ("1KiB", 1024)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1e9", "1X", "1.", ".5", "1,5G", "1 2", "0x10"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("500ms", 0.5), ("5m", 300), ("1h", 3600), ("1.5s", 1.5), ("0", 0), ("2 M", 120)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "-1", "inf", "nan", "1d", "1 m s"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("url", "checked"),
    [("https://x/", "https://x"), ("https://x:8443/base/", "https://x:8443/base"),
     ("http://127.0.0.1:80", "http://127.0.0.1:80"), ("http://localhost", "http://localhost"),
     ("http://[::1]:9", "http://[::1]:9")],
)  # fmt: skip
def test_good_api_urls(url: str, checked: str) -> None:
    assert check_api_url(url) == checked


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://x", "file:///etc", "https://", "http://example.com", "http://127.0.0.1.evil",
     "https://u:p@x", "https://u@x", "https://x?a=b", "https://x#a", "https://x:0", "https://x:p",
     "https://[x", "http://0.0.0.0"],
)  # fmt: skip
def test_bad_api_urls(url: str) -> None:
    with pytest.raises(SetupError) as caught:
        check_api_url(url)
    assert "u:p" not in caught.value.message


@given(st.dictionaries(st.sampled_from(KEYS), st.text(max_size=12), max_size=4))
def test_any_flags_are_taken_or_refused(flags: dict[str, str]) -> None:
    settings, message = outcome("", flags)
    if settings is None:
        assert message.startswith(("option ", "the profile name ", "the API URL "))
    else:
        assert settings.profile == flags.get("profile", "default")


@given(st.text(max_size=60))
def test_any_file_is_taken_or_refused(text: str) -> None:
    settings, message = outcome(text, {})
    if settings is None:
        assert message.startswith(("the file", "the profile name ", "the API URL "))
    else:
        assert settings == load_settings("", HOME, {}) or "=" in text


def outcome(toml: str, flags: dict[str, str]) -> tuple[Settings | None, str]:
    """The settings, or the message of the refusal."""
    try:
        return load_settings(toml, HOME, flags, toml_name="the file"), ""
    except SetupError as error:
        return None, error.message


def test_a_secret_in_the_file_goes_with_an_id_from_the_environment() -> None:
    settings = load_settings('client_secret = "s"', {"DMFS_CLIENT_ID": "app"}, {})
    assert (settings.client_id, settings.client_secret) == ("app", "s")
