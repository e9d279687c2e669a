"""The text of each topic of ``dmfs help``, for people and as JSON for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dmfs.config import DECLARED, PROFILE_KEYS, Setting, Settings
from dmfs.help import TOPICS
from dmfs.setting_types import DURATION, GIB, SIZE
from dmfs.spans import KIB, MIB

_KEY_COLUMNS = 28
_TEXT_COLUMNS = 50
"""80 columns in all."""
_XDG_DEFAULTS = {"cache_dir": "~/.cache/dmfs", "state_dir": "~/.local/state/dmfs"}


def topic_text(topic: str) -> str:
    """``topic`` for people."""
    return {"semantics": _semantics, "config": config_toml}[topic]()


def topic_json(topic: str | None) -> str:
    """The same for programs: ``config`` is a list of objects, one a key."""
    value: Any = TOPICS
    if topic == "semantics":
        value = {"topic": topic, "text": _semantics()}
    elif topic == "config":
        value = [_as_object(key, declared) for key, declared in visible()]
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def config_toml() -> str:
    """All settings with their defaults as a valid configuration file, explained in comments."""
    lines = []
    for key, declared in visible():
        assignment = f"{key} = {_toml(key, declared)}"
        comments = [_limits(declared), *textwrap.wrap(declared.help, _TEXT_COLUMNS)]
        if len(assignment) >= _KEY_COLUMNS:
            lines.append(assignment)
            assignment = ""
        for comment in comments:
            lines.append(f"{assignment:<{_KEY_COLUMNS}}# {comment}")
            assignment = ""
    allowed = textwrap.wrap(", ".join(PROFILE_KEYS), _TEXT_COLUMNS)
    lines += [
        "",
        f"{'# [profiles.NAME]':<{_KEY_COLUMNS}}# settings of another sign-in; allowed keys:",
    ]
    lines += [f"{'#':<{_KEY_COLUMNS}}# {line}" for line in allowed]
    return "\n".join(lines) + "\n"


def visible() -> Iterator[tuple[str, Setting]]:
    """Every setting that is for people."""
    return ((key, declared) for key, declared in DECLARED.items() if not declared.hidden)


def facts_of(key: str, declared: Setting) -> tuple[str, str]:
    """The default as TOML, and what values are allowed."""
    return _toml(key, declared), _limits(declared)


def _semantics() -> str:
    return Path(__file__).with_name("semantics.md").read_text("utf-8")


def _limits(declared: Setting) -> str:
    """``duration, 0 to 86400 s, environment DMFS_X``."""
    facts = [declared.type.name]
    if declared.choices:
        facts = ["one of " + ", ".join(declared.choices)]
    if declared.bounds is not None:
        low, high = declared.bounds
        if declared.type is SIZE:
            facts.append(f"{_size(int(low))} to {_size(int(high))}")
        else:
            unit = " s" if declared.type is DURATION else ""
            facts.append(f"{low:g} to {high:g}{unit}")
    if declared.environment:
        facts.append(f"environment {declared.environment}")
    return ", ".join(facts)


def _toml(key: str, declared: Setting) -> str:
    """The default of ``key`` as a TOML value."""
    value = _default(key)
    if declared.type is SIZE:
        value = _size(value)
    return json.dumps(value) if isinstance(value, str | bool) else str(value)


def _default(key: str) -> Any:
    return _XDG_DEFAULTS.get(key, getattr(Settings(), key))


def _size(size_bytes: int) -> str:
    """The shortest text that ``parse_size`` reads as the same size."""
    for unit, letter in ((GIB, "G"), (MIB, "M"), (KIB, "K")):
        if size_bytes and size_bytes % unit == 0:
            return f"{size_bytes // unit}{letter}"
    return str(size_bytes)


def _as_object(key: str, declared: Setting) -> dict[str, Any]:
    low, high = declared.bounds or (None, None)
    return {
        "key": key,
        "type": declared.type.name,
        "unit": {"size": "bytes", "duration": "s"}.get(declared.type.name),
        "default": _default(key),
        "minimum": low,
        "maximum": high,
        "choices": list(declared.choices) or None,
        "environment": declared.environment or None,
        "in_profile": declared.in_profile,
        "help": declared.help,
    }
