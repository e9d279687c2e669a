"""Settings of a filesystem object: what its arguments say, the environment, the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dmfs.config import KEYS, Settings, nearest
from dmfs.errors import UsageError
from dmfs.settings_sources import read_sources

SECRET = ("client_secret",)


def check_options(given: Iterable[str]) -> None:
    """UsageError for a key of the configuration among the options themselves: it would have no
    effect there, and a secret would travel. What else programs hand on is fsspec's."""
    for key in given:
        if key in SECRET:
            raise _secret(key)
        if key in KEYS:
            raise UsageError(
                f"{key} is no option by itself", hint=f"give it as settings={{{key!r}: …}}"
            )


def settings_of(environ: Mapping[str, str], profile: str, given: Mapping[str, Any]) -> Settings:
    """UsageError for a key that is none, and for one that must not travel."""
    options: dict[str, str] = {}
    for key, value in given.items():
        if key not in KEYS:
            raise UsageError(f"settings: unknown key {key!r}", hint=nearest(key, KEYS))
        if key in SECRET:
            raise _secret(key)
        options[key] = str(value).lower() if isinstance(value, bool) else str(value)
    if profile:
        options["profile"] = profile
    return read_sources(environ, options)[0]


def _secret(key: str) -> UsageError:
    return UsageError(
        f"settings: {key} would show in every task and every repr",
        hint="set DMFS_CLIENT_SECRET in the environment of the worker",
    )
