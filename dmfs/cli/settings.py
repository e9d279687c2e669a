"""From one invocation of the command to its Settings: options ← environment ← file."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmfs import settings_sources
from dmfs.cli.secret_files import warn_once
from dmfs.config import KEYS, Settings, nearest
from dmfs.errors import UsageError
from dmfs.settings_sources import read_sources
from dmfs.system.resources import raise_descriptor_limit

SPARE_DESCRIPTORS = 128
"""Beside a connection each: 48 of the API, the cache's files and indexes, epolls, pipes."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True, slots=True)
class Invocation:
    """What every command gets."""

    options: argparse.Namespace
    """The parsed arguments."""
    argv: Sequence[str]
    """The arguments as given, without the program's name."""
    environ: Mapping[str, str]


def start(call: Invocation) -> Settings:
    """Read the settings and set up logging, for a command that ends by itself."""
    from dmfs.telemetry.logs import set_up_logging  # `dmfs help` has no use for logging

    settings = read_settings(call)
    set_up_logging(call.options.log_level or "warning", call.options.log_file)
    return settings


def read_settings(call: Invocation) -> Settings:
    """All sources merged, with absolute paths. SetupError or UsageError says what is wrong."""
    settings, has_file = settings_of(call)
    if has_file:
        warn_once(config_path(call), settings)
    return settings


def settings_of(call: Invocation) -> tuple[Settings, bool]:
    """The same without a word to anybody, and whether there is a configuration file."""
    options = call.options
    values = dict(_assignment(word) for word in options.settings)
    if options.profile:
        values["profile"] = options.profile
    settings, text = read_sources(call.environ, values, options.config)
    return settings, bool(text)


def config_path(call: Invocation) -> Path:
    """The configuration file, there or not."""
    return settings_sources.config_path(call.environ, call.options.config)


def prepare_limits(settings: Settings) -> str:
    """Raise this process's limits as far as they go; what to tell the person, '' for nothing."""
    return raise_descriptor_limit(settings.connections + SPARE_DESCRIPTORS)


def check_proxies(environ: Mapping[str, str]) -> None:
    """SetupError for a proxy that cannot be used, before a drive starts.

    libcurl, which sends all GETs, takes more kinds of proxies than httpx: such a drive would start,
    and fail at its first refresh of a token.
    """
    if any(environ.get(name) or environ.get(name.upper()) for name in PROXIES):
        from dmfs.http import httpx_client  # a tenth of a second: only where there is a proxy

        httpx_client.check_proxies()


def _assignment(word: str) -> tuple[str, str]:
    """The key and the text of ``--set KEY=VALUE``."""
    key, equals, value = word.partition("=")
    if not equals or key not in KEYS:
        raise UsageError(f"--set {word!r}: unknown key {key!r}", hint=nearest(key, KEYS))
    if key == "client_secret":
        raise UsageError(
            "--set client_secret would show in the process list", hint="use DMFS_CLIENT_SECRET"
        )
    if key == "quota" and "@" in value:
        raise UsageError(
            "--set quota with a password would show in the process list", hint="use DMFS_QUOTA"
        )
    return key, value
