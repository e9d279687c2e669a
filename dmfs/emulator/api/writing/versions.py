"""``POST versions`` (uploads, restoring, renaming, deleting) and ``PATCH versions/:v``."""

from __future__ import annotations

import time
import uuid
from itertools import pairwise

from dmfs.emulator.api import jsonapi, lookup
from dmfs.emulator.api.service import Service
from dmfs.emulator.api.writing import access, making, payload
from dmfs.emulator.api.writing.payload import Actor, bad
from dmfs.emulator.http.errors import JSONAPI_TYPE
from dmfs.emulator.http.messages import Answer, Request, json_answer
from dmfs.emulator.sign_in.tokens import Token
from dmfs.emulator.world.changing.moments import touch
from dmfs.emulator.world.model import DELETED_VERSION, Item, Json, Project, Version
from dmfs.emulator.writing import views
from dmfs.emulator.writing.uploads import Placeholder


async def create(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """201 with the new tip of an item."""
    owner = lookup.project(service, token, args[0])
    actor, data = payload.actor(request, token), payload.document(request)
    payload.want_type(data, "versions")
    if "copyFrom" in request.query:
        item, version = _copy(service, actor, owner, data, request.query["copyFrom"])
    elif payload.find(data, "attributes", "extension", "type") == DELETED_VERSION:
        item, version = _delete(service, actor, owner, data)
    else:
        item, version = _upload(service, request, actor, owner, data)
        await _count_same_bytes(service, actor, item)
    body = jsonapi.document(
        jsonapi.version_url(service.api_url, item, version),
        jsonapi.version(service.api_url, item, version),
        included=[jsonapi.item(service.api_url, item)],
    )
    return json_answer(body, 201, JSONAPI_TYPE)


def _target(service: Service, actor: Actor, owner: Project, data: Json, level: str) -> Item:
    item = lookup.item(service, owner, payload.linked(data, "item", "items")[1])
    access.want_live(item.parent)
    access.want_level(item, actor, level)
    access.want_unlocked(service, item, actor)
    return item


def _upload(
    service: Service, request: Request, actor: Actor, owner: Project, data: Json
) -> tuple[Item, Version]:
    payload.want_version(data, "versions")
    name = payload.name_of(service, payload.text(data, "attributes", "name"))
    item = _target(service, actor, owner, data, "upload")
    type_ = payload.text(data, "attributes", "extension", "type")
    kind = "bim360" if owner.hub.is_account else "core"
    if type_ != f"versions:autodesk.{kind}:File" or item.type != f"items:autodesk.{kind}:File":
        raise bad(f"The extension type {type_} fits neither the item nor the project.")
    if item.hidden:
        raise bad("The item is deleted.")
    if service.settings.upload_level_versions == "own" and item.user != actor.user:
        access.want_level(item, actor, "edit")
    making.want_idle(service, item)
    placeholder = making.uploaded(
        service, actor, owner, payload.linked(data, "storage", "objects")[1], name
    )
    access.want_free(item.parent, name, of=item)
    status = making.conforming(item.parent, name)
    if name != access.name_in(item):
        making.want_public_name(service, actor, name, item.parent)
    _count_moved_tip(service, actor, item, placeholder)
    version = making.new_version(
        service, actor, item, name, making.object_of(service, placeholder), "new_version",
        conforming=status,
    )  # fmt: skip
    making.use(request, placeholder, version)
    return item, version


def _count_moved_tip(service: Service, actor: Actor, item: Item, placeholder: Placeholder) -> None:
    """Another made a version while this upload was under way, and this client saw it."""
    for before, version in reversed(list(pairwise(item.versions))):
        made_s, maker = service.writing.history.made.get(version.id, (0.0, actor.who))
        if maker == actor.who or made_s < placeholder.created_s:
            return
        if version.storage is before.storage:
            continue  # only its name is another
        looks = service.writing.looks
        seen_s = looks.last_s(actor.who, [item.id])
        if version.listed_from_s <= made_s:
            seen_s = max(seen_s, looks.last_s(actor.who, [item.parent.id]))
        if seen_s > made_s:
            service.writing.violations.add(
                "moved_tip_overwritten", *actor.who, item=item.id, name=version.name,
                tip=version.number,
            )  # fmt: skip
            return


async def _count_same_bytes(service: Service, actor: Actor, item: Item) -> None:
    """A version is for ever: one with the bytes of the one before is of no use to anybody."""
    new = item.tip.storage
    old = item.versions[-2].storage if len(item.versions) > 1 else None
    if new is None or old is None or new.content.size != old.content.size:
        return
    number, name = item.tip.number, item.tip.name
    if await views.sha256(new) == await views.sha256(old) is not None:
        service.writing.violations.add(
            "same_bytes_version", *actor.who, item=item.id, name=name, number=number
        )


def _copy(
    service: Service, actor: Actor, owner: Project, data: Json, source_id: str
) -> tuple[Item, Version]:
    """``copyFrom``: an old version anew (which restores a deleted item), perhaps renamed."""
    access.want_account(owner, "copyFrom")
    item, source = lookup.version(service, owner, source_id)
    if payload.find(data, "relationships", "item") is not None:
        item = lookup.item(service, owner, payload.linked(data, "item", "items")[1])
    if source.type == DELETED_VERSION or source.storage is None:
        raise bad("The version has no content to copy.")
    making.want_processed(source)
    name = payload.find(data, "attributes", "name")
    name = payload.name_of(service, str(name or source.name))
    access.want_live(item.parent)
    access.want_level(item, actor, "edit")
    access.want_unlocked(service, item, actor)
    access.want_free(item.parent, name, of=item)
    status = making.conforming(item.parent, name)
    what = "rename" if not item.hidden and name != access.name_in(item) else "restore"
    if name != source.name:
        making.want_public_name(service, actor, name, item.parent)
    item.hidden = False
    version = making.new_version(
        service, actor, item, name, source.storage, what, type=source.type, conforming=status,
        listed_size=source.listed_size, mime_type=source.mime_type,
    )  # fmt: skip
    if service.settings.processing_s:
        version.data["processState"] = "PROCESSING_PROMOTING"
    return item, version


def _delete(service: Service, actor: Actor, owner: Project, data: Json) -> tuple[Item, Version]:
    """A tombstone: a version whose name is a GUID; the item is hidden from then on."""
    payload.want_version(data, "versions")
    access.want_account(owner, f"The extension type {DELETED_VERSION}")
    item = _target(service, actor, owner, data, "edit")
    if item.hidden:
        raise bad("The item is already deleted.")
    old = item.tip
    item.hidden = True
    version = making.new_version(
        service, actor, item, str(uuid.uuid4()), None, "delete", type=DELETED_VERSION,
        data={"originalName": old.name},
    )  # fmt: skip
    return item, version


async def rename(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``PATCH versions/:v``: another name in place, in ``a.`` projects only."""
    owner = lookup.project(service, token, args[0])
    if "?version=" not in args[1]:
        raise bad("Urn is not in the proper format")
    item, version = lookup.version(service, owner, args[1])
    actor, data = payload.actor(request, token), payload.document(request)
    payload.want_version(data, "versions")
    if owner.hub.is_account:
        raise bad("Updating a version is not supported for BIM 360 projects.")
    if payload.text(data, "id") != version.id:
        raise bad("data.id is not that of the version.")
    name = payload.name_of(service, payload.text(data, "attributes", "name"))
    access.want_level(item, actor, "edit")
    access.want_unlocked(service, item, actor)
    if version is item.tip and access.is_taken(item.parent, name, of=item, folders=False):
        raise access.taken(service.settings.patch_name_taken_status)
    making.want_public_name(service, actor, name, item.parent)
    version.name = version.display_name = name
    service.writing.history.node(item, actor.who, "rename_version")
    service.world.note(item, time.time())
    version.file_type = payload.ending_of(name) or None
    touch(item, {})
    service.world.generation += 1
    href = jsonapi.version_url(service.api_url, item, version)
    return lookup.answer(jsonapi.document(href, jsonapi.version(service.api_url, item, version)))
