"""Settings: defaults ← TOML file ← environment ← flags. Floor 0, pure: texts in, Settings out.

The file is the flat TOML table of the keys below (``dmfs help config`` prints them), and a table
``[profiles.NAME]`` for each account beside the default one. An unknown key is an error that
names the nearest known one. Only the CLI reads argv, the environment and the file itself; it hands
their contents over.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dmfs.errors import SetupError, UsageError
from dmfs.ratelimit.limits import WINDOW_S, parse_rates
from dmfs.spans import MAX_WINDOW_BYTES, MIB
from dmfs.urls import check_api_url

DEFAULT_API_URL = "https://developer.api.autodesk.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be chosen. Durations are seconds, sizes are bytes."""

    api_url: str = DEFAULT_API_URL
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    profile: str = "default"
    """Which of several sign-ins: a table ``[profiles.NAME]`` may hold what it needs."""
    scopes: str = "data:read"
    """Enough for a read-only drive."""
    sign_in: str = "auto"
    """``user`` (dmfs login), ``app`` (its own credentials), ``service-account`` (a key file)."""
    callback: str = "http://localhost:8080/callback"
    """Where the browser is sent back to; must be registered for the app."""
    x_user_id: str = ""
    """With ``app``: act as this user of ACC, with that user's permissions."""
    key_file: str = ""
    """Private key of a service account: PEM, or the JSON in which the service gave it."""
    key_id: str = ""
    account_id: str = ""
    token_store: str = "auto"  # noqa: S105 - a choice
    """``keyring``, ``file``, or ``auto``: the desktop keyring where there is one."""
    cache_dir: Path = Path()
    state_dir: Path = Path()
    cache_size: int = 20 * 1024 * MIB
    """Bytes kept on disk at most; least recently used goes first."""
    cache_free_percent: int = 5
    """Part of the cache's disk that is always left free."""
    memory_budget: int = 192 * MIB
    """Bytes in flight and fetched ahead, over all open files, and what is known of the tree; half
    of it at least is for the former."""
    max_window: int = MAX_WINDOW_BYTES
    ttl: float = 60.0
    """How long a folder listing is believed without asking."""
    hub_ttl: float = 300.0
    """The same for the lists of hubs and of projects: rationed at 50 calls a minute, and with no
    rollup that could save a call."""
    patience: float = 1.0
    """How long a reader of a stale listing waits for the new one before it gets the old one."""
    rollup_trust: float = 900.0
    """How long an unchanged rollup keeps a listing fresh; the service does not say whether the
    rollup covers deletes, moves and permissions."""
    poll: float = 30.0
    """How often to look, unasked, for changes of what was used in the last five minutes, as
    Autodesk's own desktop client does; 0: never."""
    poll_others: float = 300.0
    """The same for what was used in the last hour."""
    walk_ahead: int = 22
    """Listings asked for at a time ahead of a program that walks the tree, of the 48 that may be
    under way in all; 0: never."""
    rates: str = ""
    """Calls a minute by endpoint where they differ from the published ones, such as
    ``contents=60,hubs=10`` (an app whose quota others use too); ``off`` for none."""
    rate_window: float = WINDOW_S
    """The minute of ``rates``; shorter ones are for tests."""
    metadata_timeout: float = 30.0
    data_timeout: float = 60.0
    connections: int = 64
    """Parallel range requests in all: a window of 48 small files, or two streams, and some to spare
    for who waits. With 48 a file in twenty found none free and was fetched when it was opened."""
    connections_per_file: int = 28
    """Over 30 ms and 50 MB/s a connection 24 read 640 MB/s, 28 690 and 32 701 (aria2c: 748): the
    last four bring less to this file than to another one."""
    url_minutes: int = 60
    """Life asked for a signed URL (the service gives 1 to 60)."""
    ca_file: str = ""
    """Certificate authorities instead of the built-in ones (``SSL_CERT_FILE``)."""


