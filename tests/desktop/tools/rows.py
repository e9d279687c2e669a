"""What a program cost on the drive, whether that is too much, and how it is told. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.support import markdown

SLACK_BYTES = 2 << 20
"""Read ahead of a program that then ends."""
SHARE_MAX = 1.1
"""Of the file's bytes: some are fetched twice where two reads overlap."""


@dataclass
class Row:
    """One program with one document."""

    program: str
    document: str
    size_bytes: int
    same: bool
    """What came out is what came out of the plain directory."""
    listings: int
    signings: int
    gets: int
    bytes: int
    mount_s: float
    plain_s: float
    bytes_max: int = 0
    """Where a part of the file must do; 0: the whole file and some."""
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def wrong(row: Row) -> Iterator[str]:
    """Each bound that it broke, in words."""
    if not row.same:
        yield f"another result than in a plain directory{': ' * bool(row.note)}{row.note}"
    if row.signings != 1:
        yield f"{row.signings} signings of one file"
    most = row.bytes_max or round(row.size_bytes * SHARE_MAX) + SLACK_BYTES
    if row.bytes > most:
        yield f"{row.bytes} bytes were fetched, {most} are allowed"
    if not row.gets:
        yield "nothing was fetched: the run says nothing"


HEAD = (
    "program", "document", "MB", "result", "signings", "GETs", "MB fetched", "share",
    "s, drive", "s, plain directory",
)  # fmt: skip


def table(rows: Iterable[Row]) -> str:
    """As Markdown."""
    return markdown.table(HEAD, map(_cells, rows))


def _cells(row: Row) -> Sequence[str]:
    share = row.bytes / row.size_bytes if row.size_bytes else 0.0
    return (
        row.program, row.document, f"{row.size_bytes / 1e6:.1f}",
        "the same" if row.same else "ANOTHER", str(row.signings), str(row.gets),
        f"{row.bytes / 1e6:.2f}", f"{share:.1%}" if share < 0.1 else f"{share:.0%}",
        f"{row.mount_s:.1f}", f"{row.plain_s:.1f}",
    )  # fmt: skip
