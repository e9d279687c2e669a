"""Names that mean a version: ``plan@v3.dwg``, ``plan@2024-05-01.dwg``, ``plan@2024-05-01T09:30Z``
of ``plan.dwg``. Pure.

What is before the extension says which version it is, so that programs still know what kind of file
it is, and a copy still says what it was.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from dmfs.grammar.moments import day_ns
from dmfs.names import NAME_MAX_BYTES, as_bytes, cut, split_extension

_NUMBER = re.compile(r"v([1-9][0-9]{0,8})")


class Meaning(NamedTuple):
    """A version of what stands under ``base``: that number, or the newest one until a moment."""

    base: str
    number: int | None
    until_ns: int | None


def version_name(base: str, number: int) -> str:
    """``plan@v3.dwg``; a name that would be too long is cut before the ``@``."""
    stem, extension = split_extension(base)
    tail = f"@v{number}{extension}"
    return cut(stem, NAME_MAX_BYTES - len(as_bytes(tail))) + tail


def meanings_of(name: str, now_ns: int) -> list[Meaning]:
    """What a name may mean, the likeliest first; empty for a name that means no version."""
    if "@" not in name:
        return []
    found = []
    stem, extension = split_extension(name)
    for whole, ending in ((stem, extension), (name, "")):
        front, at, what = whole.rpartition("@")
        base = front + ending
        if not at or not front or split_extension(base)[1] != ending:
            continue
        number = _NUMBER.fullmatch(what)
        until_ns = None if number else day_ns(what, now_ns)
        if number is not None or until_ns is not None:
            meaning = Meaning(base, int(number[1]) if number else None, until_ns)
            if meaning not in found:
                found.append(meaning)
    return found


def number_of_cut(name: str) -> int | None:
    """Of a name as long as names may be, the number in it: its base was cut."""
    if len(as_bytes(name)) < NAME_MAX_BYTES - 3:
        return None
    number = _NUMBER.fullmatch(split_extension(name)[0].rpartition("@")[2])
    return int(number[1]) if number else None
