"""Tables for pages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """As Markdown; all rows as long as ``head``."""
    lines = [_line(head), "|---" * len(head) + "|"]
    return "\n".join(lines + [_line(row) for row in rows])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
