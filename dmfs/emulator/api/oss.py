"""The Object Storage Service: signing, details, signed resources (facts 4)."""

from __future__ import annotations

import time
from typing import Any

from dmfs.emulator.api import cdn, lookup
from dmfs.emulator.api.service import Service
from dmfs.emulator.api.url_signing import BadSignature, Params, etag
from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.http.messages import Answer, Request, json_answer
from dmfs.emulator.sign_in.tokens import Token
from dmfs.emulator.world import content_threads, ids
from dmfs.emulator.world.model import Storage, is_revoked, project_of
from dmfs.emulator.writing.part_file import Stored

SHA1_UP_TO_BYTES = 64 * 1024 * 1024
"""Bigger objects that nobody uploaded have no sha1 (it is "if available"): hashing takes time."""
_PARTS = 3


def find_storage(service: Service, bucket: str, key: str) -> Storage:
    """The object or OSS's 404; storage that is gone answers the same."""
    storage = service.world.storages.get(ids.storage_id(bucket, key))
    if storage is None or storage.is_gone:
        raise Refusal(errors.oss(404, "Object not found"))
    return storage


async def sha1_of(storage: Storage) -> str | None:
    """The sha1, or None where this object does not tell it."""
    too_big = storage.content.size > SHA1_UP_TO_BYTES and not isinstance(storage.content, Stored)
    if not storage.gives_sha1 or too_big or time.time() < storage.sha1_from_s:
        return None
    if storage.sha1 is None:
        storage.sha1 = await content_threads.digest(storage.content, "sha1")
    return storage.sha1


def readable(service: Service, token: Token, bucket: str, key: str) -> Storage:
    """The object, if this token may read it; OSS's 404 or 403."""
    storage = find_storage(service, bucket, key)
    owner = service.world.owners.get(storage.urn)
    if owner is None:  # uploaded, and not yet part of a version
        project, revoked = service.writing.uploads.placeholders[storage.urn].project, False
    else:
        project, revoked = project_of(owner), is_revoked(owner)
    may_see = lookup.may_see(token, project.hub) and not (project.revoked or revoked)
    if storage.signing == "forbidden" or not (may_see and token.app.may_download):
        raise Refusal(errors.oss(403, "User does not have permission to download the object"))
    return storage


async def sign(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``GET /oss/v2/buckets/:bucket/objects/:key/signeds3download``"""
    storage = readable(service, token, *args)
    try:
        minutes = request.number("minutesExpiration", 2)
    except ValueError:
        minutes = 0
    if not 1 <= minutes <= 60:
        return errors.oss(400, "minutesExpiration must be between 1 and 60")
    tag = etag(storage.urn, storage.content.size, storage.revision)
    sha1 = await sha1_of(storage)
    if request.headers.get("if-none-match", "") in (tag, f'"{sha1}"', sha1):
        return Answer(304)
    name = args[1].replace("\\", "_").replace('"', "_")
    given = {
        "content-type": request.query.get("response-content-type", "application/octet-stream"),
        "content-disposition": request.query.get(
            "response-content-disposition", f'attachment; filename="{name}"'
        ),
    }
    status = _kind(service, request, storage)
    body: dict[str, Any] = {"status": status}
    params = [(f"response-{key}", value) for key, value in given.items()]
    form = _form(service, request, storage)
    if status == "chunked":
        body["urls"] = _part_urls(service, storage, minutes, form, params)
    elif status == "fallback":
        resource = service.signer.resource(storage, minutes)
        body["url"] = f"{service.api_url}/oss/v2/signedresources/{resource}?region=US"
    else:
        body["url"] = service.signer.url(service.cdn_url, storage, minutes, form, params)
    body |= {"params": given, "size": storage.content.size}
    if sha1 is not None and status != "chunked":
        body["sha1"] = sha1
    return json_answer(body)


def _kind(service: Service, request: Request, storage: Storage) -> str:
    """complete, chunked or fallback.

    An object that is still being assembled is signed in chunks, or by fallback if the caller
    asks for that. Deviation: one whose signing is ``fallback`` is always signed so, that a
    client which never asks meets it too.
    """
    kind = service.settings.signing or storage.signing
    if storage.content.size == 0:
        return "complete"
    if service.settings.signing is None and kind == "chunked":
        return "fallback" if request.flag("public-resource-fallback") else "chunked"
    return kind


def _form(service: Service, request: Request, storage: Storage) -> str:
    """CloudFront with useCdn; without, either is seen in life, so: by a hash of the id."""
    if service.settings.url_form is not None:
        return service.settings.url_form
    if request.flag("useCdn") or ids.digest(storage.urn)[0] % 2:
        return "cloudfront"
    return "s3"


def _part_urls(
    service: Service, storage: Storage, minutes: int, form: str, params: Params
) -> dict[str, str]:
    """``{"0-99": url, …}``, inclusive byte ranges of the whole; unequal parts, the last small."""
    size = storage.content.size
    step = max(1, -(-size * 2 // (_PARTS * 2 - 1)))
    urls: dict[str, str] = {}
    for start in range(0, size, step):
        span = (start, min(start + step, size))
        url = service.signer.url(service.cdn_url, storage, minutes, form, params, span)
        urls[f"{span[0]}-{span[1] - 1}"] = url
    return urls


async def details(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``GET /oss/v2/buckets/:bucket/objects/:key/details``"""
    storage = readable(service, token, *args)
    bucket, key = args
    body: dict[str, Any] = {
        "bucketKey": bucket,
        "objectId": storage.urn,
        "objectKey": key,
        "size": storage.content.size,
        "contentType": "application/octet-stream",
        "location": f"{service.api_url}{request.path.removesuffix('/details')}",
    }
    sha1 = await sha1_of(storage)
    if sha1 is not None:
        body["sha1"] = sha1
    wanted = request.query.get("with", "").split(",")
    body |= {
        name: int(storage.modified_s * 1000)
        for name in ("createdDate", "lastModifiedDate", "lastAccessedDate")
        if name in wanted
    }
    return json_answer(body)


async def signed_resource(service: Service, request: Request, args: list[str]) -> Answer:
    """``GET /oss/v2/signedresources/:id``: the bytes, with Range; the id is the authorization."""
    try:
        storage = service.signer.open_resource(args[0])
    except BadSignature:
        return errors.oss(403, "Signed URL has expired")
    if storage is None:
        return errors.oss(404, "Signed URL not found")
    content = storage.content
    await content_threads.prepare(content)
    tag = etag(storage.urn, content.size, storage.revision)
    return cdn.ranged(request, content, tag, storage.modified_s, "application/octet-stream")
