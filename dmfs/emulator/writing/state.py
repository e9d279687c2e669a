"""Everything about writing that is no part of the world."""

from __future__ import annotations

from dataclasses import dataclass, field

from dmfs.emulator.writing.history import History
from dmfs.emulator.writing.looks import Looks
from dmfs.emulator.writing.uploads import Uploads
from dmfs.emulator.writing.violations import Violations


@dataclass
class Writing:
    """Uploads in the making, what was done, by whom, and what was wrong with it."""

    uploads: Uploads = field(default_factory=Uploads)
    history: History = field(default_factory=History)
    looks: Looks = field(default_factory=Looks)
    violations: Violations = field(default_factory=Violations)
