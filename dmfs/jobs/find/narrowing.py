"""What the service's search can be asked, so that its answer holds all files that are meant. Pure.

The search knows the service's names and compares letters as they are. The drive's name of a file
may differ (``names.entry_names``, shortcuts end in ``.url``), so what is asked for is a part of the
pattern that stands in both.
"""

from __future__ import annotations

import re
from itertools import product

from dmfs.jobs.find.criteria import Criteria
from dmfs.jobs.find.globs import runs
from dmfs.system.clock import iso_time

NAME, TIME = "filter[name]-contains", "filter[lastModifiedTime]-ge"
LETTERS_MIN = 2
"""A single letter is in most names."""
SPELLINGS_MAX = 32
"""Of a part in upper and lower case: five letters, 32 values of a filter."""
_APART = re.compile("[,~／␀．\ufffd\x00-\x1f\x7f]")
"""A comma means *or* in a filter; a tilde begins what makes equal names differ; the others stand
for what no name on Linux may hold."""
_LINK_ENDING = ".url"
_SPELLINGS = {"i": "iIİı", "k": "kKK", "s": "sSſ"}
"""Letters that are equal to more than one other, as `re` has it."""


def filters_of(criteria: Criteria) -> dict[str, str]:
    """The query of a search; {} where it could not leave out anything."""
    query: dict[str, str] = {}
    names = _name_values(criteria)
    if names:
        query[NAME] = ",".join(names)
    if criteria.newer_ns is not None:
        query[TIME] = iso_time(max(0, criteria.newer_ns)).removesuffix("Z")
    return query


def _name_values(criteria: Criteria) -> list[str]:
    as_is = max(literals(criteria.name or ""), key=len, default="")
    if as_is:
        return [as_is]
    spelt = [_spellings(literal) for literal in literals(criteria.any_case or "")]
    return max(spelt, key=lambda values: len(values[0]) if values else 0, default=[])


def literals(glob: str) -> list[str]:
    """Texts that the service's name of a file surely contains if its name in the drive is like the
    glob."""
    found = []
    for run in runs(glob):
        # "plan ~1a2b3c4d.dwg" may be the service's "plan.dwg"
        before, tilde, _ = run.partition("~")
        pieces = _APART.split(before if tilde else run)
        pieces[-1] = _without_link_ending(pieces[-1])
        found += [piece.strip(" ") for piece in pieces]
        if tilde:
            break
    return [each for each in found if len(each) >= LETTERS_MIN and each.lower() not in _LINK_ENDING]


def _without_link_ending(text: str) -> str:
    """``.url``, or its beginning, may be the ending that shortcuts have in the drive alone."""
    for length in range(len(_LINK_ENDING), 0, -1):
        if text.lower().endswith(_LINK_ENDING[:length]):
            return text[:-length]
    return text


def _spellings(literal: str) -> list[str]:
    """The longest part of a text that has few spellings, in all of them; [] where there is none."""
    best: list[str] = []
    for start in range(len(literal)):
        chosen: list[str] = []
        count = 1
        for char in literal[start:]:
            letters = _letters(char)
            count *= len(letters)
            if not letters or count > SPELLINGS_MAX:
                break
            chosen.append(letters)
        if len(chosen) >= LETTERS_MIN and len(chosen) > len(best[0] if best else ""):
            best = ["".join(letters) for letters in product(*chosen)]
    return best


def _letters(char: str) -> str:
    """What a letter is equal to if case does not count; '' where that is not sure."""
    lower, upper = char.lower(), char.upper()
    if char.isascii():
        return _SPELLINGS.get(lower, lower if lower == upper else lower + upper)
    return char if lower == upper == char == char.casefold() else ""
