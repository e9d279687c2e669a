"""Everything about writing that is no part of the world."""

from __future__ import annotations

from dataclasses import dataclass, field

from dmfs.emulator.writing.uploads import Uploads


@dataclass
class Writing:
    """Uploads in the making."""

    uploads: Uploads = field(default_factory=Uploads)
