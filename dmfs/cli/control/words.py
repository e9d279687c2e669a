"""Numbers for people. Pure."""

from __future__ import annotations

import unicodedata

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(count: float) -> str:
    """``1.2 GiB``"""
    at = 0
    while abs(count) >= 1024 and at < len(_UNITS) - 1:
        count, at = count / 1024, at + 1
    return f"{count:.0f} {_UNITS[at]}" if at == 0 else f"{count:.1f} {_UNITS[at]}"


def duration(seconds: float) -> str:
    """``3.2 s``, ``4 min``, ``2 h``"""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def share(part: float, whole: float) -> str:
    """``37 %``; ``-`` of nothing."""
    return f"{100 * part / whole:.0f} %" if whole else "-"


def plural(count: int, one: str, many: str = "") -> str:
    """``1 file``, ``3 files``"""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def cells(text: str) -> int:
    """Columns of a terminal: a character of East Asia takes two, a combining one none."""
    return sum(map(_cells, text))


def _cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def clip(text: str, columns: int) -> str:
    """The beginning, as far as it fits."""
    left = columns
    for at, char in enumerate(text):
        left -= _cells(char)
        if left < 0:
            return text[:at]
    return text


def clip_start(text: str, columns: int) -> str:
    """The end, with an ellipsis for what is left out: of a path the name counts."""
    if cells(text) <= columns:
        return text
    return "…" + clip(text[::-1], columns - 1)[::-1]
