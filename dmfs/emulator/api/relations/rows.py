"""References as rows: which there are, seen from one end, and what is at the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dmfs.emulator.api import jsonapi
from dmfs.emulator.world.model import (
    End,
    Folder,
    Item,
    Json,
    Project,
    Ref,
    World,
    is_revoked,
    project_of,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A reference from one of its ends."""

    ref: Ref
    own: End
    other: End

    @property
    def direction(self) -> str:
        """Where data flow: ``from`` the other end, or ``to`` it."""
        return "from" if self.other is self.ref.source else "to"

    def row(self, base: str) -> Json:
        """The other end, and what binds the two."""
        return {
            "type": self.other.type,
            "id": self.other.id,
            "meta": meta(base, self.ref, self.direction),
        }

    def turned(self) -> Seen:
        """From the other end."""
        return Seen(self.ref, self.other, self.own)


def seen_from(world: World, ids_: Iterable[str]) -> list[Seen]:
    """All references that have one of these ids at an end, in the order of the ids."""
    found = []
    for id_ in ids_:
        for ref in world.refs:
            for own, other in ((ref.target, ref.source), (ref.source, ref.target)):
                if own.id == id_:
                    found.append(Seen(ref, own, other))
    return found


def meta(base: str, ref: Ref, direction: str) -> Json:
    """``meta`` of a row. Data flow from what is referred to, to what refers to it."""
    kind, version = ref.extension_type, ref.extension_version
    return {
        "refType": ref.kind,
        "fromId": ref.source.id,
        "fromType": ref.source.type,
        "toId": ref.target.id,
        "toType": ref.target.type,
        "direction": direction,
        "extension": {
            "type": kind,
            "version": version,
            "schema": {"href": f"{base}/schema/v1/versions/{kind}-{version}"},
            "data": dict(ref.data),
        },
    }


def in_sight(owner: Project, node: Folder | Item) -> bool:
    """Whether who may see the project may see this of it; what was deleted counts."""
    return project_of(node) is owner and not is_revoked(node)


def resource(base: str, end: End) -> Json:
    """What is at an end, whole."""
    if isinstance(end.node, Folder):
        return jsonapi.folder(base, end.node)
    if end.at is None:
        return jsonapi.item(base, end.node)
    return jsonapi.version(base, end.node, end.at)


def resources(base: str, owner: Project, ends: Iterable[End]) -> list[Json]:
    """What is at some ends, each once, as far as it is in sight."""
    found = {end.id: end for end in ends if in_sight(owner, end.node)}
    return [resource(base, end) for end in found.values()]


def with_items(ends: Iterable[End]) -> list[End]:
    """The items of versions, and then the ends themselves."""
    all_ends = list(ends)
    return [End(end.node) for end in all_ends if isinstance(end.node, Item)] + all_ends
