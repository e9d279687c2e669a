"""The listings in memory, how they hang together, and until when each is believed. Floor 2, no I/O.

A listing was true when it was asked for. It is still true as long as an ancestor, listed later,
shows the same rollup (``lastModifiedTimeRollup``) for what lies below it, and known to be untrue
once that shows another one. How far the first is trusted is ``rollup_trust``: the service does not
say whether the rollup covers deletions, moves and permissions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dmfs.model import Child, Directory, File, Folder, Hub, Listing, Root, Shortcut
from dmfs.system.clock import Moment

ENTRIES_KEPT = 100_000
"""Entries in memory, about a kilobyte each; the least recently listed directories go first, and
come back from disk. What the kernel holds stays besides."""
ENTRY_BYTES = 950
"""Resident, with its inode: 943 measured at 100 000 of them."""
DEPTH_MAX = 32
"""Folders go 25 deep."""
GLANCE_S = 5.0
LONG_AGO = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """The rules, in seconds; see ``config.Settings`` for their reasons."""

    ttl: float = 60.0
    hub_ttl: float = 300.0
    patience: float = 1.0
    rollup_trust: float = 900.0

    def ttl_of(self, directory: Directory) -> float:
        return self.hub_ttl if isinstance(directory, Root | Hub) else self.ttl


@dataclass(slots=True, eq=False)
class CachedListing:
    """A listing in memory."""

    listing: Listing
    moment: Moment
    """The same moment as ``listing.listed_at``, for what outlives the process."""
    listed_at: float
    """As ``listing.listed_at``, put back by what the machine slept since."""
    folders: dict[str, Directory] = field(repr=False)
    """The directories in it, by identity, in their order."""
    glanced_until: float = 0.0
    """Found fresh not long ago; good enough for speculation (see ``peek``)."""
    failures: int = 0
    retry_at: float = 0.0


class ListingCache:
    """All listings in memory."""

    def __init__(self, freshness: Freshness) -> None:
        self._freshness = freshness
        # Changes happen between awaits only, so that trio makes them atomic.
        self._known: OrderedDict[str, CachedListing] = OrderedDict()
        self._parents: dict[str, str] = {}
        self._entries = 0

    def __len__(self) -> int:
        return len(self._known)

    @property
    def memory_bytes(self) -> int:
        """What all of it takes, about, with the inodes that the kernel has been told of."""
        return self._entries * ENTRY_BYTES

    def get(self, identity: str) -> CachedListing | None:
        return self._known.get(identity)

    def use(self, identity: str) -> CachedListing | None:
        """The same, and it goes last."""
        known = self._known.get(identity)
        if known is not None:
            self._known.move_to_end(identity)
        return known

    def all(self) -> Iterator[CachedListing]:
        return iter(list(self._known.values()))

    def keep(self, listing: Listing, moment: Moment, parent: str = "") -> CachedListing:
        """The newest listing of its directory; the least recently used ones may have to go."""
        identity = listing.directory.identity
        folders: dict[str, Directory] = {}
        for child in listing.entries.values():
            if not isinstance(child, File | Shortcut):
                folders[child.identity] = child
                self._parents[child.identity] = identity
        if parent:
            self._parents.setdefault(identity, parent)
        self.drop(identity)
        known = CachedListing(listing, moment, listing.listed_at, folders)
        self._known[identity] = known
        self._entries += len(listing.entries)
        while self._entries > ENTRIES_KEPT and len(self._known) > 1:
            self.drop(next(iter(self._known)), forget_children=True)
        return known

    def drop(self, identity: str, *, forget_children: bool = False) -> None:
        """Forget a listing."""
        known = self._known.pop(identity, None)
        if known is None:
            return
        self._entries -= len(known.listing.entries)
        if forget_children:
            for child in known.folders:
                if child not in self._known:
                    self._parents.pop(child, None)

    def parent(self, identity: str) -> CachedListing | None:
        return self._known.get(self._parents.get(identity, ""))

    def directory(self, identity: str) -> Directory | None:
        """The node as its parent's listing has it."""
        above = self.parent(identity)
        return above.folders.get(identity) if above is not None else None

    def chain(self, directory: Directory) -> tuple[Directory, ...]:
        """The directory and its known ancestors, the highest first."""
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
        """A folder's rollup as last told."""
        if not isinstance(directory, Folder):
            return None
        above = self.parent(directory.identity)
        told = _rollup_in(above, directory.identity) if above is not None else None
        return told if told is not None else directory.rollup_ns

    def fresh_for(self, directory: Directory, now: float) -> float:
        """Seconds for which it is still believed (0 or less: stale or unknown)."""
        age_s = now - self.valid_at(directory.identity)
        return self._freshness.ttl_of(directory) - age_s

    def peek(self, identity: str, now: float) -> CachedListing | None:
        """What is known and fresh, or was some seconds ago: the exact answer climbs to the top of
        the drive, and walk-ahead asks some 200 times for each directory that is opened."""
        known = self._known.get(identity)
        if known is not None and known.glanced_until < now:
            fresh_s = self.fresh_for(known.listing.directory, now)
            if fresh_s <= 0:
                return None
            known.glanced_until = now + min(fresh_s, GLANCE_S)
        return known

    def valid_at(self, identity: str, depth: int = DEPTH_MAX) -> float:
        """When it was last known to be true: as listed, or as an ancestor vouches for it.

        The rollup was read before the listing was asked for; if the parent, listed later, still
        shows it, nothing below changed in between; if it shows another one, something did.
        """
        known = self._known.get(identity)
        if known is None:
            return LONG_AGO
        above = self.parent(identity)
        rollup_ns = known.listing.rollup_ns
        if above is None or rollup_ns is None or depth == 0:
            return known.listed_at
        told = _rollup_in(above, identity)
        if told != rollup_ns:
            changed = told is not None and above.listed_at > known.listed_at
            return LONG_AGO if changed else known.listed_at
        parent = above.listing.directory.identity
        vouched = min(
            self.valid_at(parent, depth - 1), known.listed_at + self._freshness.rollup_trust
        )
        return max(known.listed_at, vouched)

    def on_suspend(self, seconds: float) -> None:
        """The machine was suspended: everything is older than trio's clock believes."""
        for known in self._known.values():
            known.listed_at -= seconds

    def reconnected(self) -> None:
        """The network is back: what failed may be tried again at once."""
        for known in self._known.values():
            known.retry_at = 0.0


def changed_names(old: Mapping[str, Child], new: Mapping[str, Child]) -> tuple[str, ...]:
    """Names that mean something else now, or nothing; then those that meant nothing before.
    50 000 take 0.1 s."""
    changed = [
        name
        for name, child in old.items()
        if name not in new or new[name].identity != child.identity
    ]
    return (*changed, *(name for name in new if name not in old))


def _rollup_in(above: CachedListing, identity: str) -> int | None:
    node = above.folders.get(identity)
    return node.rollup_ns if isinstance(node, Folder) else None
