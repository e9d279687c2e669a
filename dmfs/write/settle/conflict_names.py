"""Names for what goes beside: our version of a file that somebody else has changed, and theirs that
ours has overtaken. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from dmfs.names import NAME_MAX_BYTES, split_extension
from dmfs.write.settle.service_names import compare_key

WHO_MAX_BYTES = 60
NOBODY = "unknown"
_NOT_IN_A_NAME = re.compile(r'[<>:"/\\|?*().\x00-\x1f\x7f\ud800-\udfff]+')
"""No dot either: of a name without an extension it would start one."""


def conflict_name(name: str, who: str, when: datetime, taken: Iterable[str] = ()) -> str:
    """``Plan (conflict Anna Berg 2026-05-04 093015).dwg``: legal, at most 255 bytes, with the same
    extension, and like none of ``taken``. ``when`` in the user's own time."""
    return _beside(name, f"conflict {_person(who)} {when:%Y-%m-%d %H%M%S}", taken)


def overtaken_name(name: str, number: int, who: str, taken: Iterable[str] = ()) -> str:
    """``Plan (v7 by Anna Berg).dwg``: another's version that ours came on top of."""
    return _beside(name, f"v{number} by {_person(who)}", taken)


def _person(who: str) -> str:
    words = " ".join(_NOT_IN_A_NAME.sub(" ", who).split())
    return _cut(words, WHO_MAX_BYTES).strip() or NOBODY


def _beside(name: str, note: str, taken: Iterable[str]) -> str:
    keys = {compare_key(each) for each in taken}
    stem, extension = split_extension(_cut_surrogates(name))
    count = 1
    while True:
        again = "" if count == 1 else f" {count}"
        tail = f" ({note}{again}){extension}"
        candidate = _cut(stem, NAME_MAX_BYTES - len(tail.encode())) + tail
        if compare_key(candidate) not in keys:
            return candidate
        count += 1


def _cut_surrogates(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


def _cut(text: str, max_bytes: int) -> str:
    """The longest prefix of whole characters that fits."""
    return text.encode()[: max(max_bytes, 0)].decode("utf-8", "ignore")
