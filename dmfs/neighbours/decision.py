"""Who may open what, and whether bytes may be fetched for it. Pure."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from dmfs.neighbours.table import Kind
from dmfs.spans import MIB

SMALL_BYTES = 4 * MIB
"""A photo as cameras make them, or some pages of a PDF; a larger one costs more than its picture is
worth."""
PICTURES = frozenset({
    "jpg", "jpeg", "jpe", "png", "gif", "bmp", "webp", "tif", "tiff", "svg", "heic", "heif", "avif",
    "ico", "pdf",
})  # fmt: skip
"""Extensions of images and of PDFs."""
POLITE, OPEN, CLOSED = "polite", "open", "closed"
POLICIES = (POLITE, OPEN, CLOSED)


class Caller(NamedTuple):
    """The program that opens."""

    kind: Kind | None
    """Of the table; None for all others."""
    has_terminal: bool = False
    """Whether it has a controlling terminal: then a person started it."""


class What(NamedTuple):
    """The file that it opens."""

    size_bytes: int | None
    """None where it is not known."""
    extension: str
    """In small letters, without its dot."""
    cached: bool
    """Whether all of it is on this machine."""


class Verdict(Enum):
    """How a file may be opened."""

    FREELY = "freely"
    """As by anybody."""
    CACHED = "cached"
    """Without a call of the service: from the cache alone."""
    ALONE = "alone"
    """Its bytes are fetched, and nothing ahead of them."""
    REFUSED = "refused"


def is_gated(policy: str, caller: Caller) -> bool:
    """Whether it depends on the file at all. Never for what a person started."""
    return policy != OPEN and caller.kind is not None and not caller.has_terminal


def decide(policy: str, caller: Caller, what: What) -> Verdict:
    """``policy`` is one of ``POLICIES``."""
    if not is_gated(policy, caller):
        return Verdict.FREELY
    if what.cached:
        return Verdict.CACHED
    if policy == CLOSED or caller.kind is not Kind.THUMBNAILER:
        return Verdict.REFUSED
    is_small = what.size_bytes is not None and what.size_bytes <= SMALL_BYTES
    return Verdict.ALONE if is_small and what.extension in PICTURES else Verdict.REFUSED


def extension_of(name: str) -> str:
    """``Plan.PDF`` → ``pdf``; '' where there is none."""
    stem, dot, extension = name.rpartition(".")
    return extension.lower() if dot and stem else ""
