"""Whether newer edits of a Revit cloud model wait to be published: the command GetPublishModelJob.

What is synchronized in Revit is seen here only when somebody publishes it. The command answers with
the job that published last, and with ``null`` since the next synchronization. (Autodesk's OpenAPI
file says the opposite of ``null``; the reference page, and those who use it, say this.)
"""

from __future__ import annotations

import enum
from typing import NamedTuple

import cachetools
import trio

from dmfs.aps.client import Aps
from dmfs.aps.json_values import Json, dig, parse_time_ns, text
from dmfs.aps.sending import DATA_TYPE
from dmfs.aps.signed_in import path_id
from dmfs.errors import BadResponseError, DriveError
from dmfs.http.json_client import Call
from dmfs.model import File, ItemId, Node, ProjectId, Shortcut
from dmfs.system.concurrency import deadline

MODEL = ":C4RModel"
REMEMBERED_S = 60.0
REMEMBERED = 1000
ANSWER_S = 10.0
"""A program that copies attributes waits for it."""
_REFUSALS = frozenset({400, 403, 404, 409, 410, 423})
"""Statuses by which the service says that it will not say."""


class PublishState(enum.Enum):
    """In words, as they are shown."""

    PUBLISHED = "published"
    NEEDS_PUBLISHING = "needs publishing"
    PUBLISHING = "publishing"
    FAILED = "publishing failed"
    UNKNOWN = "unknown"


_BY_STATUS = {
    "complete": PublishState.PUBLISHED,
    "completed": PublishState.PUBLISHED,
    "success": PublishState.PUBLISHED,
    "accepted": PublishState.PUBLISHING,
    "committed": PublishState.PUBLISHING,
    "queued": PublishState.PUBLISHING,
    "pending": PublishState.PUBLISHING,
    "inprogress": PublishState.PUBLISHING,
    "processing": PublishState.PUBLISHING,
    "failed": PublishState.FAILED,
}


class Publication(NamedTuple):
    """How a model is published. Times are in nanoseconds since the epoch, None where the service
    tells none."""

    state: PublishState
    published_ns: int | None
    """Of its newest version; None for a model without one that has bytes."""
    changed_ns: int | None


def is_model(node: Node) -> bool:
    """Whether it is a Revit cloud model: nothing else is published."""
    return isinstance(node, File | Shortcut) and node.extension_type.endswith(MODEL)


class PublishStates:
    """Asks, and remembers for a minute."""

    def __init__(self, aps: Aps) -> None:
        self._aps = aps
        self._states: cachetools.TTLCache[ItemId, PublishState] = cachetools.TTLCache(
            REMEMBERED, REMEMBERED_S, timer=trio.current_time
        )
        self._locks: dict[ItemId, trio.Lock] = {}

    async def of(self, node: Node) -> PublishState | None:
        """One call at most, within ``ANSWER_S``; None for what is never published. UNKNOWN where
        the service does not say. DriveErrors of the network and of the sign-in."""
        if not isinstance(node, File | Shortcut) or not is_model(node):
            return None
        # many programs may look at one model at once
        lock = self._locks.setdefault(node.item_id, trio.Lock())
        try:
            async with lock:
                state = self._states.get(node.item_id)
                if state is None:
                    state = self._states[node.item_id] = await self._ask(node)
                return state
        finally:
            if not lock.locked():
                self._locks.pop(node.item_id, None)

    async def _ask(self, model: File | Shortcut) -> PublishState:
        action = "ask whether a model is published"
        call = Call(
            action, "commands", "POST", f"{_project(model.project_id)}/commands",
            json=question(model.item_id), content_type=DATA_TYPE,
        )  # fmt: skip
        try:
            with deadline(ANSWER_S, action):
                return await self._aps.service.request(call, decode_state)
        except DriveError as error:
            if error.status in _REFUSALS or isinstance(error, BadResponseError):
                return PublishState.UNKNOWN
            raise

    async def publication(self, node: Node) -> Publication | None:
        """Two calls at most; None for what is never published. No DriveErrors: what cannot be asked
        is UNKNOWN, and the times are those of the listing."""
        if not isinstance(node, File | Shortcut) or not is_model(node):
            return None
        state, action = PublishState.UNKNOWN, "ask when a model was changed"
        path = f"{_project(node.project_id)}/items/{path_id(node.item_id)}"
        try:
            state = await self.of(node) or state
            with deadline(ANSWER_S, action):
                call = Call(action, "item", "GET", path)
                return Publication(state, *await self._aps.service.request(call, decode_moments))
        except DriveError:
            listed_ns = node.mtime_ns if isinstance(node, File) else 0
            return Publication(state, listed_ns or None, None)


def _project(project_id: ProjectId) -> str:
    return f"/data/v1/projects/{path_id(project_id)}"


def question(item_id: ItemId) -> Json:
    """What is posted."""
    return {
        "jsonapi": {"version": "1.0"},
        "data": {
            "type": "commands",
            "attributes": {
                "extension": {
                    "type": "commands:autodesk.bim360:C4RModelGetPublishJob", "version": "1.0.0"
                }
            },
            "relationships": {"resources": {"data": [{"type": "items", "id": item_id}]}},
        },
    }  # fmt: skip


def decode_state(answer: Json) -> PublishState:
    """The state of an answer; UNKNOWN for a status that nobody knows."""
    if "data" in answer and answer["data"] is None:
        return PublishState.NEEDS_PUBLISHING
    status = text(answer, "data", "attributes", "status").lower()
    return _BY_STATUS.get(status, PublishState.UNKNOWN)


def decode_moments(answer: Json) -> tuple[int | None, int | None]:
    """When it was published and when it was changed last, of ``GET items/:id`` with the tip in
    ``included``."""
    item = answer.get("data")
    tip_id = text(item, "relationships", "tip", "data", "id")
    included = answer.get("included")
    rows = included if isinstance(included, list) else []
    tip = next((row for row in rows if text(row, "id") == tip_id), None)
    published_ns = None
    if dig(tip, "relationships", "storage", "data"):
        published_ns = parse_time_ns(text(tip, "attributes", "createTime"))
    changed_ns = parse_time_ns(text(item, "attributes", "lastModifiedTime"))
    return published_ns, changed_ns
