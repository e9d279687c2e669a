"""What was made, renamed, deleted and restored since the start, in the order of its doing."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from dmfs.emulator.world.model import Folder, Item, Version
from dmfs.emulator.writing.looks import Who

_EVENTS_MAX = 20_000


@dataclass
class History:
    """``items``: those that were written; ``made``: moment and maker of each new version."""

    items: dict[str, Item] = field(default_factory=dict)
    made: dict[str, tuple[float, Who | None]] = field(default_factory=dict)
    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_EVENTS_MAX))

    def version(self, item: Item, version: Version, who: Who | None, what: str) -> None:
        """A version was made, by a client or (None) by a control order."""
        now_s = time.time()
        self.items[item.id] = item
        self.made[version.id] = (now_s, who)
        storage = version.storage
        self.events.append(
            _event(now_s, what, who, item.id)
            | {
                "folder": item.parent.id,
                "number": version.number,
                "name": version.name,
                "storage": storage.urn if storage else None,
                "size": storage.content.size if storage else None,
                "user": version.user[0],
            }
        )

    def node(self, node: Folder | Item, who: Who | None, what: str) -> None:
        """A folder was made or changed, or an item without a new version."""
        event = _event(time.time(), what, who, node.id)
        name = node.name if isinstance(node, Folder) else node.display_name
        parent = node.parent.id if node.parent is not None else None
        self.events.append(event | {"folder": parent, "name": name, "user": who[1] if who else ""})


def _event(now_s: float, what: str, who: Who | None, id_: str) -> dict[str, Any]:
    return {"t": now_s, "what": what, "id": id_, "client": who[0] if who else None}
