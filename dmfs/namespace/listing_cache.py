"""The listings in memory, their place in the tree, and until when each is valid. No I/O.

A listing was valid when the drive requested it. It is still valid while an ancestor, listed later,
shows the same rollup (``lastModifiedTimeRollup``) for it; it is invalid once that ancestor shows
another rollup. ``rollup_trust`` limits how long an unchanged rollup counts: the service does not
say whether the rollup covers deletions, moves and permissions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import cachetools

from dmfs.model import (
    Directory,
    File,
    Folder,
    History,
    Hub,
    Listing,
    Past,
    Root,
    Shortcut,
    VersionList,
    WithDeleted,
)
from dmfs.system.backoff import Cooldown
from dmfs.system.clock import Moment

ENTRIES_MAX = 100_000
"""Entries in memory, about a kilobyte each; the disk serves evicted listings. Inodes that the
kernel uses come on top."""
ENTRY_BYTES = 950
"""Resident memory of an entry with its inode: 943 measured, with 100 000 entries."""
DEPTH_MAX = 32
"""The service's folders are at most 25 levels deep."""
PEEK_TTL_S = 5.0
NEVER = float("-inf")
STALE_LOOKS = 2000
"""A look takes some 5 µs of the loop."""
INCOMPLETE_FIRST_S = 5.0
"""Time-to-live of a listing of which the service did not describe everything. It doubles as long as
that is so, up to the usual one: some items are never described."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """The rules, in seconds; see ``config.Settings`` for their reasons."""

    ttl: float = 60.0
    hub_ttl: float = 300.0
    patience: float = 1.0
    rollup_trust: float = 900.0

    def ttl_of(self, directory: Directory) -> float:
        if isinstance(directory, VersionList | History | Past):
            return math.inf  # of one version, of one moment
        return self.hub_ttl if isinstance(directory, Root | Hub) else self.ttl


@dataclass(slots=True, eq=False)
class CachedListing:
    """A listing in memory."""

    listing: Listing
    moment: Moment
    """The same moment as ``listing.listed_at``, in clocks that other processes share."""
    listed_at: float
    """``listing.listed_at`` minus the time that the machine was suspended since."""
    folders: dict[str, Directory] = field(repr=False)
    """The directories in it, by identity, in their order."""
    peek_until: float = 0.0
    """Until then ``peek`` returns it without another look at its ancestors."""
    failures: int = 0
    """Failed refreshes since the last success."""
    spares: int = DEPTH_MAX
    """So often it is still spared an eviction; each use gives them anew."""
    incomplete_ttl_s: float | None = None
    """Of an incomplete listing, else None."""
    cooldown: Cooldown | None = None
    """The pause after a failed refresh; None in nearly all listings, which saves memory."""

    @property
    def may_refresh(self) -> bool:
        return self.cooldown is None or self.cooldown.is_over


def _entry_count(cached: CachedListing) -> int:
    return len(cached.listing.entries)


class _ListingLRU(cachetools.LRUCache[str, CachedListing]):
    """Sums up entries. The limit is not its own: one folder may have more than ENTRIES_MAX."""

    def __init__(self) -> None:
        super().__init__(math.inf, getsizeof=_entry_count)

    def peek(self, identity: str) -> CachedListing | None:
        """The listing; does not count as a use."""
        return cachetools.Cache.__getitem__(self, identity) if identity in self else None


class ListingCache:
    """All listings in memory; the least recently used are evicted beyond ENTRIES_MAX entries."""

    def __init__(self, freshness: Freshness) -> None:
        self._freshness = freshness
        # Changes happen between awaits only, so that trio makes them atomic.
        self._listings = _ListingLRU()
        self._parents: dict[str, str] = {}
        self.evicted = 0
        """Listings evicted since the start."""

    def __len__(self) -> int:
        return len(self._listings)

    @property
    def entries(self) -> int:
        """Entries of all listings."""
        return int(self._listings.currsize)

    @property
    def memory_bytes(self) -> int:
        """Approximate memory of all listings, with the inodes of their entries."""
        return self.entries * ENTRY_BYTES

    def get(self, identity: str) -> CachedListing | None:
        """The listing of a directory; does not count as a use."""
        return self._listings.peek(identity)

    def use(self, identity: str) -> CachedListing | None:
        """The listing of a directory, which becomes the most recently used one."""
        cached = self._listings.get(identity)
        if cached is not None:
            cached.spares = DEPTH_MAX  # its own path may be listed anew before the next one
        return cached

    def put(self, listing: Listing, moment: Moment, parent: str = "") -> CachedListing:
        """Replace the listing of its directory; evict the least recently used ones if needed."""
        identity = listing.directory.identity
        folders: dict[str, Directory] = {}
        # what is there with what was deleted says nothing of where anything is
        apart = isinstance(listing.directory, WithDeleted)
        for child in () if apart else listing.entries.values():
            if not isinstance(child, File | Shortcut):
                folders[child.identity] = child
                self._parents[child.identity] = identity
        if parent:
            self._parents.setdefault(identity, parent)
        cached = CachedListing(listing, moment, listing.listed_at, folders)
        if listing.incomplete:
            old = self._listings.peek(identity)
            before_s = None if old is None else old.incomplete_ttl_s
            cached.incomplete_ttl_s = INCOMPLETE_FIRST_S if before_s is None else before_s * 2
        self._listings[identity] = cached
        while self.entries > ENTRIES_MAX and len(self._listings) > 1 and self._evict():
            pass
        return cached

    def _evict(self) -> bool:
        """Evict one; False if that one is to stay. A listing that alone fills the memory must not
        go for its own parents again and again: one of 100 000 entries takes 1.5 s to read."""
        identity, cached = self._listings.popitem()
        if cached.spares and len(cached.listing.entries) > ENTRIES_MAX // 2:
            cached.spares -= 1
            self._listings[identity] = cached
            return False
        self.evicted += 1
        for child in cached.folders:
            if child not in self._listings:
                self._parents.pop(child, None)
        return True

    def drop(self, identity: str) -> None:
        """Remove a listing; no error if there is none."""
        self._listings.pop(identity, None)

    def parent(self, identity: str) -> CachedListing | None:
        """The listing that contains this directory, if it is in memory."""
        return self._listings.peek(self._parents.get(identity, ""))

    def directory(self, identity: str) -> Directory | None:
        """The node of a directory as in its parent's listing."""
        above = self.parent(identity)
        return above.folders.get(identity) if above is not None else None

    def all(self) -> list[CachedListing]:
        """Every listing, the least recently used first; does not count as a use."""
        return list(self._all())

    def chain(self, directory: Directory) -> tuple[Directory, ...]:
        """The known ancestors of a directory, the highest first, then the directory itself."""
        found: list[Directory] = [directory]
        while len(found) < DEPTH_MAX:
            above = self.parent(found[-1].identity)
            if above is None:
                break
            found.append(above.listing.directory)
        return tuple(reversed(found))

    def parent_identity(self, identity: str) -> str:
        return self._parents.get(identity, "")

    def rollup(self, directory: Directory) -> int | None:
        """The latest known rollup of a folder; None for other directories."""
        if not isinstance(directory, Folder):
            return None
        above = self.parent(directory.identity)
        rollup_ns = _rollup_in(above, directory.identity) if above is not None else None
        return rollup_ns if rollup_ns is not None else directory.rollup_ns

    def fresh_for(self, directory: Directory, now: float) -> float:
        """Seconds for which the listing is still fresh (0 or less: stale or unknown)."""
        age_s = now - self.valid_at(directory.identity)
        ttl_s = self._freshness.ttl_of(directory)
        cached = self._listings.peek(directory.identity)
        if cached is not None and cached.incomplete_ttl_s is not None:
            ttl_s = min(ttl_s, cached.incomplete_ttl_s)
        return ttl_s - age_s

    def stale_count(self, now: float) -> int:
        """Listings that are no longer fresh; of very many, an estimate."""
        looked_at = list(islice(self._all(), STALE_LOOKS))
        stale = sum(self.fresh_for(each.listing.directory, now) <= 0 for each in looked_at)
        return stale * len(self) // max(1, len(looked_at))

    def peek(self, identity: str, now: float) -> CachedListing | None:
        """The listing if it is fresh, or was fresh at most PEEK_TTL_S ago.

        The exact answer climbs to the top of the drive, and tree prefetching needs some 200
        answers for each directory that a program opens.
        """
        cached = self._listings.peek(identity)
        if cached is not None and cached.peek_until < now:
            fresh_s = self.fresh_for(cached.listing.directory, now)
            if fresh_s <= 0:
                return None
            cached.peek_until = now + min(fresh_s, PEEK_TTL_S)
        return cached

    def valid_at(self, identity: str, depth: int = DEPTH_MAX) -> float:
        """The latest moment at which the listing is known to be valid: its own request, or a later
        request whose answer shows an unchanged rollup.

        The drive read the rollup before it requested the listing. If the parent, listed later,
        shows the same rollup, nothing below changed in between; another rollup shows a change.
        """
        cached = self._listings.peek(identity)
        if cached is None:
            return NEVER
        above = self.parent(identity)
        rollup_ns = cached.listing.rollup_ns
        if above is None or rollup_ns is None or depth == 0 or cached.listing.incomplete:
            return cached.listed_at
        shown_ns = _rollup_in(above, identity)
        if shown_ns != rollup_ns:
            changed = shown_ns is not None and above.listed_at > cached.listed_at
            return NEVER if changed else cached.listed_at
        parent = above.listing.directory.identity
        confirmed_at = min(
            self.valid_at(parent, depth - 1), cached.listed_at + self._freshness.rollup_trust
        )
        return max(cached.listed_at, confirmed_at)

    def on_suspend(self, seconds: float) -> None:
        """Make every listing older: trio's clock stood still while the machine was suspended."""
        for cached in self._all():
            cached.listed_at -= seconds

    def end_cooldowns(self) -> None:
        """The network is back: allow all refreshes at once."""
        for cached in self._all():
            cached.cooldown = None

    def _all(self) -> Iterator[CachedListing]:
        return filter(None, map(self._listings.peek, self._listings))


def _rollup_in(above: CachedListing, identity: str) -> int | None:
    node = above.folders.get(identity)
    return node.rollup_ns if isinstance(node, Folder) else None
