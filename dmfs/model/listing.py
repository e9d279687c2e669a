"""All entries of a directory, and where the bytes of a file are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dmfs.model.kinds import Child, Directory


@dataclass(frozen=True, slots=True)
class Listing:
    """All entries of one directory, by their unique legal names, in the order readdir shows.

    ``listed_at`` is trio's clock in seconds when the drive *sent* the request: the answer may miss
    a change that happened later. ``rollup_ns`` is the directory's own rollup as its parent's
    listing showed it before the request, or None.
    """

    directory: Directory
    entries: Mapping[str, Child]
    listed_at: float
    rollup_ns: int | None = None
    undescribed: int = 0
    """Entries that the service listed and did not describe: they show, and cannot be opened or are
    as the listing before described them."""
    lost: int = 0
    """Entries of which not even a name is known: a name that is not here may exist all the same."""
    names: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.entries))

    @property
    def incomplete(self) -> int:
        """Entries that are not as they should be."""
        return self.undescribed + self.lost


@dataclass(frozen=True, slots=True)
class SignedRange:
    """A byte range of the object with the URL that serves it; the URL counts from ``start``."""

    start: int
    stop: int
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class SignedObject:
    """Signed URLs of a storage object, with its authoritative size and its sha1 ('' if unknown).

    No repr: URLs are secrets and must not reach a log or a traceback.
    """

    size_bytes: int
    sha1: str
    parts: tuple[SignedRange, ...]
    expires_at: float
    """trio's clock, seconds."""
