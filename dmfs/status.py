"""What a drive knows of itself, as one plain object."""

from __future__ import annotations

from typing import Any

from dmfs.drive import Drive


async def status_of(drive: Drive) -> dict[str, Any]:
    """JSON values; durations seconds, sizes bytes."""
    gauges = drive.gauges()
    settings = drive.settings
    return {
        "state": "offline" if drive.parts.client.breaker.is_open else "online",
        "cache": {
            "limit_bytes": settings.cache_size,
            "memory_bytes": gauges["memory_bytes"],
            "memory_limit_bytes": settings.memory_budget,
        },
        "listings": {
            "known": gauges["listings.cached"],
            "entries": gauges["listings.entries"],
        },
        "open_files": gauges.get("files", 0),
    }
