"""Published rate limits (facts 5.1): per client id and endpoint, in fixed windows of a minute.

A window starts with the first call after the last one ended, so a client that comes back after
Retry-After finds the whole quota again. (In life the window's kind is not published.)
"""

from __future__ import annotations

import math
import time

from dmfs.emulator.settings import Settings

PUBLISHED_PER_MIN: dict[str, int] = {
    "hubs": 50, "hub": 50, "projects": 50, "project": 50, "parent": 50, "tip": 50,
    "topFolders": 300, "folder": 300, "contents": 300, "search": 300, "item": 300,
    "version": 300, "commands": 300, "versions": 800, "token": 500, "oss": 1000,
    "storage": 300, "versions_post": 300, "items_post": 50, "folders_post": 50,
    "folder_patch": 50, "item_patch": 50, "version_patch": 50,
    "project_hub": 50, "item_parent": 50, "version_item": 50, "download_formats": 50, "refs": 50,
    "version_downloads": 50, "downloads_post": 50, "item_refs": 300, "job": 300, "download": 300,
}  # fmt: skip
"""By bucket: a route's name, or ``oss`` for all OSS routes together."""


class Limits:
    """Who has called what how often in the current window."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}

    def reset(self) -> None:
        self._windows.clear()

    def retry_after_s(self, client_id: str, bucket: str) -> int | None:
        """Count one call; None if it is within the limit, else how long to stay away."""
        mode = self._settings.rate_limits
        published = PUBLISHED_PER_MIN.get(bucket)
        if mode == "off" or published is None:
            return None
        scale = 1.0 if mode == "published" else float(mode)
        limit = max(1, int(published * scale))
        now = time.monotonic()
        window_s = self._settings.rate_window_s
        began, count = self._windows.get((client_id, bucket), (now, 0))
        if now - began >= window_s:
            began, count = now, 0
        # Calls over the limit do not count: a client that hammers is not punished for longer.
        if count < limit:
            self._windows[client_id, bucket] = (began, count + 1)
            return None
        return max(1, math.ceil(began + window_s - now))
