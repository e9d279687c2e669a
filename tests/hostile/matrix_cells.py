"""The cells of the fault matrix, and what each of them must show: rules, not recordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FILES = 5
WORLD = f"sample+small:files={FILES},min=20000,max=40960+big:size=40000000,count=1"
PAGE_LIMIT = 2
BENCH = "/Bench/Bench Project/Project Files"
SMALL = f"{BENCH}/small"
METADATA_S = 2.5
DATA_S = 3.0


LARGE = "range of a large file"
"""Fetched by the process of its own; small ones by the drive's."""

CALLS = {
    "token": ("api", "token", None, "/"),
    "hubs": ("api", "hubs", None, "/"),
    "projects": ("api", "projects", None, "/Bench"),
    "topFolders": ("api", "topFolders", None, "/Bench/Bench Project"),
    "contents": ("api", "contents", 0, SMALL),
    "contents page 2": ("api", "contents", 1, SMALL),
    "item": (
        "api", "item", None,
        "/Emulated Builders ／ Headquarters/Quirks/Project Files/Folders/half of the tips missing",
    ),
    "sign": ("api", "sign", None, f"{SMALL}/small-00003.txt"),
    "range of a small file": ("cdn", None, None, f"{SMALL}/small-00003.txt"),
    LARGE: ("cdn", None, None, f"{BENCH}/big/big-00.bin"),
}  # fmt: skip
"""Kind of call → where the fault strikes, and the path whose listing or bytes ask for it."""

FAULTS: dict[str, dict[str, Any]] = {
    "refused": {},
    "reset before headers": {"kind": "reset_before_headers"},
    "reset after headers": {"kind": "reset_after_headers"},
    "reset mid body": {"kind": "reset_mid_body"},
    "stall before headers": {"kind": "stall_before_headers", "seconds": None},
    "stall mid body": {"kind": "stall_mid_body", "seconds": None},
    "slow drip": {"kind": "drip", "bytes_per_s": 200},
    **{f"{code}": {"kind": "status", "status": code} for code in (401, 403, 404, 408, 409)},
    "429": {"kind": "status", "status": 429},
    "429, Retry-After 1": {"kind": "status", "status": 429, "retry_after": 1},
    "429, Retry-After 60": {"kind": "status", "status": 429, "retry_after": 60},
    **{f"{code}": {"kind": "status", "status": code} for code in (500, 502, 503, 504)},
    "503, Retry-After 60": {"kind": "status", "status": 503, "retry_after": 60},
    "HTML page": {"kind": "html_200"},
    "truncated JSON": {"kind": "truncated_json"},
    "malformed JSON": {"kind": "malformed_json"},
    "wrong JSON types": {"kind": "wrong_json_types"},
    "empty body": {"kind": "empty_body"},
    "short body": {"kind": "short_body"},
    "long body": {"kind": "long_body"},
    "huge headers": {"kind": "huge_headers"},
    "redirect": {"kind": "redirect", "location": "http://127.0.0.1:9/elsewhere"},
    "redirect to a file": {"kind": "redirect", "location": "file:///etc/passwd"},
    "redirect to the metadata address": {
        "kind": "redirect", "location": "http://169.254.169.254/latest/meta-data",
    },
    "page in a circle": {"kind": "page_circle"},
    "next page elsewhere": {"kind": "next_other_host"},
    "wrong Content-Range": {"kind": "wrong_content_range"},
    "200 instead of 206": {"kind": "ok_200_instead_of_206"},
    "wrong bytes": {"kind": "wrong_bytes"},
    "changed ETag": {"kind": "changed_etag"},
    "expired URL": {"kind": "expired_url"},
    "tokens expired": {},
}  # fmt: skip
TIMES: dict[str, int | None] = {"once": 1, "three times": 3, "for ever": None}

