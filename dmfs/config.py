"""Settings: defaults ← TOML file ← environment ← command line. Pure: texts in, Settings out.

The file is the flat TOML table of the keys below (``dmfs help config`` prints them), and a table
``[profiles.NAME]`` for each account beside the default one. An unknown key is an error that
names the nearest known one. Only the command line reads argv, the environment and the file; it
passes their contents to ``load_settings``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dmfs.errors import SetupError, UsageError
from dmfs.ratelimit.limits import WINDOW_S
from dmfs.setting_types import (
    ADDRESS,
    COUNT,
    DIRECTORY,
    DURATION,
    FILE,
    FLAG,
    GIB,
    PROGRAMS,
    RATES,
    SIZE,
    TEXT,
    URL,
    SettingType,
    is_unicode,
)
from dmfs.spans import MAX_WINDOW_BYTES, MIB
from dmfs.urls import check_api_url

DEFAULT_API_URL = "https://developer.api.autodesk.com"
DAY_S = 86400


@dataclass(frozen=True, slots=True)
class Setting:
    """All that is declared about one key, except its default."""

    type: SettingType
    help: str
    """For people: what the key does, in whole sentences."""
    bounds: tuple[float, float] | None = None
    """Lowest and highest value, both allowed."""
    choices: tuple[str, ...] = ()
    environment: str = ""
    """Name of the environment variable, '' for none."""
    in_profile: bool = False
    """Whether a table ``[profiles.NAME]`` may set it."""
    hidden: bool = False
    """For tests only: ``dmfs help config`` leaves it out."""


def setting(default: Any, type_: SettingType, text: str, *, show: bool = True, **more: Any) -> Any:
    """A field of Settings. ``show=False`` keeps its value out of repr; ``more`` are the other
    attributes of Setting."""
    declared = Setting(type_, text, **more)
    return field(default=default, repr=show, metadata={"setting": declared})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be chosen. Durations are seconds, sizes are bytes."""

    api_url: str = setting(
        DEFAULT_API_URL, URL, "Base URL of the service.", environment="DMFS_API_URL"
    )
    client_id: str = setting(
        "", TEXT, "Client id of your app.", environment="DMFS_CLIENT_ID", in_profile=True
    )
    client_secret: str = setting(
        "", TEXT, "Client secret of your app, if it has one.",
        environment="DMFS_CLIENT_SECRET", in_profile=True, show=False,
    )  # fmt: skip
    profile: str = setting(
        "default", TEXT, "Which sign-in to use. The table [profiles.NAME] may set what it needs.",
        environment="DMFS_PROFILE",
    )  # fmt: skip
    scopes: str = setting(
        "data:read", TEXT, "OAuth scopes to request. data:read is enough for a read-only drive.",
        in_profile=True,
    )  # fmt: skip
    sign_in: str = setting(
        "auto", TEXT,
        "How to sign in: user is a person (dmfs login), app uses the app's own credentials, "
        "service-account uses a key file. auto picks one by what is configured.",
        choices=("auto", "user", "app", "service-account"), in_profile=True,
    )  # fmt: skip
    callback: str = setting(
        "http://localhost:8080/callback", URL,
        "Callback URL to which the browser returns. It must be registered for the app.",
        in_profile=True,
    )  # fmt: skip
    x_user_id: str = setting(
        "", TEXT, "With sign_in = app: act as this ACC user, with the permissions of that user.",
        in_profile=True,
    )  # fmt: skip
    key_file: str = setting(
        "", FILE,
        "Private key of a service account: PEM, or the JSON file that the service issued.",
        in_profile=True,
    )  # fmt: skip
    key_id: str = setting(
        "", TEXT, "Id of the private key. Not needed with a JSON key file.", in_profile=True
    )
    account_id: str = setting("", TEXT, "Id of the service account.", in_profile=True)
    token_store: str = setting(
        "auto", TEXT,
        "Where the sign-in is stored. auto takes the desktop keyring if there is one.",
        choices=("auto", "keyring", "file"), in_profile=True,
    )  # fmt: skip
    cache_dir: Path = setting(
        Path(), DIRECTORY, "Directory of cached blocks and listings.",
        environment="DMFS_CACHE_DIR",
    )  # fmt: skip
    state_dir: Path = setting(
        Path(), DIRECTORY, "Directory of sign-ins, logs and call counts.",
        environment="DMFS_STATE_DIR",
    )  # fmt: skip
    cache_size: int = setting(
        20 * GIB, SIZE,
        "Disk space for cached blocks. The least recently used are removed first; 0 disables the "
        "cache on disk.",
    )  # fmt: skip
    cache_free_percent: int = setting(
        5, COUNT, "Percentage of the cache's disk that stays free.", bounds=(0, 90)
    )
    memory_budget: int = setting(
        192 * MIB, SIZE,
        "Memory for data in flight, read-ahead and the directory tree, over all open files. At "
        "least half of it is for data.",
        bounds=(16 * MIB, 64 * GIB),
    )  # fmt: skip
    max_window: int = setting(
        MAX_WINDOW_BYTES, SIZE, "Read-ahead of one open file at most.", bounds=(MIB, 4 * GIB)
    )
    ttl: float = setting(60.0, DURATION, "Time-to-live of a folder listing.", bounds=(0, DAY_S))
    hub_ttl: float = setting(
        300.0, DURATION,
        "Time-to-live of the lists of hubs and projects. The service limits them to 50 calls a "
        "minute, and an unchanged rollup cannot renew them.",
        bounds=(0, DAY_S),
    )  # fmt: skip
    patience: float = setting(
        1.0, DURATION,
        "How long a reader of an expired listing waits for the new one before it gets the old one.",
        bounds=(0, 600),
    )  # fmt: skip
    rollup_trust: float = setting(
        900.0, DURATION,
        "How long an unchanged rollup keeps a listing fresh. The service does not say whether the "
        "rollup covers deletions, moves and permissions.",
        bounds=(0, DAY_S),
    )  # fmt: skip
    poll: float = setting(
        30.0, DURATION,
        "How often dmfs looks for changes in folders used during the last five minutes, as "
        "Autodesk's desktop client does. 0 disables polling.",
        bounds=(0, DAY_S),
    )  # fmt: skip
    poll_others: float = setting(
        300.0, DURATION, "The same for folders used during the last hour.", bounds=(0, DAY_S)
    )
    walk_ahead: int = setting(
        22, COUNT,
        "Folders listed in parallel ahead of a program that walks the tree. 48 calls may be under "
        "way in all; 0 disables it.",
        bounds=(0, 40),
    )  # fmt: skip
    rates: str = setting(
        "", RATES,
        "Calls a minute for each endpoint where they differ from the published limits, such as "
        "contents=60,hubs=10 for an app whose quota others share. off disables the limits.",
    )  # fmt: skip
    quota: str = setting(
        "", TEXT,
        "Where machines share the quota: valkey://HOST:PORT/DB, redis://, rediss:// (TLS) or "
        "unix:///PATH of a Valkey or Redis server; a password in it (USER:PASSWORD@) belongs in "
        "this file or the environment.", environment="DMFS_QUOTA", show=False,
    )  # fmt: skip
    cluster_workers: int = setting(
        8, COUNT, "Most machines that share the quota: the share of one while that server is away.",
        bounds=(1, 100000),
    )  # fmt: skip
    rate_window: float = setting(
        WINDOW_S, DURATION, "Length of the minute of rates. Shorter ones are for tests.",
        bounds=(0.1, 3600), hidden=True,
    )  # fmt: skip
    metadata_timeout: float = setting(
        30.0, DURATION, "Deadline of a request for names and attributes.", bounds=(0.1, 3600)
    )
    data_timeout: float = setting(
        60.0, DURATION, "Deadline of a request for file content.", bounds=(0.1, 3600)
    )
    # 64: a window of 48 small files, or two streams, and some spare ones for readers that wait.
    # With 48 one file in twenty found no free connection before it was opened.
    connections: int = setting(
        64, COUNT, "Parallel requests for file content, over all files.", bounds=(1, 256)
    )
    # Over 30 ms and 50 MB/s a connection 24 read 640 MB/s, 28 690 and 32 701 (aria2c: 748): the
    # last four bring less to this file than to another one.
    connections_per_file: int = setting(
        28, COUNT, "Parallel requests for the content of one file.", bounds=(1, 256)
    )
    url_minutes: int = setting(
        60, COUNT, "Lifetime of signed URLs in minutes. The service allows 1 to 60.", bounds=(1, 60)
    )
    ca_file: str = setting(
        "", FILE, "Certificate authorities to trust instead of the built-in ones.",
        environment="SSL_CERT_FILE",
    )  # fmt: skip
    upload_delay: float = setting(
        5.0, DURATION,
        "Rest of a folder after the last writing close before what was saved goes up: a save is "
        "several renames, and one version.",
        bounds=(0, 3600),
    )  # fmt: skip
    version_interval: float = setting(
        60.0, DURATION,
        "Not more than one version of an item in that time while it keeps being saved: versions "
        "stay for ever, and people get mail of each.",
        bounds=(0, DAY_S),
    )  # fmt: skip
    spool_size: int = setting(
        20 * GIB, SIZE,
        "Disk space for what was written and has not gone up yet. 5 % of its disk stay free.",
        bounds=(MIB, 1 << 50),
    )  # fmt: skip
    uploads: int = setting(4, COUNT, "Files that go up at the same time.", bounds=(1, 64))
    export_timeout: float = setting(
        3600.0, DURATION,
        "How long a command waits for the service to make a file of a design. The job goes on, and "
        "the same command goes on waiting.",
        bounds=(0.1, 7 * DAY_S),
    )  # fmt: skip
    local_names: str = setting(
        "", TEXT,
        "More names that programs make for themselves and that never go up, such as *.lck,~*.rvt.",
    )  # fmt: skip
    any_spool_disk: bool = setting(
        False, FLAG, "Take a spool in memory or of another machine. For tests.", hidden=True
    )
    metrics: str = setting(
        "", ADDRESS,
        "Where a mount shows its metrics to Prometheus, such as 127.0.0.1:9177; each mount needs "
        "a port of its own, 0 takes a free one. All users of this machine can read them.",
    )  # fmt: skip
    notify: bool = setting(
        False, FLAG,
        "Desktop notifications of a mount: signed out, pins complete, no room for pins, offline "
        "for ten minutes with files open.",
    )  # fmt: skip
    neighbours: str = setting(
        "polite", TEXT,
        "What indexers, virus scanners and thumbnailers may open that nobody started in a "
        "terminal. polite: what is cached, thumbnailers small pictures and PDFs too; closed: what "
        "is cached; open: all.", choices=("polite", "open", "closed"),
    )  # fmt: skip
    neighbour_indexers: str = setting("", PROGRAMS, "More programs that are to be as indexers.")
    neighbour_thumbnailers: str = setting("", PROGRAMS, "More that are to be as thumbnailers.")


