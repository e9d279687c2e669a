"""Counting: every call to either origin, by route, and a log of the last 5000."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

LOG_LENGTH = 5000
ROUTES = (
    "token", "hubs", "hub", "projects", "project", "topFolders", "folder", "parent", "contents",
    "search", "item", "tip", "versions", "version", "commands", "schema", "sign", "details",
    "signed_resource", "cdn_get", "cdn_head", "other",
    "storage", "upload_urls", "cdn_put", "complete", "copyto", "items_post", "versions_post",
    "folders_post", "folder_patch", "item_patch", "version_patch",
)  # fmt: skip


class Calls:
    """The control endpoint is not counted."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._counts: Counter[str] = Counter()
        self._log: deque[dict[str, Any]] = deque(maxlen=LOG_LENGTH)
        self._cdn_bytes = 0
        self._status_429 = 0

    def begin(self, entry: dict[str, Any]) -> None:
        """Count at arrival, so that a call that is never answered is counted too."""
        self._counts[entry["route"]] += 1
        self._log.append(entry)

    def end(self, entry: dict[str, Any], status: int, sent_bytes: int) -> None:
        """Fill in what became of it (status 0: silence or a reset)."""
        entry["status"], entry["bytes"] = status, sent_bytes
        if entry["origin"] == "cdn":
            self._cdn_bytes += sent_bytes
        if status == 429:
            self._status_429 += 1

    def as_dict(self) -> dict[str, Any]:
        counts = {route: self._counts[route] for route in ROUTES} | dict(self._counts)
        return {
            "counts": counts,
            "cdn_bytes": self._cdn_bytes,
            "status_429": self._status_429,
            "log": list(self._log),
        }