_SIZES = {"": 1, "k": 1024, "m": MIB, "g": 1024 * MIB, "t": 1024 * 1024 * MIB}
_TIMES = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_size(text: str) -> int:
    """``20G``, ``192MiB``, ``4096`` → bytes (powers of 1024). Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if not match:
        raise ValueError("a size such as 512M or 20G")
    try:
        return int(float(match[1]) * _SIZES[match[2]])
    except OverflowError:
        raise ValueError("a size that a disk could have") from None


def parse_duration(text: str) -> float:
    """``90``, ``500ms``, ``5m``, ``1h`` → seconds. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|)", text.strip().lower())
    if not match:
        raise ValueError("a duration such as 30s or 5m")
    return float(match[1]) * _TIMES[match[2]]


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text.strip()):
        raise ValueError("a whole number")
    return int(text)


def _rates(text: str) -> str:
    parse_rates(text, WINDOW_S)
    return text


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("a path: there is no such user") from None


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "cache_dir": _path,
    "state_dir": _path,
    **dict.fromkeys(("cache_size", "memory_budget", "max_window"), parse_size),
    **dict.fromkeys(("cache_free_percent", "connections", "connections_per_file"), _count),
    "url_minutes": _count,
    **dict.fromkeys(("ttl", "hub_ttl", "patience", "rollup_trust"), parse_duration),
    **dict.fromkeys(("metadata_timeout", "data_timeout"), parse_duration),
    **dict.fromkeys(("poll", "poll_others", "rate_window"), parse_duration),
    "rates": _rates,
    "walk_ahead": _count,
}

CHOICES: Mapping[str, tuple[str, ...]] = {
    "sign_in": ("auto", "user", "app", "service-account"),
    "token_store": ("auto", "keyring", "file"),
}
ACCOUNT_KEYS = (
    "client_id", "client_secret", "scopes", "sign_in", "callback", "x_user_id", "key_file",
    "key_id", "account_id", "token_store",
)  # fmt: skip
"""What a table ``[profiles.NAME]`` may hold."""
_PROFILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}")

_BOUNDS: Mapping[str, tuple[float, float]] = {
    "memory_budget": (16 * MIB, 64 * 1024 * MIB),
    "max_window": (MIB, 4096 * MIB),
    "cache_free_percent": (0, 90),
    "connections": (1, 256),
    "connections_per_file": (1, 256),
    "url_minutes": (1, 60),
    "metadata_timeout": (0.1, 3600),
    "data_timeout": (0.1, 3600),
    "ttl": (0, 86400),
    "hub_ttl": (0, 86400),
    "patience": (0, 600),
    "rollup_trust": (0, 86400),
    "poll": (0, 86400),
    "walk_ahead": (0, 40),
    "poll_others": (0, 86400),
    "rate_window": (0.1, 3600),
}

ENVIRONMENT: Mapping[str, str] = {
    "DMFS_API_URL": "api_url",
    "DMFS_CLIENT_ID": "client_id",
    "DMFS_CLIENT_SECRET": "client_secret",
    "DMFS_PROFILE": "profile",
    "DMFS_CACHE_DIR": "cache_dir",
    "DMFS_STATE_DIR": "state_dir",
    "SSL_CERT_FILE": "ca_file",
}
"""Environment names → keys. Those of the outside contract, and OpenSSL's own."""

KEYS = tuple(field.name for field in fields(Settings))