DECLARED: Mapping[str, Setting] = {each.name: each.metadata["setting"] for each in fields(Settings)}
"""Key → its declaration, in the order of Settings."""
KEYS = tuple(DECLARED)
PROFILE_KEYS = tuple(key for key, declared in DECLARED.items() if declared.in_profile)
"""What a table ``[profiles.NAME]`` may hold."""
_PROFILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}")


def nearest(word: str, known: tuple[str, ...]) -> str:
    """A hint for a mistyped word."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(sorted(known))}"


def default_paths(environ: Mapping[str, str]) -> dict[str, str]:
    """Where XDG puts the cache (``cache_dir``), the state (``state_dir``) and the configuration
    file (``config``)."""
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
    options: Mapping[str, str],
    *,
    toml_name: str = "the configuration file",
) -> Settings:
    """Merge all sources; raises SetupError with a line that names source, key and remedy, and
    UsageError if the source is one of ``options``."""
    paths = default_paths(environ)
    values: dict[str, Any] = {
        "cache_dir": Path(paths["cache_dir"]),
        "state_dir": Path(paths["state_dir"]),
    }
    table, profiles = _read_toml(toml_text, toml_name)
    from_file = {key: _value(key, raw, f"{toml_name}: {key}") for key, raw in table.items()}
    from_environ = {
        key: _value(key, raw, f"environment variable {declared.environment}")
        for key, declared in DECLARED.items()
        if (raw := environ.get(declared.environment))
    }
    try:
        from_options = {key: _value(key, raw, f"option {key}") for key, raw in options.items()}
    except SetupError as error:
        raise UsageError(error.message, hint=error.hint) from None
    outer = {**from_file, **from_environ, **from_options}
    profile = check_profile(outer.get("profile", "default"))
    for source in (from_file, profiles.get(profile, {}), from_environ, from_options):
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
    """The raw values of the flat keys, and the parsed values of each ``[profiles.NAME]``."""
    if not text.strip():
        return {}, {}
    import tomllib  # noqa: PLC0415 - 10 ms of each start, and many machines have no such file

    try:
        table = tomllib.loads(text)
    except ValueError as error:  # of TOML, or of Python: a number of 4301 digits
        raise SetupError(f"{name} is not valid TOML: {error}") from None
    except RecursionError:
        raise SetupError(f"{name} is not valid TOML: it is nested too deeply") from None
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
            if key not in PROFILE_KEYS:
                raise SetupError(f"{where}: unknown key {key!r}", hint=nearest(key, PROFILE_KEYS))
        profiles[profile] = {key: _value(key, raw, f"{where}: {key}") for key, raw in given.items()}
    return table, profiles


def _value(key: str, raw: object, where: str) -> Any:
    """``raw`` as the key's type; TOML may give numbers where a text would do."""
    declared = DECLARED[key]
    if isinstance(raw, bool):
        raw = str(raw) if declared.type is FLAG else None
    if not isinstance(raw, str | int | float):
        raise SetupError(f"{where}: expected a text or a number")
    try:
        text = str(raw)
    except ValueError:  # 4301 digits, written as 0x…
        raise SetupError(f"{where}: a number that long is none") from None
    if "\0" in text:
        raise SetupError(f"{where}: holds a NUL character")
    if not declared.type.is_path and not is_unicode(text):  # a file's name may be of any bytes
        raise SetupError(f"{where}: is not in UTF-8")
    if declared.choices and text not in declared.choices:
        raise SetupError(f"{where}: {text!r} is none of {', '.join(declared.choices)}")
    try:
        value = declared.type.parse(text)
    except ValueError as error:
        raise SetupError(f"{where}: {text!r} is not {error}") from None
    low, high = declared.bounds or (None, None)
    if low is not None and high is not None and not low <= value <= high:
        raise SetupError(f"{where}: {text} is out of bounds ({low:g} to {high:g})")
    return value
