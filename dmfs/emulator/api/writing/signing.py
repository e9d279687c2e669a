"""``signeds3upload`` and ``copyto``: sessions of uploads, their completion, server-side copies."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

from dmfs.emulator.api import oss
from dmfs.emulator.api.service import Service
from dmfs.emulator.api.writing import payload, s3_uploads
from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.http.messages import Answer, Request, json_answer
from dmfs.emulator.sign_in.tokens import Token
from dmfs.emulator.world import ids, times
from dmfs.emulator.world.content import Content
from dmfs.emulator.world.model import Storage
from dmfs.emulator.writing.part_file import joined
from dmfs.emulator.writing.uploads import PART_MIN_BYTES, PARTS_MAX, Placeholder, Session

_URLS_MAX = 25


def _placeholder(service: Service, request: Request, token: Token, urn: str) -> Placeholder:
    """A location that its own app may fill; OSS's 404 or 403."""
    actor = payload.actor(request, token)
    placeholder = service.writing.uploads.placeholders.get(urn)
    if placeholder is None:
        if urn in service.world.storages:
            raise Refusal(errors.oss(403, "The object cannot be written"))
        raise Refusal(errors.oss(404, "Object not found"))
    if (placeholder.client_id, placeholder.user_id) != (actor.client_id, actor.user_id):
        raise Refusal(errors.oss(403, "User does not have permission to upload the object"))
    return placeholder


async def urls(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``GET …/signeds3upload``: URLs of parts, of a new session or of the one of ``uploadKey``."""
    placeholder = _placeholder(service, request, token, ids.storage_id(*args))
    try:
        count, first = request.number("parts", 1), request.number("firstPart", 1)
        minutes = request.number("minutesExpiration", 2)
    except ValueError:
        return errors.oss(400, "parts, firstPart and minutesExpiration must be integers")
    if not 1 <= count <= _URLS_MAX:
        return errors.oss(400, f"parts must be between 1 and {_URLS_MAX}")
    if first < 1 or first + count - 1 > PARTS_MAX:
        return errors.oss(400, f"firstPart must be between 1 and {PARTS_MAX}")
    if not 1 <= minutes <= 60:
        return errors.oss(400, "minutesExpiration must be between 1 and 60")
    accelerate = request.query.get("useAcceleration", "true").lower()
    if accelerate not in ("true", "false"):
        return errors.oss(400, "useAcceleration must be a boolean")
    session = _session(service, request, placeholder)
    session.is_multipart = session.is_multipart or count > 1
    base = service.cdn_url
    if accelerate == "true" and service.settings.accelerate_base is not None:
        base = service.settings.accelerate_base
    numbers, place = range(first, first + count), service.settings.s3_place
    if place is not None:
        signed = await s3_uploads.part_urls(place, session, numbers, service.signer.ttl_s(minutes))
    else:
        signed = [
            service.signer.put_url(base, placeholder.urn, minutes, session.key, number)
            for number in numbers
        ]
    return json_answer(
        {
            "uploadKey": session.key,
            "urls": signed,
            "urlExpiration": _iso(service.signer.expires_s(minutes)),
            "uploadExpiration": _iso(session.ends_s),
        }
    )


def _session(service: Service, request: Request, placeholder: Placeholder) -> Session:
    key = request.query.get("uploadKey")
    if not key:
        return service.writing.uploads.begin(placeholder, service.settings.upload_ttl_s)
    session = service.writing.uploads.sessions.get(key)
    known = session is not None and session.placeholder is placeholder
    if session is None or not known or not session.is_multipart or session.done:
        raise Refusal(errors.oss(400, "The uploadKey is not valid"))
    if session.is_over:
        raise Refusal(errors.oss(400, "The upload session has expired"))
    return session


def _iso(moment_s: float) -> str:
    return times.seven_digits(moment_s)[:23] + "Z"


async def complete(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``POST …/signeds3upload``: the parts become the object."""
    placeholder = _placeholder(service, request, token, ids.storage_id(*args))
    if request.headers.get("content-type") != "application/json":
        return errors.oss(400, "Content-Type must be application/json")
    try:
        body = json.loads(request.body)
        key, size, tags = body["uploadKey"], body.get("size"), body.get("eTags")
    except (ValueError, KeyError, TypeError, AttributeError):
        return errors.oss(400, "The request body is malformed: uploadKey is required")
    if size is None or tags is None:
        service.writing.violations.add(
            "completion_unchecked", token.app.client_id, request.user_id, storage=placeholder.urn
        )
    if not _are_well_formed(size, tags):
        return errors.oss(400, "size must be an integer and eTags an array of strings")
    session = service.writing.uploads.sessions.get(key) if isinstance(key, str) else None
    if session is None or session.placeholder is not placeholder:
        return errors.oss(400, "The uploadKey is not valid")
    place = service.settings.s3_place
    if place is None:
        await session.digest.advance(session.parts)
    if session.done or placeholder.storage is not None:
        return errors.oss(400, "The upload has already been completed")
    if session.is_over:
        return errors.oss(400, "The upload session has expired")
    if place is not None:
        await s3_uploads.look(place, session)
    trouble = _trouble(session, size, tags)
    if trouble is not None:
        return json_answer(trouble, service.settings.failed_completion_status)
    if place is not None:
        content = await s3_uploads.join(place, session)
        session.done = True
        finish(service, placeholder, content)
    else:
        session.done = True
        parts = session.stored
        content = joined(service.writing.uploads.file, parts)
        finish(service, placeholder, content).sha1 = session.digest.of(parts)
    return json_answer(_details(service, placeholder))


def _are_well_formed(size: Any, tags: Any) -> bool:
    sized = size is None or (isinstance(size, int) and not isinstance(size, bool))
    listed = isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)
    return sized and (tags is None or listed)


