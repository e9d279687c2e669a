"""One result of ``dmfs doctor``, and how results are printed. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from dmfs.names import printable

OK, NOTE, WARNING, ERROR = "ok", "note", "warning", "error"
_MARKS = {OK: "✓", NOTE: "·", WARNING: "!", ERROR: "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """``what`` is the case, ``why`` it matters, and the ``remedy``; the last two are empty if all
    is well.

    ``level``: ok, note (nothing to do), warning (works, though worse), error (does not work).
    """

    check: str
    level: str
    what: str
    why: str = ""
    remedy: str = ""


def has_error(findings: Iterable[Finding]) -> bool:
    return any(finding.level == ERROR for finding in findings)


def as_json(findings: Iterable[Finding]) -> str:
    """A list of objects with the fields of a Finding."""
    return json.dumps([asdict(finding) for finding in findings], indent=2)


def as_text(findings: Iterable[Finding]) -> str:
    """For people: a line for each finding, with the reason and the remedy below it."""
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.level]} {finding.check}: {finding.what}")
        if finding.why:
            lines.append(f"    why it matters: {finding.why}")
        if finding.remedy:
            lines.append(f"    what to do: {finding.remedy}")
    return "\n".join(printable(line) for line in lines)