def nearest(word: str, known: tuple[str, ...]) -> str:
    """A hint for a mistyped word."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(sorted(known))}"


def default_paths(environ: Mapping[str, str]) -> dict[str, str]:
    """Where XDG puts our cache, state and configuration file."""
    home = environ.get("HOME") or "/root"

    def base(name: str, default: str) -> str:
        value = environ.get(name, "")
        return value if value.startswith("/") else f"{home}/{default}"

    return {
        "cache_dir": base("XDG_CACHE_HOME", ".cache") + "/dmfs",
        "state_dir": base("XDG_STATE_HOME", ".local/state") + "/dmfs",
        "config": environ.get("DMFS_CONFIG")
        or base("XDG_CONFIG_HOME", ".config") + "/dmfs/config.toml",
    }


def load_settings(
    toml_text: str,
    environ: Mapping[str, str],
    flags: Mapping[str, str],
    *,
    toml_name: str = "the configuration file",
) -> Settings:
    """Merge all sources; raises SetupError with a line that names source, key and remedy."""
    paths = default_paths(environ)
    values: dict[str, Any] = {
        "cache_dir": Path(paths["cache_dir"]),
        "state_dir": Path(paths["state_dir"]),
    }
    table, profiles = _read_toml(toml_text, toml_name)
    from_file = {key: _value(key, raw, f"{toml_name}: {key}") for key, raw in table.items()}
    from_environ = {
        key: _value(key, environ[name], f"environment variable {name}")
        for name, key in ENVIRONMENT.items()
        if environ.get(name)
    }
    try:
        from_flags = {key: _value(key, raw, f"option {key}") for key, raw in flags.items()}
    except SetupError as error:
        raise UsageError(error.message, hint=error.hint) from None
    outer = {**from_file, **from_environ, **from_flags}
    profile = check_profile(outer.get("profile", "default"))
    for source in (from_file, profiles.get(profile, {}), from_environ, from_flags):
        app = values.get("client_id")
        if app and source.get("client_id", app) != app:
            values.pop("client_secret", None)  # it belongs to the app that is overruled here
        values.update(source)
    settings = replace(Settings(), **values)
    return replace(settings, api_url=check_api_url(settings.api_url))


def check_profile(name: str) -> str:
    """A profile's name, which names files too. SetupError if it is none."""
    if not _PROFILE.fullmatch(name):
        raise SetupError(
            f"the profile name {name!r} is not one",
            hint="letters, digits and . _ @ - (64 at most)",
        )
    return name


def _read_toml(text: str, name: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The flat keys as they stand, and the values of each ``[profiles.NAME]``."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{name} is not valid TOML: {error}") from None
    tables = table.pop("profiles", {})
    for key in table:
        if key not in KEYS:
            raise SetupError(f"{name}: unknown key {key!r}", hint=nearest(key, (*KEYS, "profiles")))
    if not isinstance(tables, dict) or not all(isinstance(each, dict) for each in tables.values()):
        raise SetupError(f"{name}: profiles are tables, such as [profiles.work]")
    profiles: dict[str, dict[str, Any]] = {}
    for profile, given in tables.items():
        where = f"{name}: [profiles.{check_profile(profile)}]"
        for key in given:
            if key not in ACCOUNT_KEYS:
                raise SetupError(f"{where}: unknown key {key!r}", hint=nearest(key, ACCOUNT_KEYS))
        profiles[profile] = {key: _value(key, raw, f"{where}: {key}") for key, raw in given.items()}
    return table, profiles


def _value(key: str, raw: object, where: str) -> Any:
    """``raw`` as the key's type; TOML may give numbers where a text would do."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise SetupError(f"{where}: expected a text or a number")
    text = str(raw)
    if "\0" in text:
        raise SetupError(f"{where}: holds a NUL character")
    if key in CHOICES and text not in CHOICES[key]:
        raise SetupError(f"{where}: {text!r} is none of {', '.join(CHOICES[key])}")
    parser = _PARSERS.get(key, str)
    try:
        value = parser(text)
    except ValueError as error:
        raise SetupError(f"{where}: {text!r} is not {error}") from None
    low, high = _BOUNDS.get(key, (None, None))
    if low is not None and high is not None and not low <= value <= high:
        raise SetupError(f"{where}: {text} is out of bounds ({low:g} to {high:g})")
    return value
