"""How a change goes to the service: once, with a body, at the priority of writes."""

from __future__ import annotations

from collections.abc import Mapping

from dmfs.aps.change.answers import check_folder_change
from dmfs.aps.json_values import Json
from dmfs.aps.signed_in import SignedIn
from dmfs.auth.token_sources import TokenSource
from dmfs.http.json_body import Decode, T
from dmfs.http.json_client import Call, JsonClient
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority, explicit_priority

ANSWER_S = 60.0
"""A change that is silent for so long has an unknown outcome, which costs more than waiting."""
DATA_TYPE = "application/vnd.api+json"
"""Of the Data service's documents; the storage takes ``application/json``, to the letter."""


class Sending:
    """What ``uploads.Uploads`` is made of."""

    def __init__(self, http: JsonClient, tokens: TokenSource, *, x_user_id: str = "") -> None:
        self._service = SignedIn(http, tokens, x_user_id)

    async def _patch(self, action: str, path: str, body: Json, hidden: bool | None = None) -> None:
        call = Call(
            action, "change", "PATCH", path, json=body, content_type=DATA_TYPE, once=True,
            may_be_empty=True, silence_s=ANSWER_S,
        )  # fmt: skip
        await self._send(call, lambda answer: check_folder_change(answer, action, hidden=hidden))

    async def _post(
        self, action: str, route: str, path: str, body: Json, decode: Decode[T], *,
        params: Mapping[str, str] | None = None, silence_s: float = ANSWER_S,
    ) -> T:  # fmt: skip
        call = Call(
            action, route, "POST", path, params or {}, json=body, once=True, silence_s=silence_s,
            content_type=DATA_TYPE if path.startswith("/data/") else "application/json",
        )  # fmt: skip
        return await self._send(call, decode)

    async def _get(
        self, action: str, route: str, path: str, params: Mapping[str, str], decode: Decode[T]
    ) -> T:
        return await self._send(Call(action, route, "GET", path, params), decode)

    async def _send(self, call: Call, decode: Decode[T]) -> T:
        with at_priority(explicit_priority() or RequestPriority(Priority.WRITE)):
            return await self._service.request(call, decode)