JSON_ONLY = {"truncated JSON", "malformed JSON", "wrong JSON types"}
PAGED_ONLY = {"page in a circle", "next page elsewhere"}
RANGE_ONLY = {
    "wrong Content-Range", "200 instead of 206", "wrong bytes", "changed ETag", "expired URL",
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Cell:
    """One box of the matrix."""

    call: str
    fault: str
    times: str

    def __str__(self) -> str:
        return f"{self.call} / {self.fault} / {self.times}"

    @property
    def ranged(self) -> bool:
        return self.call.startswith("range")


@dataclass(frozen=True)
class Outcome:
    """What the user saw: ``right``, ``WRONG``, an errno's name, or the name of a bug."""

    seen: str
    calls: int
    took_s: float
    message: str = ""


def cells() -> list[Cell]:
    """All that make sense: a range has no pages and no JSON, a listing no ETag."""
    found = []
    for call in CALLS:
        for fault in FAULTS:
            ranged = call.startswith("range")
            if (fault in RANGE_ONLY and not ranged) or (ranged and fault in JSON_ONLY | PAGED_ONLY):
                continue
            if fault == "tokens expired":
                found.append(Cell(call, fault, "once"))
                continue
            if fault in PAGED_ONLY and not call.startswith(("contents", "projects")):
                continue
            found += [Cell(call, fault, times) for times in TIMES]
    return found


RETRIED = {
    "refused", "reset before headers", "reset after headers", "reset mid body", "408", "429",
    "429, Retry-After 1", "500", "502", "503", "504", "short body",
}  # fmt: skip
DAMAGED = {"HTML page", "empty body", "huge headers"} | JSON_ONLY
"""Believed to be an accident once. (Headers without end break the conversation: tried again.)"""


EVERYBODYS = {"refused", "401", "429", "429, Retry-After 1", "429, Retry-After 60"}
"""Faults that are none of one item's own, however many calls they strike."""


def expected(cell: Cell) -> set[str]:
    """What the user may see, by the rules of the house; more than one where a race decides."""
    found = _expected(cell)
    if cell.times != "for ever" and cell.call in ("item", "range of a large file"):
        found |= {"right"}  # several calls at once: the fault spreads over them
    if cell.call == "item" and cell.fault not in EVERYBODYS:
        found |= {"right"}  # every name is there; who opens one that is not described gets EACCES
    return found


def _expected(cell: Cell) -> set[str]:
    fault, times = cell.fault, cell.times
    ever = times == "for ever"
    if fault == "tokens expired":
        return {"right"}
    if fault in ("stall before headers", "stall mid body", "slow drip"):
        return _slow(cell)
    if cell.ranged:
        return _ranged(cell)
    if fault in RETRIED:
        if fault == "429, Retry-After 1" and times == "three times":
            return {
                "EBUSY",
                "ETIMEDOUT",
                "right",
            }  # three seconds of waiting, of which the deadline has 2.5
        if not ever:
            return {"right"}
        if fault.startswith("429"):
            return {"EBUSY"} if fault == "429" else {"EBUSY", "ETIMEDOUT"}
        return {"EIO", "ETIMEDOUT"}
    if fault in DAMAGED:
        return _damaged(cell)
    if fault == "long body":
        return {"right"}  # blanks behind a JSON object are no damage
    if fault == "401":
        if cell.call == "token":
            return {"EACCES"}
        return {"right"} if times == "once" else {"EACCES"}
    return {
        "403": {"EACCES"},
        "404": {"ESTALE"},
        "429, Retry-After 60": {"EBUSY"},
        # led back once, the pages that came twice count once
        "page in a circle": {"EIO"} if ever else {"EIO", "right"},
        # only its query is taken over: the host stays ours
        "next page elsewhere": {"right", "EIO"},
    }.get(fault, {"EIO"})


def _damaged(cell: Cell) -> set[str]:
    if cell.fault == "wrong JSON types" and cell.times != "for ever":
        return {"EIO"}  # valid JSON: no accident of the wire, so not asked again
    if cell.fault == "huge headers":
        return {"right"} if cell.times != "for ever" else {"EIO"}
    return {"right"} if cell.times == "once" else {"EIO"}


def _slow(cell: Cell) -> set[str]:
    if cell.fault == "slow drip" and not cell.ranged:
        return {"right", "EIO", "ETIMEDOUT"}  # an answer of a few hundred bytes gets through
    if cell.times == "for ever":
        large = cell.call == "range of a large file" and cell.fault != "stall before headers"
        return {"ETIMEDOUT", "EIO", "right"} if large else {"ETIMEDOUT", "EIO"}
    # silence is borne for a while, so that much of the deadline may be gone by then
    return {"right", "ETIMEDOUT", "EIO"} if cell.times == "three times" else {"right", "ETIMEDOUT"}


def _ranged(cell: Cell) -> set[str]:
    fault, ever = cell.fault, cell.times == "for ever"
    small = "small" in cell.call
    if fault in ("200 instead of 206", "long body") and small:
        return {"right"}  # the whole object was asked for
    if fault in ("reset mid body", "short body"):
        return {"right", "EIO"}  # each try goes on from where the last one broke
    if fault == "empty body":
        # a 200 without a body: not the object
        return {"EIO"} if ever else {"right"}
    if fault == "wrong bytes":
        if not small:
            return {"WRONG"}  # nothing tells, until the file is complete and meets its sha1
        return {"right"} if cell.times == "once" else {"EIO"}
    if fault in ("403", "expired URL"):
        return {"right"} if cell.times == "once" else {"EACCES"}
    if fault == "changed ETag":
        return {"right", "EIO"}  # who read under the odd one is told to open the file again
    if fault in ("401", "404"):
        return {"EACCES" if fault == "401" else "ESTALE"}
    if fault.endswith("Retry-After 60"):
        return {"EBUSY" if fault.startswith("429") else "EIO"}  # beyond the deadline: at once
    if fault == "429, Retry-After 1" and cell.times != "once":
        return {"EBUSY", "ETIMEDOUT"} | (set() if ever else {"right"})
    if fault.startswith("429"):
        return {"EBUSY"} if ever else {"right"}
    return {"EIO"} if ever else {"right"}
