"""What a client must not do: counted, with where and by whom."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import Any

KINDS = (
    "used_storage_posted", "moved_tip_overwritten", "local_name_created", "part_sent_again",
    "completion_unchecked", "authorization_at_storage", "repeated_without_look",
    "same_bytes_version",
)  # fmt: skip
_ROWS_MAX = 1000


class Violations:
    """Counts by kind, and the last 1000 in full."""

    def __init__(self) -> None:
        self.paused = False
        """What happens is no client's doing now: an effect that comes late."""
        self.reset()

    def reset(self) -> None:
        self._counts: Counter[str] = Counter()
        self._rows: deque[dict[str, Any]] = deque(maxlen=_ROWS_MAX)

    def add(self, kind: str, client_id: str, user_id: str, **facts: Any) -> None:
        """One more; ``facts`` say what it was about."""
        assert kind in KINDS
        if self.paused:
            return
        self._counts[kind] += 1
        row = {"t": time.time(), "kind": kind, "client": client_id, "user": user_id}
        self._rows.append(row | facts)

    def as_dict(self) -> dict[str, Any]:
        counts = {kind: self._counts[kind] for kind in KINDS}
        return {
            "total": self._counts.total(),
            "counts": counts,
            "violations": list(self._rows),
        }
