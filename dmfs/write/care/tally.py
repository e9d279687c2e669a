"""Counts what happens to uploads, for metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

OnEvent = Callable[[str, Mapping[str, Any]], None]


class Tally:
    """Passes events on, and counts them by kind: ``upload``, ``conflict``, ``failed`` …"""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._counts = Counter[str]()

    def __call__(self, kind: str, fields: Mapping[str, Any]) -> None:
        self._counts[kind] += 1
        if kind == "upload":
            self._counts["uploaded_bytes"] += fields["size_bytes"]
        self._on_event(kind, fields)

    def gauges(self) -> Mapping[str, int]:
        """Counters, by names such as ``writing.upload``."""
        return {f"writing.{key}": count for key, count in self._counts.items()}