def _trouble(session: Session, size: int | None, tags: list[str] | None) -> dict[str, Any] | None:
    """The body of a refusal, or None if all parts are there and as they should be."""
    last = max(session.parts, default=0)
    rows: list[dict[str, Any]] = []
    for number in range(1, max(last, len(tags or ()), 1) + 1):
        part = session.parts.get(number)
        if part is None:
            rows.append({"part": number, "status": "Pending"})
            continue
        wrong = []
        if tags is not None:
            given = tags[number - 1].strip('"') if number <= len(tags) else None
            wrong = [] if given == part.etag else ["Unexpected"]
        if number < last and part.content.size < PART_MIN_BYTES:
            wrong.append("TooSmall")
        row = {"part": number, "size": part.content.size, "eTag": part.etag}
        rows.append(row | {"status": "+".join(wrong) or "Ok"})
    detected = session.size_bytes
    if all(row["status"] == "Ok" for row in rows) and size in (None, detected):
        return None
    sizes = {"expected": detected if size is None else size, "detected": detected}
    return {
        "status": "error",
        "reason": "MissingOrInvalidParts",
        "size": sizes,
        "parts": rows,
    }


def finish(service: Service, placeholder: Placeholder, content: Content) -> Storage:
    """The location has its object."""
    now_s = time.time()
    lag_s = service.settings.sha1_lag_s
    storage = Storage(placeholder.urn, content, modified_s=now_s, sha1_from_s=now_s + lag_s)
    placeholder.storage = storage
    service.world.storages[storage.urn] = storage
    return storage


def _details(service: Service, placeholder: Placeholder) -> dict[str, Any]:
    bucket, key = ids.split_storage_id(placeholder.urn)
    assert placeholder.storage is not None
    return {
        "bucketKey": bucket,
        "objectId": placeholder.urn,
        "objectKey": key,
        "size": placeholder.storage.content.size,
        "contentType": "application/octet-stream",
        "location": f"{service.api_url}/oss/v2/buckets/{bucket}/objects/{quote(key, safe='')}",
    }


async def copyto(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``PUT …/objects/:k/copyto/:new``: bytes go to another location of the bucket."""
    bucket, key, new_key = args
    source = oss.readable(service, token, bucket, key)
    target = _placeholder(service, request, token, ids.storage_id(bucket, new_key))
    if target.storage is not None:
        return errors.oss(400, "The object already exists")
    finish(service, target, source.content)
    return json_answer(_details(service, target))
