"""``find`` in the listings on disk: no drive, no loop, no call. Blocks.

It answers alone where everything below the path is known and fresh (or where nobody wants more).
50 000 entries are looked through within a tenth of a second, so their nodes are not made: names are
matched in the text, and only rows whose size, time or id is needed are parsed.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dmfs.jobs.find.criteria import Criteria
from dmfs.jobs.find.entries import Entry, below, entry, name_of
from dmfs.jobs.find.globs import runs
from dmfs.namespace.stored.database import StoredListings
from dmfs.namespace.stored.rows import (
    LEAVES,
    Head,
    Row,
    details_of,
    has_directories,
    head_of,
    identity_of,
    is_cut_off,
    may_name,
    rows_of,
)
from dmfs.system.clock import boot_time_s

FOREVER = float("inf")
INCOMPLETE_S = 5.0
"""For so long at most a listing is believed of which the service did not tell everything."""
KINDS = {
    "r": "root", "h": "hub", "p": "project", "d": "folder", "f": "file", "s": "shortcut",
}  # fmt: skip


class Trust(NamedTuple):
    """For how many seconds a listing is believed; see ``namespace.listing_cache``."""

    ttl_s: float
    hub_ttl_s: float
    rollup_s: float


class _At(NamedTuple):
    """A directory on the way: what its parent's listing says of it."""

    identity: str
    path: str
    letter: str
    rollup_ns: int | None = None
    parent_age_s: float = FOREVER
    """Since the parent was listed."""
    parent_valid_s: float = FOREVER
    """Since the parent's listing was known to be valid."""
    mtime_ns: int = 0


@dataclass(slots=True)
class Known:
    """What was found, and what it goes by."""

    paths: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    """Instead of paths, where details are wanted."""
    folders: int = 0
    stale: int = 0
    unknown: list[str] = field(default_factory=list)
    """Paths of directories that were never listed."""
    oldest_s: float = 0.0
    """The age of the oldest listing that was used."""

    @property
    def is_whole(self) -> bool:
        """Whether all is known, and fresh."""
        return not (self.stale or self.unknown)


class NotADirectoryHere(Exception):
    """The path leads to, or through, a file."""


def find_known(
    stored: StoredListings, trust: Trust, parts: Sequence[str], criteria: Criteria, *,
    whole_only: bool, with_details: bool,
) -> Known | None:  # fmt: skip
    """All that is meant below a path; None where the way there is not known. ``whole_only``: give
    up at the first directory that is unknown or stale. NotADirectoryHere."""
    with stored.open():
        scan = _Scan(stored, trust, criteria, with_details=with_details)
        top = scan.way_to(parts)
        if top is None:
            return None
        scan.take_top(top)
        level = [top]
        while level:
            level = scan.look(level)
            if whole_only and not scan.known.is_whole:
                break
        return scan.known


