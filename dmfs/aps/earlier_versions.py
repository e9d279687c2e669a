"""Versions below the tip of an item, by their number."""

from __future__ import annotations

from dmfs.aps.contents import decode_version
from dmfs.aps.json_values import Json
from dmfs.aps.signed_in import SignedIn, path_id
from dmfs.auth.token_sources import TokenSource
from dmfs.errors import BadResponseError, GoneError
from dmfs.http.json_client import Call, JsonClient
from dmfs.model import File, Project
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority, explicit_priority

ACTION = "look at an earlier version"


class EarlierVersions:
    """Made like ``aps.client.Aps``, of the same JsonClient and source of tokens."""

    def __init__(self, http: JsonClient, tokens: TokenSource, *, x_user_id: str = "") -> None:
        self._service = SignedIn(http, tokens, x_user_id)

    async def of(self, tip: File, number: int) -> File | None:
        """Another version of the item that ``tip`` is a version of: one call. None if there is no
        such one, or it has no bytes (a tombstone)."""
        before, mark, _ = tip.version_id.rpartition("?version=")
        if not mark or number < 1:
            return None
        path = f"/data/v1/projects/{path_id(tip.project_id)}/versions"
        call = Call(ACTION, "version", "GET", f"{path}/{path_id(f'{before}{mark}{number}')}", {})
        project = Project(tip.project_id, tip.hub_id, "")

        def decode(answer: Json) -> File | None:
            row = answer.get("data")
            if not isinstance(row, dict):
                raise BadResponseError(f"cannot {ACTION}: the answer holds no version")
            try:
                file = decode_version(row, tip.item_id, ACTION, project)
            except BadResponseError:
                return None
            return file if file.version_number == number else None

        with at_priority(explicit_priority() or RequestPriority(Priority.WRITE)):
            try:
                return await self._service.request(call, decode)
            except GoneError:
                return None
