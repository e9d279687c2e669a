"""What a relation means to a person: which version it points at, and whether that is the newest.
Pure."""

from __future__ import annotations

import enum
from typing import Any

from dmfs.aps.questions.refs import Relation, number_of
from dmfs.jobs.relations.places import Found
from dmfs.model import File, Shortcut


class State(enum.Enum):
    """Of what is at the other end."""

    CURRENT = "current"
    """It is the newest version, or all of them."""
    STALE = "stale"
    """A newer version is there."""
    DELETED = "deleted"
    HIDDEN = "not visible"
    """The service does not show it to this user."""
    UNKNOWN = "unknown"
    """Nobody told which version is the newest."""


def fields_of(relation: Relation, found: Found) -> dict[str, Any]:
    """A relation as an event and ``--json`` have it."""
    other = relation.other
    tip = _tip_number(relation, found)
    state = _state(relation, tip, found)
    name = other.name or (found.node.name if found.node is not None else "")
    return {
        "direction": "uses" if relation.uses else "used by",
        "type": relation.kind,
        "nesting": relation.nesting,
        "name": name,
        "path": "" if state is State.DELETED else found.path,
        "state": state.value,
        "version_number": other.version_number,
        "tip_number": tip,
        "is_tip": {State.CURRENT: True, State.STALE: False}.get(state),
        "kind": other.kind,
        "item_id": other.item_id,
        "version_id": other.id if other.kind == "versions" else "",
        "folder_id": other.id if other.kind == "folders" else other.folder_id,
        "of_version_id": relation.version_id,
        "extension_type": other.extension_type,
    }


def _tip_number(relation: Relation, found: Found) -> int | None:
    """The newest that anybody names: an answer may be older than a listing, and the other way
    round."""
    named = [number_of(relation.other.tip_id)]
    if isinstance(found.node, File | Shortcut):
        named.append(found.node.version_number)
    numbers = [each for each in named if each is not None]
    return max([*numbers, relation.other.version_number or 0]) if numbers else None


def _state(relation: Relation, tip: int | None, found: Found) -> State:
    other = relation.other
    if other.is_deleted:
        return State.DELETED
    if found.is_refused:
        return State.HIDDEN
    if other.kind != "versions":
        return State.CURRENT
    if tip is None or other.version_number is None:
        return State.UNKNOWN
    return State.STALE if other.version_number < tip else State.CURRENT
