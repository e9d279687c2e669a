"""A listing with some of its names seen otherwise. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dmfs.model import Child, Listing


def merged(listing: Listing, differs: Mapping[str, Child | None]) -> Listing:
    """``differs``: name → what stands there instead; None: nothing. The entries that do not differ
    are copied by the interpreter and not looked at: 100 000 of them take 3 ms, and 35 if a name is
    new and has to find its place in the order."""
    if not differs:
        return listing
    entries = dict(listing.entries)
    before = len(entries)
    entries |= {name: child for name, child in differs.items() if child is not None}
    grown = len(entries) > before
    for name in (name for name, child in differs.items() if child is None):
        entries.pop(name, None)
    if grown:
        entries = {name: entries[name] for name in sorted(entries)}
    return replace(listing, entries=entries)
