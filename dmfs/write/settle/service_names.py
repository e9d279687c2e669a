"""Which names the service refuses, and which it takes for the same. Pure.

Only what is refused for certain is refused here; of the rest the service decides.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from dmfs.errors import BadNameError
from dmfs.names import check_name, printable

_REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_UNDECODABLE = re.compile("[\ud800-\udfff]")


def compare_key(name: str) -> str:
    """Equal for names that a folder of the service does not hold side by side."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def check_new_name(name: str, siblings: Iterable[str] = (), *, folds_case: bool = True) -> None:
    """For a name that is to be made. ``siblings``: the other names of the folder, without the one
    that is renamed or replaced; ``folds_case``: a ``b.`` project.

    NameTooLongError over 255 bytes; BadNameError for a character that the service refuses, and for
    a name that differs from a sibling in upper and lower case only.
    """
    check_name(name)
    if name in ("", ".", ".."):
        raise BadNameError("an empty name is none", hint="give the file a name")
    if _UNDECODABLE.search(name):
        raise BadNameError(
            f"the name {printable(name)!r} is not UTF-8", hint="rename it, then copy it again"
        )
    found = _REFUSED.search(name)
    if found:
        raise BadNameError(
            f"the service does not take {_spelled(found[0])} in a name: {printable(name)!r}",
            hint='use a name without < > : " / \\ | ? * and control characters',
        )
    variant = case_variant(name, siblings) if folds_case else None
    if variant is not None:
        raise BadNameError(
            f"{printable(name)!r} is {printable(variant)!r} in other letters: the service takes"
            " both for the same",
            hint="choose another name, or rename the other file first",
        )


def case_variant(name: str, siblings: Iterable[str]) -> str | None:
    """The sibling that has the same letters and is not the same name."""
    key = compare_key(name)
    return next((each for each in siblings if each != name and compare_key(each) == key), None)


def _spelled(character: str) -> str:
    return character if character.isprintable() else f"the control character {ord(character)}"
