"""``POST items`` and ``PATCH items/:i``."""

from __future__ import annotations

import time
import uuid

from dmfs.emulator.api import jsonapi, lookup
from dmfs.emulator.api.service import Service
from dmfs.emulator.api.writing import access, making, payload
from dmfs.emulator.api.writing.payload import Actor, bad
from dmfs.emulator.http.errors import JSONAPI_TYPE
from dmfs.emulator.http.messages import Answer, Request, json_answer
from dmfs.emulator.sign_in.tokens import Token
from dmfs.emulator.world.changing.moments import touch
from dmfs.emulator.world.model import DELETED_VERSION, Item, Json, Project


async def create(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """201 with a new item and its first version, of an upload or of another version."""
    owner = lookup.project(service, token, args[0])
    actor, data = payload.actor(request, token), payload.document(request)
    payload.want_version(data, "items")
    if "copyFrom" in request.query:
        item = _copy(service, actor, owner, data, request.query["copyFrom"])
    else:
        item = _new(service, request, actor, owner, data)
    body = jsonapi.document(
        jsonapi.item_url(service.api_url, item),
        jsonapi.item(service.api_url, item),
        included=[jsonapi.version(service.api_url, item, item.tip)],
        meta={"bim360DmCommandId": str(uuid.uuid4())},
    )
    return json_answer(body, 201, JSONAPI_TYPE)


def _new(service: Service, request: Request, actor: Actor, owner: Project, data: Json) -> Item:
    included = data["included"]
    if not isinstance(included, list) or len(included) != 1:
        raise bad("included must hold the first version.")
    first = included[0]
    payload.want_type(first, "versions")
    name = payload.name_of(service, payload.text(first, "attributes", "name"))
    if payload.text(data, "attributes", "displayName") != name:
        raise bad("attributes.displayName must be the same as included[0].attributes.name.")
    if payload.linked(data, "tip", "versions")[1] != payload.text(first, "id"):
        raise bad("relationships.tip must be the included version.")
    type_ = payload.text(data, "attributes", "extension", "type")
    if payload.text(first, "attributes", "extension", "type") != type_.replace(
        "items:", "versions:"
    ):
        raise bad("The extension types of the item and of its version do not belong together.")
    folder = lookup.folder(service, owner, payload.linked(data, "parent", "folders")[1])
    access.want_below_root(folder)
    access.want_live(folder)
    access.want_level(folder, actor, "upload")
    access.want_place_for(service, folder, type_, name)
    urn = payload.linked(first, "storage", "objects")[1]
    placeholder = making.uploaded(service, actor, owner, urn, name)
    access.want_free(folder, name)
    status = making.conforming(folder, name)
    making.want_public_name(service, actor, name, folder)
    item = making.new_item(service, actor, folder, name)
    version = making.new_version(
        service, actor, item, name, making.object_of(service, placeholder), "new_item",
        conforming=status,
    )  # fmt: skip
    making.use(request, placeholder, version)
    return item


def _copy(service: Service, actor: Actor, owner: Project, data: Json, source_id: str) -> Item:
    """``copyFrom``: a version becomes the first one of a new item."""
    access.want_account(owner, "copyFrom")
    source_item, source = lookup.version(service, owner, source_id)
    if source.type == DELETED_VERSION or source.storage is None:
        raise bad("The version has no content to copy.")
    making.want_processed(source)
    name = (
        payload.find(data, "attributes", "name")
        or payload.find(data, "attributes", "displayName")
        or source.name
    )
    name = payload.name_of(service, str(name))
    folder = lookup.folder(service, owner, payload.linked(data, "parent", "folders")[1])
    access.want_below_root(folder)
    access.want_live(folder)
    access.want_level(folder, actor, "upload")
    access.want_place_for(service, folder, source_item.type, name)
    access.want_free(folder, name)
    status = making.conforming(folder, name)
    making.want_public_name(service, actor, name, folder)
    item = making.new_item(service, actor, folder, name)
    making.new_version(service, actor, item, name, source.storage, "copy", conforming=status)
    return item


async def rename(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``PATCH items/:i``: another displayName, in ``a.`` projects only."""
    owner = lookup.project(service, token, args[0])
    item = lookup.item(service, owner, args[1])
    actor, data = payload.actor(request, token), payload.document(request)
    payload.want_version(data, "items")
    if owner.hub.is_account:
        raise bad("Updating the displayName of an item is not supported for BIM 360 projects.")
    if payload.text(data, "id") != item.id:
        raise bad("data.id is not that of the item.")
    name = payload.name_of(service, payload.text(data, "attributes", "displayName"))
    access.want_level(item, actor, "edit")
    access.want_unlocked(service, item, actor)
    if access.is_taken(item.parent, name, of=item, folders=False):
        raise access.taken(service.settings.patch_name_taken_status)
    making.want_public_name(service, actor, name, item.parent)
    item.display_name = name
    service.writing.history.node(item, actor.who, "rename")
    service.world.note(item, time.time())
    touch(item, {})
    service.world.generation += 1
    href = jsonapi.item_url(service.api_url, item)
    tip = jsonapi.version(service.api_url, item, item.tip)
    return lookup.answer(
        jsonapi.document(href, jsonapi.item(service.api_url, item), included=[tip])
    )
