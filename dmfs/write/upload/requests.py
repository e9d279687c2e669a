"""Stand-in until the parts' own package is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class FileSlice(NamedTuple):
    """Bytes of an open file."""

    descriptor: int
    position: int
    length: int


class PutRequest(NamedTuple):
    """One part."""

    url: str
    pieces: Sequence[FileSlice | bytes]
    length: int
    action: str
    on_sent: Callable[[int], None]

    def __repr__(self) -> str:
        return f"PutRequest({self.length})"
