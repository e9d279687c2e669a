"""Texts that repeat the ids of the entry they belong to, kept without them. Floor 0, pure.

A web link is 220 characters, of which the entry's own ids are 110 and the rest is the same for all
entries; of 100 000 entries the links alone were 26 MiB, and the version ids 11. What is left
without the ids is one text for a whole project, kept once.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from urllib.parse import quote

MARKS = "\x01\x02\x03\x04"
"""Stand for the ids; no link and no id holds a control character."""
_NO_MARKS = dict.fromkeys(map(ord, MARKS))


def shorten(text: str, ids: Sequence[str]) -> str:
    """``text`` with a mark in place of each of ``ids``; up to four, '' is skipped."""
    short = text if text.isprintable() else text.translate(_NO_MARKS)
    for mark, words in zip(MARKS, ids, strict=False):
        if words:
            short = short.replace(words, mark)
    return kept_once(short)


def expand(short: str, ids: Sequence[str]) -> str:
    """What ``shorten`` was given, less the marks in it."""
    for mark, words in zip(MARKS, ids, strict=False):
        short = short.replace(mark, words)
    return short


def kept_once(short: str) -> str:
    """The one text of those that are equal, if it is shorthand: others are mostly unique."""
    return short if short.isprintable() else sys.intern(short)


@functools.lru_cache(maxsize=512)  # the project's and the folder's come again with each entry
def in_link(identifier: str) -> str:
    """An id as links spell it: ``urn%3Aadsk.wipprod%3Adm.lineage%3A…``."""
    return quote(identifier, safe="", errors="replace")
