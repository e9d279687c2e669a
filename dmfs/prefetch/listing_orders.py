"""The orders in which programs read a directory, besides that of names. Pure.

Backup programs sort by inode number (``tar --sort=inode``, borg), viewers by time or size. The
orders of a listing are made once, when its reads do not follow the names.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise

from dmfs.model import File, Listing
from dmfs.names import inode_number

STRIDE = 2
"""Files from one read to the next of such a series: by chance, two files of a small folder are
neighbours in one of three orders too often to allow more."""
READS_BEFORE = 4
"""Reads that make such a series, all in one direction."""

_KEYS: dict[str, Callable[[File], int]] = {
    "inodes": lambda file: inode_number(file.identity),
    "times": lambda file: file.mtime_ns,
    "sizes": lambda file: file.size_bytes or 0,
}


class Order:
    """The files of a listing in one order: ``sequence[position]`` is an index into its names."""

    def __init__(self, name: str, sequence: Sequence[int], count: int) -> None:
        """``count``: the entries of the listing."""
        self.name = name
        self.sequence = sequence
        self._positions = array("i", [-1]) * count
        for position, index in enumerate(sequence):
            self._positions[index] = position

    def position(self, index: int) -> int:
        """Where the entry of that index is; -1 if it is no file."""
        return self._positions[index]

    def follows(self, indices: Sequence[int]) -> bool:
        """Whether files were read in this order, up or down."""
        positions = [self.position(index) for index in indices]
        steps = [after - before for before, after in pairwise(positions)]
        return min(positions) >= 0 and (
            all(0 < step <= STRIDE for step in steps) or all(-STRIDE <= step < 0 for step in steps)
        )


def orders_of(listing: Listing) -> list[Order]:
    """By inode number, time and size; equal ones by name. 2 µs an entry; 24 bytes an entry."""
    nodes = [listing.entries[name] for name in listing.names]
    files = [(index, node) for index, node in enumerate(nodes) if isinstance(node, File)]
    found = []
    for name, key in _KEYS.items():
        ranked = sorted((key(file), index) for index, file in files)
        found.append(Order(name, array("I", [index for _, index in ranked]), len(nodes)))
    return found
