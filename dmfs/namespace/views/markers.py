"""Small files that are answered and never listed: they tell programs what the drive is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dmfs.model import FolderId, HubId, ItemId, Marker, ProjectId

CACHEDIR_TAG = b"""\
Signature: 8a477f597d28d172789f06886806bc55
# This directory shows what a service stores. Backup programs that heed this file leave it out.
"""
MARKERS: Mapping[str, bytes] = MappingProxyType({
    ".trackerignore": b"",
    ".nomedia": b"",
    "CACHEDIR.TAG": CACHEDIR_TAG,
})  # fmt: skip
"""At the root of a mount: for indexers of GNOME, for media scanners, for backup programs."""
CASELESS = ".ciopfs"
"""Wine takes a directory of a FUSE filesystem in which this exists for one that ignores case, and
tries a name once, where it would read the whole directory for each name of another case."""


def marker(within: str, name: str) -> Marker:
    """The marker of that name in the directory of an identity."""
    return Marker(
        ItemId(""), None, FolderId(""), ProjectId(""), HubId(""), name, MARKERS.get(name, b""),
        within=within,
    )  # fmt: skip
