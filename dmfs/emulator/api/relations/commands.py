"""The commands ListRefs and GetPublishModelJob."""

from __future__ import annotations

import uuid

from dmfs.emulator.api import lookup
from dmfs.emulator.api.relations import rows
from dmfs.emulator.api.service import Service
from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.world.model import Item, Json, Project

LIST_REFS = "commands:autodesk.core:ListRefs"
GET_PUBLISH_JOB = "commands:autodesk.bim360:C4RModelGetPublishJob"
_PUBLISH = "commands:autodesk.bim360:C4RModelPublish"
_STATUS = {
    # what null means: the status that says anything else
    "published": {"waiting": "complete", "publishing": "committed", "failed": "failed"},
    "waiting": {"published": "complete", "publishing": "processing", "failed": "failed"},
}


def list_refs(
    service: Service, owner: Project, wanted: list[tuple[str, str]]
) -> tuple[list[Json], list[Json] | None]:
    """Rows for each of the versions, and both ends of all of them with their items."""
    for type_, id_ in wanted:
        if type_ != "versions":
            raise _bad("ListRefs takes versions.")
        lookup.version(service, owner, id_)
    base = service.api_url
    found = rows.seen_from(service.world, (id_ for _, id_ in wanted))
    ends = rows.with_items(end for seen in found for end in (seen.own, seen.other))
    return [_row(service, seen) for seen in found], rows.resources(base, owner, ends) or None


def _row(service: Service, seen: rows.Seen) -> Json:
    """By the example of the reference a row is the other end, and data flow as seen from there.
    The OpenAPI file says that it is the version that was checked."""
    if service.settings.list_refs_rows == "checked":
        seen = seen.turned()
    direction = seen.turned().direction
    meta = rows.meta(service.api_url, seen.ref, direction)
    return {"type": seen.other.type, "id": seen.other.id, "meta": meta}


def publish_job(
    service: Service, owner: Project, wanted: list[tuple[str, str]], user_id: str
) -> Json | None:
    """The command's ``data``. What null stands for is a setting: the sources contradict each
    other."""
    if not user_id:
        raise Refusal(errors.jsonapi(403, "FORBIDDEN", "The command needs a user."))
    if len(wanted) != 1 or wanted[0][0] != "items":
        raise _bad("The command takes one item.")
    item = lookup.item(service, owner, wanted[0][1])
    if not item.type.endswith("autodesk.bim360:C4RModel"):
        raise _bad("The item is no model of Collaboration for Revit.")
    status = _STATUS[service.settings.publish_null].get(state_of(item))
    if status is None:
        return None
    extension = {"type": _PUBLISH, "version": "1.0.0"}
    attributes = {"status": status, "extension": extension}
    return {"type": "commands", "id": str(uuid.uuid4()), "attributes": attributes}


def state_of(item: Item) -> str:
    """As set; else a model with bytes is published, and one without waits for it."""
    if item.publish_state:
        return item.publish_state
    return "waiting" if item.tip.storage is None else "published"


def _bad(detail: str) -> Refusal:
    return Refusal(errors.jsonapi(400, "BAD_INPUT", detail))
