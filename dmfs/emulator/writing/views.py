"""What is shown of it: timelines of items, open sessions, storages that nothing uses."""

from __future__ import annotations

from typing import Any

from dmfs.emulator.world import content_threads
from dmfs.emulator.world.model import Item, Storage, Version
from dmfs.emulator.writing.state import Writing

_DIGEST_UP_TO_BYTES = 4 * 1024**3


async def writes(writing: Writing) -> dict[str, Any]:
    """``items``, ``events``, ``sessions`` that are open, ``orphans``."""
    placeholders = writing.uploads.placeholders.values()
    orphans = [
        {
            "storage": each.urn,
            "name": each.name,
            "target": each.target_id,
            "user": each.user_id,
            "t": each.created_s,
            "complete": each.storage is not None,
            "size": each.storage.content.size if each.storage else None,
        }
        for each in placeholders
        if not each.used_by
    ]
    sessions = [
        {
            "storage": each.placeholder.urn,
            "name": each.placeholder.name,
            "user": each.placeholder.user_id,
            "began": each.began_s,
            "ends": each.ends_s,
            "multipart": each.is_multipart,
            "bytes": each.size_bytes,
            "parts": {str(n): each.parts[n].content.size for n in sorted(each.parts)},
        }
        for each in writing.uploads.sessions.values()
        if not each.done and not each.is_over
    ]
    items = [await timeline(writing, item) for item in list(writing.history.items.values())]
    events = list(writing.history.events)
    return {"items": items, "events": events, "sessions": sessions, "orphans": orphans}


async def timeline(writing: Writing, item: Item) -> dict[str, Any]:
    """An item and all its versions, oldest first, with the digests of their bytes."""
    return {
        "id": item.id,
        "name": item.display_name if item.tip.name is None else item.tip.name,
        "folder": item.parent.id,
        "hidden": item.hidden,
        "versions": [await _version(writing, version) for version in list(item.versions)],
    }


async def _version(writing: Writing, version: Version) -> dict[str, Any]:
    made_s, who = writing.history.made.get(version.id, (None, None))
    storage = version.storage
    return {
        "id": version.id,
        "number": version.number,
        "name": version.name,
        "deleted": version.type.endswith(":Deleted"),
        "t": made_s,
        "time": version.create_time,
        "user": version.user[0],
        "client": who[0] if who else None,
        "storage": storage.urn if storage else None,
        "size": storage.content.size if storage else None,
        "sha256": await sha256(storage) if storage else None,
    }


async def sha256(storage: Storage) -> str | None:
    """The digest; None above 4 GiB."""
    if storage.content.size > _DIGEST_UP_TO_BYTES:
        return None
    if storage.sha256 is None:
        storage.sha256 = await content_threads.digest(storage.content, "sha256")
    return storage.sha256
