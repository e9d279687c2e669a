"""Whether a disk works: one warning and a pause after a failure, then the next try.

Reading and writing fail independently: a full or read-only disk still answers reads.
"""

from __future__ import annotations

import logging
from typing import Literal

from dmfs.system.backoff import Cooldown

Kind = Literal["read", "write"]

PAUSE_S = 5.0
"""No calls to a disk for so long after a failure. A try costs one failed call, or the patience of
``DiskThreads`` if the disk hangs."""
WARN_AGAIN_S = 60.0
"""A disk with a few bad sectors works and fails by turns."""


class DiskHealth:
    """The state of one disk. ``name`` and ``consequence`` are parts of its warning."""

    def __init__(self, log: logging.Logger, name: str, consequence: str) -> None:
        self._log, self._name, self._consequence = log, name, consequence
        self._cooldowns: dict[Kind, Cooldown] = {
            "read": Cooldown(PAUSE_S), "write": Cooldown(PAUSE_S),
        }  # fmt: skip
        self._failing: set[Kind] = set()
        """Kinds of calls that failed and have not worked since."""
        self._warnings = Cooldown(WARN_AGAIN_S)

    def set_pause(self, pause_s: float) -> None:
        """Replace PAUSE_S for this disk, from its next failure on."""
        for cooldown in self._cooldowns.values():
            cooldown.pause_s = pause_s

    def usable(self, kind: Kind) -> bool:
        """Whether a call of this kind may be tried now."""
        return self._cooldowns[kind].is_over

    def worked(self, kind: Kind) -> None:
        """A call moved bytes; a write that works ends the failure of reads too.

        Not for calls to an index: SQLite answers from memory while its disk is dead.
        """
        if self._failing and (kind == "write" or self._failing == {"read"}):
            self._failing.clear()
            self._log.info("%s works again", self._name)

    def failed(self, kind: Kind, error: Exception) -> None:
        """Start a pause (of writes too if a read failed), and warn of the first failure since the
        disk worked."""
        again = bool(self._failing) or not self._warnings.is_over
        level = logging.DEBUG if again else logging.WARNING
        self._log.log(level, "%s fails (%s); %s", self._name, error, self._consequence)
        if not again:
            self._warnings.start()
        self._failing.add(kind)
        self._cooldowns["write"].start()
        if kind == "read":
            self._cooldowns["read"].start()
