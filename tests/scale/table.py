"""The table of docs/cluster-scale.md: python -m tests.scale.table [--write]."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.scale.model import Job, break_even_bytes, signed_bytes_per_s, sizes, ways

DOCS = Path(__file__).resolve().parents[2] / "docs/cluster-scale.md"
BEGIN, END = "<!-- computed -->\n", "<!-- end of what is computed -->\n"


def duration(seconds: float) -> str:
    """In the largest unit of which there is one."""
    for name, unit_s in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.1f} {name}"
    return f"{seconds:.0f} s"


def size(size_bytes: float) -> str:
    """In the largest unit of ten's powers of which there is one."""
    for name, unit in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f} {name}"
    return f"{size_bytes:.0f} bytes"


def markdown(job: Job) -> str:
    """Both tables, with what they are of."""
    lines = [
        (
            f"{job.workers:,} workers, {job.files:,} files of {size(job.file_bytes)} in"
            f" {job.folders:,} folders, one client id, {size(job.line_bytes_per_s)} a second:"
        ),
        "",
        (
            "| way | listings | signings | bytes fetched | listing takes | signing takes"
            " | bytes take | in all |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {cost.listings:,} | {cost.signings:,} | {size(cost.fetched_bytes)}"
        f" | {duration(cost.listing_s)} | {duration(cost.signing_s)} | {duration(cost.bytes_s)}"
        f" | {duration(cost.total_s)} |"
        for name, cost in ways(job).items()
    ]
    lines += ["", "| held | bytes |", "|---|---|"]
    lines += [f"| {name} | {size(held)} |" for name, held in sizes(job).items()]
    lines += [
        "",
        (
            f"Signings allow {size(signed_bytes_per_s(job))} a second of such files; from"
            f" {size(break_even_bytes(job))} a file on the line decides."
        ),
        "",
    ]
    return "\n".join(lines)


def written(text: str, job: Job) -> str:
    """The document with the tables of that job."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{markdown(job)}{END}{rest.partition(END)[2]}"


def main() -> None:
    if "--write" in sys.argv:
        DOCS.write_text(written(DOCS.read_text(), Job()))
    else:
        print(markdown(Job()))


if __name__ == "__main__":
    main()
