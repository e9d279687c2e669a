"""Patterns of names as find(1) has them: ``*``, ``?``, ``[a-z]``, ``[!a-z]``, and a backslash that
makes a letter mean itself. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import translate
from typing import NamedTuple

_CLASS = re.compile(r"\[([!^]?)(\]?[^\]]*\])")
_SPECIAL = "*?["


class Token(NamedTuple):
    """A letter that means itself, or a wildcard."""

    text: str
    is_wild: bool


def tokens(glob: str) -> Iterator[Token]:
    """Its parts, in their order."""
    at = 0
    while at < len(glob):
        char = glob[at]
        bracket = _CLASS.match(glob, at) if char == "[" else None
        if bracket is not None:
            yield Token(f"[{'!' if bracket[1] else ''}{bracket[2]}", True)
            at = bracket.end()
            continue
        if char == "\\" and at + 1 < len(glob):
            at += 1
            yield Token(glob[at], False)
        else:
            yield Token(char, char in "*?")
        at += 1


def compiled(glob: str, *, any_case: bool = False) -> re.Pattern[str]:
    """Matches names that are like the glob."""
    plain = "".join(
        f"[{token.text}]" if not token.is_wild and token.text in _SPECIAL else token.text
        for token in tokens(glob)
    )
    return re.compile(translate(plain), re.IGNORECASE if any_case else 0)


def runs(glob: str) -> list[str]:
    """What stands between its wildcards."""
    found = [""]
    for token in tokens(glob):
        if token.is_wild:
            found.append("")
        else:
            found[-1] += token.text
    return found
