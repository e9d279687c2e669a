"""What a program has listed, in a form that travels: its workers list nothing.

A snapshot: what a name meant when the program looked, however old. A job that runs on a hundred
machines so reads one state of the drive, and spends no listing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from dmfs.model import Child, Directory, File, Listing, Root, Shortcut
from dmfs.namespace.listing_codec import BadRecordError, Record, decode, encode
from dmfs.system.clock import Moment

FORMAT = 1
MAX_BYTES = 4 * 1024 * 1024
"""Of a snapshot, packed: it is sent with each task of some engines."""
_SEPARATOR = b"\n\n"
_UNPACKED_MAX_BYTES = 64 * 1024 * 1024


class Knowledge:
    """Listings by the identity of their directory. May be used by several threads: its table is
    never changed."""

    def __init__(self, listings: Iterable[Record] = ()) -> None:
        self._records = {each.directory.identity: each for each in listings}

    def __len__(self) -> int:
        return len(self._records)

    def record(self, directory: Directory) -> Record | None:
        """A listing; None if it is not known."""
        return self._records.get(directory.identity)

    def child(self, directory: Directory, name: str) -> Child | None:
        """What a name means; None if it is not known, or not there."""
        record = self._records.get(directory.identity)
        return None if record is None else record.entries.get(name)

    def entries(self, directory: Directory) -> Mapping[str, Child] | None:
        """All that is in a directory; None if it is not known."""
        record = self._records.get(directory.identity)
        return None if record is None else record.entries

    def node(self, path: str) -> Directory | Child | None:
        """What a path means; None where it leads out of what is known."""
        node: Directory | Child = Root()
        for part in [each for each in path.split("/") if each]:
            if isinstance(node, File | Shortcut):
                return None
            child = self.child(node, part)
            if child is None:
                return None
            node = child
        return node


def pack(
    chains: Iterable[Iterable[Record]], max_bytes: int = MAX_BYTES,
    unpacked_max_bytes: int = _UNPACKED_MAX_BYTES,
) -> bytes:  # fmt: skip
    """Those listings that fit, each chain (from the root down) as a whole: what comes first is
    worth most. b'' for none. Who unpacks holds ``unpacked_max_bytes`` at most: 100 000 names that
    are alike pack into less than ``max_bytes``, and arrived nowhere."""
    seen: set[str] = set()
    texts: list[bytes] = []
    refused: dict[str, _Size] = {}
    """Of records that did not fit with their chain: they are part of others."""
    left = _Size(max_bytes, unpacked_max_bytes)
    for chain in chains:
        anew = [each for each in chain if each.directory.identity not in seen]
        before = [refused[id_] for each in anew if (id_ := each.directory.identity) in refused]
        if not left.covers(before):
            continue
        found = [encode(each) for each in anew]
        sizes = [_Size.of(text) for text in found]
        if not left.covers(sizes):
            refused.update(
                (each.directory.identity, size) for each, size in zip(anew, sizes, strict=True)
            )
            continue
        left = left.less(sizes)
        texts += found
        seen.update(each.directory.identity for each in anew)
    return zlib.compress(_SEPARATOR.join(texts), 6) if texts else b""


class _Size(NamedTuple):
    """Bytes of a record's text."""

    packed: int
    unpacked: int

    @classmethod
    def of(cls, text: bytes) -> _Size:
        return cls(len(zlib.compress(text, 1)), len(text) + len(_SEPARATOR))

    def covers(self, others: Sequence[_Size]) -> bool:
        rest = self.less(others)
        return rest.packed >= 0 and rest.unpacked >= 0

    def less(self, others: Sequence[_Size]) -> _Size:
        packed = self.packed - sum(each.packed for each in others)
        return _Size(packed, self.unpacked - sum(each.unpacked for each in others))


def unpack(packed: bytes) -> Knowledge:
    """What is in a snapshot. Nothing, for one that another release wrote in another form: then the
    worker lists by itself."""
    if not packed:
        return Knowledge()
    try:
        expanded = zlib.decompressobj()
        text = expanded.decompress(packed, _UNPACKED_MAX_BYTES)
        if expanded.unconsumed_tail:
            return Knowledge()
        return Knowledge([decode(each) for each in text.split(_SEPARATOR)])
    except (zlib.error, BadRecordError):
        return Knowledge()


def record_of(listing: Listing) -> Record:
    """One that is valid now."""
    return Record(
        moment=Moment.now(), directory=listing.directory, parent="", rollup_ns=listing.rollup_ns,
        entries=listing.entries, undescribed=listing.undescribed, lost=listing.lost,
    )  # fmt: skip
