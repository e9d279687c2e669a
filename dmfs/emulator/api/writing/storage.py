"""``POST projects/:p/storage``: a place for an upload."""

from __future__ import annotations

import uuid
from urllib.parse import quote

from dmfs.emulator.api import jsonapi, lookup
from dmfs.emulator.api.service import Service
from dmfs.emulator.api.writing import access, making, payload
from dmfs.emulator.http.errors import JSONAPI_TYPE
from dmfs.emulator.http.messages import Answer, Request, json_answer
from dmfs.emulator.sign_in.tokens import Token
from dmfs.emulator.world import ids
from dmfs.emulator.world.builder import key_ending, places
from dmfs.emulator.writing.uploads import Placeholder


async def create(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """201 with the URN of a new storage location for a file of a folder or of an item."""
    owner = lookup.project(service, token, args[0])
    actor, data = payload.actor(request, token), payload.document(request)
    payload.want_version(data, "objects")
    name = payload.name_of(service, payload.text(data, "attributes", "name"))
    type_, target_id = payload.linked(data, "target", "folders", "items")
    if type_ == "folders":
        folder = lookup.folder(service, owner, target_id)
        access.want_below_root(folder)
    else:
        folder = lookup.item(service, owner, target_id).parent
    access.want_live(folder)
    access.want_level(folder, actor, "upload")
    bucket = places(owner)[1] + (making.TEMPORARY if service.settings.storage_moves else "")
    key = f"{uuid.uuid4()}{key_ending(payload.ending_of(name))}"
    urn = ids.storage_id(bucket, key)
    service.writing.uploads.placeholders[urn] = Placeholder(
        urn, name, owner, target_id, actor.user_id, actor.client_id
    )
    target_url = f"{service.api_url}/data/v1/projects/{quote(owner.id)}/{type_}/{target_id}"
    body = {
        "type": "objects",
        "id": urn,
        "relationships": {
            "target": {
                "data": {"type": type_, "id": target_id},
                "links": {"related": {"href": target_url}},
            }
        },
    }
    url = f"{service.api_url}/oss/v2/buckets/{bucket}/objects/{quote(key, safe='')}"
    return json_answer(jsonapi.document(url, body), 201, JSONAPI_TYPE)
