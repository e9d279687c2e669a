"""Whether a disk is worth asking: one warning and a pause after a failure, and back again. Floor 2.

Reading and writing fail on their own: a disk that is full or read-only is still read from.
"""

from __future__ import annotations

import logging
from typing import Literal

import trio

Kind = Literal["read", "write"]

PAUSE_S = 5.0
"""A disk that failed is left alone for that long. To look again costs one failed call; a hang
costs its patience, but is not looked at while a thread is still in it."""
WARN_AGAIN_S = 60.0
"""A disk with a few bad sectors works and fails in turns."""


class DiskHealth:
    """What is known of one disk; ``what`` and ``consequence`` are the words of its warning."""

    def __init__(self, log: logging.Logger, what: str, consequence: str) -> None:
        self._log, self._what, self._consequence = log, what, consequence
        self.pause_s = PAUSE_S
        self._back_at: dict[Kind, float] = {"read": 0.0, "write": 0.0}
        self._ailing: set[Kind] = set()
        """What failed and has not worked since."""
        self._warned_at = float("-inf")

    def usable(self, kind: Kind) -> bool:
        """Whether the pause is over, if there was one."""
        return trio.current_time() >= self._back_at[kind]

    def worked(self, kind: Kind) -> None:
        """Bytes came or went. Not of an index: SQLite answers from memory while its disk is dead.
        Who can write can read."""
        if self._ailing and (kind == "write" or self._ailing == {"read"}):
            self._ailing.clear()
            self._log.info("%s works again", self._what)

    def failed(self, kind: Kind, error: Exception) -> None:
        """A pause (what cannot be read is not written to either), and a warning if it is the first
        since all was well."""
        now = trio.current_time()
        again = bool(self._ailing) or now < self._warned_at + WARN_AGAIN_S
        level = logging.DEBUG if again else logging.WARNING
        self._log.log(level, "%s fails (%s); %s", self._what, error, self._consequence)
        if not again:
            self._warned_at = now
        self._ailing.add(kind)
        self._back_at["write"] = now + self.pause_s
        if kind == "read":
            self._back_at["read"] = now + self.pause_s
