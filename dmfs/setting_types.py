"""How the text of a setting becomes its value. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from dmfs.ratelimit.limits import WINDOW_S, parse_rates
from dmfs.spans import MIB

GIB = 1024 * MIB
PROGRAMS_MAX, PROGRAM_CHARS = 64, 64

_SIZE_UNITS = {"": 1, "k": 1024, "m": MIB, "g": GIB, "t": 1024 * GIB}
_TIME_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def is_unicode(text: str) -> bool:
    """Whether it can be written in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_size(text: str) -> int:
    """``20G``, ``192MiB``, ``4096`` → bytes (powers of 1024). Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if not match:
        raise ValueError("a size such as 512M or 20G")
    try:
        return int(float(match[1]) * _SIZE_UNITS[match[2]])
    except OverflowError:
        raise ValueError("a size that a disk could have") from None


def parse_duration(text: str) -> float:
    """``90``, ``500ms``, ``5m``, ``1h`` → seconds. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|)", text.strip().lower())
    if not match:
        raise ValueError("a duration such as 30s or 5m")
    return float(match[1]) * _TIME_UNITS[match[2]]


def _parse_count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text.strip()):
        raise ValueError("a whole number")
    return int(text)


def _parse_rates(text: str) -> str:
    parse_rates(text, WINDOW_S)
    return text


def _parse_flag(text: str) -> bool:
    if text.strip().lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.strip().lower() == "true"


def _parse_programs(text: str) -> str:
    """``my-scanner, thumbs.py`` as it is: file names of programs."""
    names = [each.strip() for each in text.split(",")]
    if len(names) > PROGRAMS_MAX or any(
        len(name) > PROGRAM_CHARS or "/" in name or not name.isprintable() for name in names
    ):
        raise ValueError(
            f"a list of program names without directories, such as my-scanner,thumbs.py "
            f"({PROGRAMS_MAX} at most)"
        )
    return text


def _parse_address(text: str) -> str:
    """``127.0.0.1:9177`` or ``[::1]:9177`` as it is, '' for none."""
    if not text:
        return text
    import ipaddress  # noqa: PLC0415 - 5 ms of each start, and few settings have one

    host, colon, port = text.rpartition(":")
    try:
        loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not loopback or bracketed != (":" in host):
        raise ValueError("an address of this machine alone, such as 127.0.0.1:9177")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("an address with a port, such as 127.0.0.1:9177")
    return text


def _parse_path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("a path: there is no such user") from None


def _check_path(text: str) -> str:
    _parse_path(text)
    return text  # "~" is expanded where the file is opened


class SettingType(NamedTuple):
    """How the text of a setting becomes its value."""

    name: str
    parse: Callable[[str], Any]
    """Raises ValueError whose text completes "'x' is not …"."""
    is_path: bool = False
    """A relative one is relative to the working directory."""


TEXT = SettingType("text", str)
URL = SettingType("URL", str)
FILE = SettingType("file", _check_path, is_path=True)
DIRECTORY = SettingType("directory", _parse_path, is_path=True)
SIZE = SettingType("size", parse_size)
DURATION = SettingType("duration", parse_duration)
COUNT = SettingType("number", _parse_count)
RATES = SettingType("rates", _parse_rates)
FLAG = SettingType("true or false", _parse_flag)
ADDRESS = SettingType("address", _parse_address)
PROGRAMS = SettingType("list of programs", _parse_programs)