class _Scan:
    def __init__(
        self, stored: StoredListings, trust: Trust, criteria: Criteria, *, with_details: bool
    ) -> None:
        self._stored = stored
        self._trust = trust
        self._criteria = criteria
        self._named: Callable[[str], bool] = criteria.of_names()
        self._with_details = with_details
        self._part = max(runs(criteria.name or ""), key=len)
        """Stands in every name that is meant."""
        self._seen: set[str] = set()
        self._began_s = boot_time_s()
        self.known = Known()

    def way_to(self, parts: Sequence[str]) -> _At | None:
        """The directory at a path; None where that is not known."""
        at = _At("root", "/", "r")
        for name in parts:
            _, text = next(iter(self._stored.texts([at.identity])), ("", ""))
            head = head_of(text, at.identity)
            row = next((row for row in rows_of(text) if row.name == name), None)
            if head is None or row is None:
                return None
            if row.letter in LEAVES:
                raise NotADirectoryHere(below(at.path, name))
            try:
                at = _inner(
                    at, row, details_of(text, row), head, self._age_s(head), self._valid_s(at, head)
                )
            except (ValueError, KeyError):
                return None
        return at

    def take_top(self, top: _At) -> None:
        """The path itself, as find(1) does."""
        if self._criteria.takes_kind(is_directory=True) and self._named(name_of(top.path)):
            self._take(top.path, top.letter, {"mtime_ns": top.mtime_ns})

    def look(self, level: Sequence[_At]) -> list[_At]:
        """Look through directories; what lies below them."""
        directories = {at.identity: at for at in level if at.identity not in self._seen}
        self._seen.update(directories)
        deeper: list[_At] = []
        for identity, text in self._stored.texts(list(directories)):
            at = directories[identity]
            head = head_of(text, identity)
            if head is None:
                continue
            try:
                inner = self._look_into(at, text, head)
            except (ValueError, KeyError, TypeError):
                continue  # damaged
            if inner is not None:
                deeper += inner
                del directories[identity]
        self.known.unknown += [at.path for at in directories.values()]
        return deeper

    def _look_into(self, at: _At, text: str, head: Head) -> list[_At] | None:
        """None for a text that does not hold what it says."""
        valid_s = self._valid_s(at, head)
        files, directories = self._criteria.takes_kind(is_directory=False), []
        named, needs_details = self._named, self._with_details or self._criteria.needs_details
        begin = at.path if at.path == "/" else f"{at.path}/"
        if is_cut_off(text):
            return None
        skips = self._part and not may_name(text, self._part) and not has_directories(text)
        count = head.rows if skips else 0
        for row in () if skips else rows_of(text):
            count += 1
            if row.letter not in LEAVES:
                directories.append(row)
            elif files and named(row.name):
                if needs_details:
                    self._take(begin + row.name, row.letter, details_of(text, row))
                else:
                    self.known.paths.append(begin + row.name)
        if count != head.rows:
            return None
        inner = []
        for row in directories:
            details = details_of(text, row)
            inner.append(_inner(at, row, details, head, self._age_s(head), valid_s))
            if self._criteria.takes_kind(is_directory=True) and named(row.name):
                self._take(begin + row.name, row.letter, details)
        self.known.folders += 1
        self.known.oldest_s = max(self.known.oldest_s, valid_s)
        self.known.stale += valid_s >= self._ttl_s(at, head)
        return inner

    def _take(self, path: str, letter: str, details: Mapping[str, Any]) -> None:
        size_bytes, mtime_ns = _size(letter, details), details.get("mtime_ns") or 0
        if not self._criteria.takes_details(size_bytes or 0, mtime_ns):
            return
        if self._with_details:
            self.known.entries.append(entry(path, KINDS[letter], size_bytes, mtime_ns))
        else:
            self.known.paths.append(path)

    def _ttl_s(self, at: _At, head: Head) -> float:
        ttl_s = self._trust.hub_ttl_s if at.letter in "rh" else self._trust.ttl_s
        return min(ttl_s, INCOMPLETE_S) if head.incomplete else ttl_s

    def _age_s(self, head: Head) -> float:
        """When the scan began, so that ages can be compared."""
        age_s = head.moment.age_s()
        return FOREVER if age_s is None else age_s - (boot_time_s() - self._began_s)

    def _valid_s(self, at: _At, head: Head) -> float:
        """Seconds since the listing was known to be valid: as ``ListingCache.valid_at``."""
        age_s = self._age_s(head)
        if at.rollup_ns is None or head.rollup_ns is None or head.incomplete:
            return age_s
        if at.rollup_ns != head.rollup_ns:
            return FOREVER if at.parent_age_s < age_s else age_s
        return min(age_s, max(at.parent_valid_s, age_s - self._trust.rollup_s))


def _inner(
    at: _At, row: Row, details: dict[str, Any], head: Head, age_s: float, valid_s: float
) -> _At:
    return _At(
        identity_of(row, details, head),
        below(at.path, row.name),
        row.letter,
        details.get("rollup_ns"),
        age_s,
        valid_s,
        details.get("mtime_ns") or 0,
    )


def _size(letter: str, details: Mapping[str, Any]) -> int | None:
    if letter == "f":
        return details.get("size_bytes") or 0
    return len(base64.b64decode(details["body"])) if letter == "s" else None
