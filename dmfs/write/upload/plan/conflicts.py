"""Ours against theirs: the base against the tip, the number after the POST. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple, Protocol

from dmfs.model import Child, File, Shortcut
from dmfs.write.records import Base, NewVersion
from dmfs.write.upload.plan.records import UploadRow

CLOCKS_DIFFER_S = 120.0
"""The service's clock and ours, at most."""


class Tip(Protocol):
    """The newest version of an item, as the service tells it."""

    @property
    def file(self) -> File | None: ...
    @property
    def reserved_by(self) -> str: ...
    @property
    def reserved_by_id(self) -> str: ...
    @property
    def exists(self) -> bool: ...
    @property
    def created_by(self) -> str: ...


class Find(Enum):
    """What the tip means for ours."""

    BASE = auto()
    """Nobody wrote since: post."""
    OURS = auto()
    THEIRS = auto()
    AWAY = auto()


def is_ours(file: File, row: UploadRow) -> bool:
    """By its storage: nobody else knows its id."""
    return bool(row.storage_id) and file.storage_id == row.storage_id


def may_be_ours(file: File, created_by: str, row: UploadRow, me: str) -> bool:
    """Where a version's storage has another id than the one that was made for it, all else has to
    fit: whether it is ours is then for the sha1 to say. ``created_by``: a user's id."""
    number = row.target.base.number + 1 if isinstance(row.target, NewVersion) else 1
    sent_ns = (row.first_post_s - CLOCKS_DIFFER_S) * 1e9
    return (
        row.posts > 0
        and bool(me)
        and created_by == me
        and file.version_number == max(number, row.expected)
        and same_name(file.name, row.target.name)
        and file.size_bytes in (None, row.size_bytes)
        and file.mtime_ns >= sent_ns
    )


def may_be_equal(file: File, row: UploadRow) -> bool:
    """Whether its bytes may be those of ours: the sha1 says."""
    return bool(file.storage_id) and file.size_bytes in (None, row.size_bytes)


def stands_on(base: Base, file: File) -> bool:
    """Whether a tip is the version that ours was made from: the same, or the same bytes under
    another name, which a rename makes a version of its own."""
    if file.version_id == base.version_id:
        return True
    return bool(base.storage_id) and file.storage_id == base.storage_id


def find(base: Base, tip: Tip, row: UploadRow) -> Find:
    """What a tip is, as far as it says itself."""
    if not tip.exists or tip.file is None or not tip.file.version_id:
        return Find.AWAY
    if is_ours(tip.file, row):
        return Find.OURS
    return Find.BASE if stands_on(base, tip.file) else Find.THEIRS


def reserved_by_another(tip: Tip, me: str) -> str:
    """Who else reserves the item; '' if nobody does."""
    return "" if me and me in (tip.reserved_by_id, tip.reserved_by) else tip.reserved_by


def name_to_post(target: NewVersion, tip: File) -> str:
    """The service's own name of the item, which somebody may have changed meanwhile, unless we
    are to rename it."""
    return tip.name if target.name == target.base.name and tip.name else target.name


def overtaken(row: UploadRow, number: int | None) -> int:
    """The number of somebody else's version that ours went over; 0: none."""
    if not isinstance(row.target, NewVersion) or number is None or number <= row.expected:
        return 0
    return number - 1


class Taken(NamedTuple):
    """Who has the name."""

    child: Child
    exactly: bool
    """Not merely in another case or another normal form."""


def folded(name: str) -> str:
    """As the service compares names, as far as known."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def same_name(one: str, other: str) -> bool:
    return folded(one) == folded(other)


def who_has(name: str, children: Iterable[Child]) -> Taken | None:
    """The entry of a folder that stands in the way of ``name``; an exact match goes before."""
    near = None
    for child in children:
        own = child.name.removesuffix(".url") if isinstance(child, Shortcut) else child.name
        if own == name:
            return Taken(child, True)
        if near is None and same_name(own, name):
            near = Taken(child, False)
    return near


def extension(name: str) -> str:
    """``.dwg``; '' for a name without one. A storage is made for one extension."""
    stem, dot, end = name.rpartition(".")
    return dot + end if stem else ""
