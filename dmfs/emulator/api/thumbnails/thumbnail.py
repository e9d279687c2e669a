"""``GET modelderivative/v2/designdata/:urn/thumbnail``, where a version's link leads."""

from __future__ import annotations

import base64
import binascii

from dmfs.emulator.api import jsonapi, lookup
from dmfs.emulator.api.service import Service
from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.http.messages import Answer, Request, bytes_answer, json_answer
from dmfs.emulator.sign_in.tokens import Token
from dmfs.emulator.thumbnails import pictures
from dmfs.emulator.world.model import Version, project_of

_HEAVY_EXTRA_BYTES = 80_000


async def thumbnail(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """A PNG of ``width`` pixels (200 by itself), 202 while there is none yet, 404 for none."""
    version = _version(service, request, args[0], token)
    state = service.thumbnails
    state.calls[version.id] += 1
    size = _size(request)
    kind = state.kind_of(version)
    if kind == "not_yet" and state.settings.not_yet_status == 202:
        return json_answer({"status": "inprogress", "progress": "pending"}, 202)
    if kind in ("not_yet", "none"):
        return _refusal(404, "The requested resource does not exist.")
    if kind == "forbidden":
        return _refusal(403, "Access is denied.")
    if kind == "web_page":
        return errors.html(200)
    return _picture(version, kind, size)


def _picture(version: Version, kind: str, size: int) -> Answer:
    if kind == "jpeg":
        return bytes_answer(pictures.jpeg(), "image/jpeg")
    if kind == "empty":
        return bytes_answer(b"", "image/png")
    if kind in ("heavy", "huge"):
        extra_bytes = _HEAVY_EXTRA_BYTES if kind == "huge" else 0
        return bytes_answer(pictures.heavy_png(version.id, size, extra_bytes), "image/png")
    body = pictures.png(version.id, size)
    if kind == "truncated":
        body = body[: len(body) * 2 // 3]
    elif kind == "damaged":
        at = len(body) // 2
        body = body[:at] + bytes([body[at] ^ 0x20]) + body[at + 1 :]
    return bytes_answer(body, "text/plain" if kind == "wrong_type" else "image/png")


def _version(service: Service, request: Request, urn: str, token: Token) -> Version:
    """The version of a URN in base64, as far as this token may see it, in its region."""
    try:
        padded = urn + "=" * (-len(urn) % 4)
        version_id = base64.b64decode(padded, b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise Refusal(_refusal(400, "The URN is not valid.")) from None
    known = service.world.versions.get(version_id)
    if known is None:
        raise Refusal(_refusal(404, "The requested resource does not exist."))
    owner = lookup.project(service, token, project_of(known[0]).id)
    _, version = lookup.version(service, owner, version_id)
    settings = service.thumbnails.settings
    if settings.region_needed and request.headers.get("region", "US") != owner.hub.region:
        raise Refusal(_refusal(404, "The requested resource does not exist."))
    wanted = ",".join(jsonapi.scopes_of(owner))
    if settings.scopes_needed and wanted and request.query.get("scopes") != wanted:
        raise Refusal(_refusal(403, "Access is denied."))
    return version


def _size(request: Request) -> int:
    text = request.query.get("width", request.query.get("height", "200"))
    if text not in map(str, pictures.SIZES):
        raise Refusal(_refusal(400, "The width is one of 100, 200, 400."))
    return int(text)


def _refusal(status: int, text: str) -> Answer:
    return json_answer({"diagnostic": text}, status)
