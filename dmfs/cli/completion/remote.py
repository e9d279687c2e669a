"""Names of the drive, from listings on disk however old they are: no drive, no loop, no call."""

from __future__ import annotations

import re
from pathlib import Path

from dmfs.auth.whose import principal_on_disk
from dmfs.config import Settings
from dmfs.namespace.stored.database import StoredListings
from dmfs.namespace.stored.partition import listing_scope
from dmfs.namespace.stored.rows import LEAVES, details_of, head_of, identity_of, names_of, rows_of

KINDS = {"h": "hub", "p": "project", "d": "folder", "s": "shortcut", "f": ""}
"""Letter → what to say beside the name; a file is said by its name."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def names_below(settings: Settings, typed: str, *, folders_only: bool) -> list[tuple[str, str]]:
    """What a path may become, with what it is; a directory ends in a slash."""
    above, slash, begin = typed.rpartition("/")
    parts = [part for part in above.split("/") if part and part != "."]
    principal = principal_on_disk(settings)
    for service_folders in (False, True):
        scope = listing_scope(settings, principal, service_folders=service_folders)
        text = _listing(settings.cache_dir, scope, parts)
        if text:
            return _matching(text, f"{above}{slash}", begin, folders_only=folders_only)
    return []


def _listing(cache_dir: Path, scope: str, parts: list[str]) -> str:
    """The text of the listing of a directory; '' where it or the way there is not known."""
    stored = StoredListings(cache_dir, scope)
    identity = "root"
    with stored.open():
        _, text = next(stored.texts([identity]), ("", ""))
        for name in parts:
            head = head_of(text, identity)
            row = next((row for row in rows_of(text, name) if row.name == name), None)
            if head is None or row is None or row.letter in LEAVES:
                return ""
            try:
                identity = identity_of(row, details_of(text, row), head)
            except (ValueError, KeyError):
                return ""
            _, text = next(stored.texts([identity]), ("", ""))
        return text if head_of(text, identity) is not None else ""


def _matching(text: str, above: str, begin: str, *, folders_only: bool) -> list[tuple[str, str]]:
    ends = {letter: ("" if letter in LEAVES else "/", kind) for letter, kind in KINDS.items()}
    wanted = KINDS.keys() - (LEAVES if folders_only else "")
    return [
        (f"{above}{name}{ends[letter][0]}", ends[letter][1])
        for name, letter in names_of(text, begin)
        # no line of a shell can hold control characters
        if letter in wanted and (name.isprintable() or not _CONTROL.search(name))
    ]
