"""What may befall a random walk."""

from __future__ import annotations

from typing import Any

LAG_S = 1.0
NAMES = ("a.dwg", "b.dwg", "c.dwg", "d.txt", "e.txt")
FAULTS: list[dict[str, Any]] = [
    {"kind": kind, "route": route}
    for kind in ("reset_before_effect", "reset_before_headers", "truncated_json")
    for route in ("storage", "upload_urls", "complete", "items_post", "versions_post", "item")
] + [
    {"kind": "status", "status": status, "route": route}
    for status in (500, 503)
    for route in ("storage", "upload_urls", "complete", "items_post", "versions_post", "contents")
] + [
    {"kind": "late_effect", "seconds": 0.5, "route": "versions_post"},
    {"kind": "late_effect", "seconds": 0.5, "route": "items_post"},
    {"kind": "corrupt_upload", "route": "cdn_put"},
    {"kind": "slow_down", "route": "cdn_put"},
    {"kind": "reset_mid_upload", "route": "cdn_put"},
    {"kind": "status", "status": 429, "route": "versions_post"},
    {"kind": "status", "status": 401, "route": "items_post"},
]  # fmt: skip
LOST: tuple[dict[str, Any], ...] = (
    {"kind": "reset_before_headers"},
    {"kind": "reset_before_effect"},
    {"kind": "late_effect", "seconds": 0.3},
)
LEVELS = ("view", "upload", "edit", None)
"""Of permission in a folder."""
