"""Counting: every call to either origin, by route, and a log of the last 5000."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

LOG_LENGTH = 5000
CALLERS_MAX = 1000
ROUTES = (
    "token", "hubs", "hub", "projects", "project", "topFolders", "folder", "parent", "contents",
    "search", "item", "tip", "versions", "version", "commands", "schema", "sign", "details",
    "signed_resource", "cdn_get", "cdn_head", "other",
    "storage", "upload_urls", "cdn_put", "complete", "copyto", "items_post", "versions_post",
    "folders_post", "folder_patch", "item_patch", "version_patch",
)  # fmt: skip


@dataclass(slots=True)
class Caller:
    """Who calls, as far as a request says: app, user, ``User-Agent`` and a mark of the token.

    A process that signs in for itself has tokens of its own. What goes to the CDN shows none."""

    client: str
    user: str
    agent: str
    token: str
    counts: Counter[str] = field(default_factory=Counter)
    """Calls by route."""

    def as_dict(self) -> dict[str, Any]:
        names = ("client", "user", "agent", "token")
        return {name: getattr(self, name) for name in names} | {"counts": dict(self.counts)}


def token_mark(authorization: str) -> str:
    """12 hex digits of the SHA-256 of a header's token, which tell it from others; '' for none."""
    text = authorization.partition(" ")[2].strip()
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12] if text else ""


class Calls:
    """The control endpoint is not counted."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all calls."""
        self._counts: Counter[str] = Counter()
        self._log: deque[dict[str, Any]] = deque(maxlen=LOG_LENGTH)
        self._callers: OrderedDict[tuple[str, ...], Caller] = OrderedDict()
        self._cdn_bytes = 0
        self._status_429 = 0

    def begin(self, entry: dict[str, Any]) -> None:
        """Count at arrival, so that a call that is never answered is counted too."""
        self._counts[entry["route"]] += 1
        self._log.append(entry)
        key = (entry["client"], entry["user"], entry["agent"], entry["token"])
        caller = self._callers.setdefault(key, Caller(*key))
        caller.counts[entry["route"]] += 1
        self._callers.move_to_end(key)
        if len(self._callers) > CALLERS_MAX:
            self._callers.popitem(last=False)

    def callers(self, where: dict[str, str]) -> list[dict[str, Any]]:
        """Those that are as ``where`` says, who called last at the end."""
        rows = [caller.as_dict() for caller in self._callers.values()]
        return [row for row in rows if all(row[key] == want for key, want in where.items())]

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
