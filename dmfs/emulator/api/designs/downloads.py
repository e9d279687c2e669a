"""What a version could be had as, and the jobs and downloads that make it so (facts 3.6)."""

from __future__ import annotations

from urllib.parse import quote

from dmfs.emulator.api import jsonapi, lookup
from dmfs.emulator.api.service import Service
from dmfs.emulator.api.writing import payload
from dmfs.emulator.designs.jobs import Job
from dmfs.emulator.designs.rules import formats_of
from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import JSONAPI_TYPE, Refusal
from dmfs.emulator.http.messages import Answer, Request, json_answer
from dmfs.emulator.sign_in.tokens import Token
from dmfs.emulator.world import ids
from dmfs.emulator.world.model import Item, Json, Project, Version, is_revoked


async def formats(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``GET versions/:v/downloadFormats``; none for what has no bytes and is no design."""
    owner = lookup.project(service, token, args[0])
    _, found = lookup.version(service, owner, args[1])
    known = [{"fileType": each} for each in formats_of(service.exports.settings, found)]
    body = {"type": "downloadFormats", "id": found.id, "attributes": {"formats": known}}
    return lookup.answer(jsonapi.document(f"{service.api_url}{request.path}", body))


async def of_version(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``GET versions/:v/downloads``: not implemented by the service either, always empty."""
    owner = lookup.project(service, token, args[0])
    lookup.version(service, owner, args[1])
    return lookup.answer(jsonapi.document(f"{service.api_url}{request.path}", []))


async def create(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``POST downloads``: 202 with the job, a new one each time."""
    _want_scope(service, token)
    owner = _project(service, args[0], token)
    actor, data = payload.actor(request, token), payload.document(request)
    payload.want_version(data, "downloads")
    format_ = payload.text(data, "attributes", "format", "fileType")
    _, version_id = payload.linked(data, "source", "versions")
    item, version = lookup.version(service, owner, version_id)
    if not token.app.may_download:
        detail = "The user does not have permission to perform this operation."
        raise Refusal(errors.jsonapi(403, "FORBIDDEN", detail))
    if format_ not in formats_of(service.exports.settings, version):
        raise payload.bad(f"The version cannot be downloaded as {format_}.")
    job = service.exports.post(owner, item, version, format_, actor.who)
    body = _job(service, job, "queued")
    url = body["links"]["self"]["href"]
    in_list = service.exports.settings.job_in_list
    document = jsonapi.document(url, [body] if in_list else body)
    return json_answer(document, 202, JSONAPI_TYPE)


async def job(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``GET jobs/:j``: 200 with its state, or 303 to the download once that is made."""
    owner = _project(service, args[0], token)
    found = service.exports.find(owner, args[1])
    if found is None or is_revoked(found.item):
        return errors.jsonapi(404, "JOB_NOT_FOUND", "ApiError Job not found")
    state = service.exports.poll(found)
    if state == "finished":
        return Answer(303, {"Location": _url(service, found, "downloads")})
    body = _job(service, found, state)
    return lookup.answer(jsonapi.document(body["links"]["self"]["href"], body))


async def download(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``GET downloads/:d``: its format, its source, and where its bytes are."""
    found = _download(service, args, token)
    assert found.storage is not None
    url = _url(service, found, "downloads")
    bucket, key = ids.split_storage_id(found.storage.urn)
    object_url = f"{service.api_url}/oss/v2/buckets/{bucket}/objects/{quote(key, safe='')}"
    scopes = ",".join(jsonapi.scopes_of(found.project))
    body = {
        "type": "downloads",
        "id": found.id,
        "attributes": {"format": {"fileType": found.format}},
        "links": {"self": {"href": url}},
        "relationships": {
            "source": {
                "links": {"related": {"href": f"{url}/source"}},
                "data": {"type": "versions", "id": found.version.id},
            },
            "storage": {
                "data": {"type": "objects", "id": found.storage.urn},
                "meta": {"link": {"href": object_url + (f"?scopes={scopes}" if scopes else "")}},
            },
        },
    }
    return lookup.answer(jsonapi.document(url, body))


async def source(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``GET downloads/:d/source``: the version, as the link in a download promises."""
    found = _download(service, args, token)
    rendered = _version(service, found.item, found.version)
    return lookup.answer(jsonapi.document(rendered["links"]["self"]["href"], rendered))


def _version(service: Service, item: Item, version: Version) -> Json:
    return jsonapi.version(service.api_url, item, version)


def _download(service: Service, args: list[str], token: Token) -> Job:
    owner = _project(service, args[0], token)
    found = service.exports.download(owner, args[1])
    if found is None or is_revoked(found.item):
        raise Refusal(errors.jsonapi(404, "DOWNLOAD_NOT_FOUND", "ApiError Download not found"))
    return found


def _project(service: Service, project_id: str, token: Token) -> Project:
    """The project. In ``a.`` hubs designs are a user's (facts 1.4): no app's own token will do."""
    owner = lookup.project(service, token, project_id)
    needed = service.exports.settings.user_needed and not owner.hub.is_account
    if needed and not token.user_id:
        detail = "You don't have permission to access this API"
        raise Refusal(errors.jsonapi(403, "BIM360DM_ERROR", detail))
    return owner


def _want_scope(service: Service, token: Token) -> None:
    if "data:create" not in token.scopes:
        status = service.exports.settings.scope_status
        message = "Token does not have the privilege for this request."
        raise Refusal(errors.gateway(status, "AUTH-012", message))


def _job(service: Service, found: Job, state: str) -> Json:
    return {
        "type": "jobs",
        "id": found.id,
        "attributes": {"status": state},
        "links": {"self": {"href": _url(service, found, "jobs")}},
    }


def _url(service: Service, found: Job, kind: str) -> str:
    return f"{service.api_url}/data/v1/projects/{quote(found.project.id)}/{kind}/{found.id}"
