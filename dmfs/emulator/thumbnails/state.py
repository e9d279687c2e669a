"""Which version has a picture of which kind: settings, and how often each was called for."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from dmfs.emulator.world import ids
from dmfs.emulator.world.model import DELETED_VERSION, Json, Version

KINDS = (
    "png", "not_yet", "none", "forbidden", "jpeg", "heavy", "huge", "truncated", "damaged",
    "wrong_type", "empty", "web_page",
)  # fmt: skip
"""``heavy``: above 64 KiB from 200 pixels on; ``huge``: in every size; ``damaged``: a byte in it is
another one; ``wrong_type``: a PNG that calls itself text."""
_MODELS = frozenset(
    "rvt rfa rte rft nwd nwc nwf ifc dwg dxf dwf dwfx dgn skp step stp stl obj ipt iam idw f3d f3z"
    " fbx 3dm 3ds sldprt sldasm catpart catproduct prt asm rcp rcs pdf gbxml".split()
)
"""What the service makes pictures of."""
_DESIGNS = ("versions:autodesk.fusion360:", "versions:autodesk.bim360:C4RModel")


@dataclass(slots=True)
class ThumbnailSettings:
    """See ``docs/emulator.md``."""

    kind: str = "png"
    by_name: dict[str, str] = field(default_factory=dict)
    """Kinds by patterns (as of ``fnmatch``) of a version's name; the first counts."""
    not_yet_share: float = 0.0
    not_yet_status: int = 202
    scopes_needed: bool = True
    """In ``b.`` projects a call without the ``scopes`` of the link is refused (403)."""
    region_needed: bool = True
    """A picture is known in the region of its hub alone."""

    def update(self, changes: Json) -> None:
        """Set several at once; ValueError names what makes no sense."""
        for key, value in changes.items():
            if key not in _CHECKS:
                raise ValueError(f"unknown setting {key!r}")
            if not _CHECKS[key](value):
                raise ValueError(f"{key} cannot be {value!r}")
            setattr(self, key, value)


_CHECKS: dict[str, Any] = {
    "kind": lambda value: value in KINDS,
    "by_name": lambda value: isinstance(value, dict) and set(value.values()) <= set(KINDS),
    "not_yet_share": lambda value: isinstance(value, int | float) and 0 <= value <= 1,
    "not_yet_status": lambda value: value in (202, 404),
    "scopes_needed": lambda value: isinstance(value, bool),
    "region_needed": lambda value: isinstance(value, bool),
}


class Thumbnails:
    """Of one emulator."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.settings = ThumbnailSettings()
        self.calls: Counter[str] = Counter()
        """By version id."""

    def kind_of(self, version: Version) -> str:
        """Which of ``KINDS`` a version has."""
        name = (version.name or version.display_name or "").lower()
        for pattern, kind in self.settings.by_name.items():
            if fnmatchcase(name, pattern.lower()):
                return kind
        if version.type == DELETED_VERSION or not _has_one(version, name):
            return "none"
        chance = int.from_bytes(ids.digest("picture " + version.id)[:4], "big") / 2**32
        return "not_yet" if chance < self.settings.not_yet_share else self.settings.kind

    def as_dict(self) -> Json:
        return {"settings": asdict(self.settings), "calls": dict(self.calls)}


def _has_one(version: Version, name: str) -> bool:
    if version.type.startswith(_DESIGNS):
        return True
    return version.storage is not None and name.rpartition(".")[2] in _MODELS
