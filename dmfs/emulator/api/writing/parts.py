"""PUT of a part to the storage's own origin, as S3 takes it."""

from __future__ import annotations

import hashlib

from dmfs.emulator.api import cdn
from dmfs.emulator.api.service import Service
from dmfs.emulator.api.url_signing import BadSignature
from dmfs.emulator.http import errors
from dmfs.emulator.http.messages import Answer, Request
from dmfs.emulator.world import content_threads
from dmfs.emulator.writing.part_file import Stored
from dmfs.emulator.writing.uploads import Part


async def put(service: Service, request: Request, args: list[str]) -> Answer:
    """200 and the ETag. The URL had to be good when the request's head arrived."""
    if "authorization" in request.headers:
        return cdn.two_authorizations(service, request)
    try:
        key, number = service.signer.check_put(
            request.path, request.query_text, at_s=request.arrived_s
        )
    except BadSignature as error:
        return cdn.expired() if error.expired else cdn.not_genuine()
    if request.received is None:
        message = "You must provide the Content-Length HTTP header."
        return errors.xml(411, "MissingContentLength", message)
    session = service.writing.uploads.sessions[key]
    if session.is_over or session.done:
        message = (
            "The specified upload does not exist. The upload ID may be invalid, or the upload may "
            "have been aborted or completed."
        )
        return errors.xml(404, "NoSuchUpload", message)
    content = request.received.content
    assert isinstance(content, Stored)
    tag = request.received.md5
    if request.fault == "corrupt_upload":
        tag = await _corrupt(service, content)
    before = session.parts.get(number)
    if before is not None and before.accepted:
        service.writing.violations.add(
            "part_sent_again", session.placeholder.client_id, session.placeholder.user_id,
            storage=session.placeholder.urn, part=number, size=content.size,
        )  # fmt: skip
    if service.settings.etag_form == "opaque":
        tag = hashlib.sha256(f"{tag} {number}".encode()).hexdigest()[:32]
    part = session.parts[number] = Part(content, tag)

    service.later(0, lambda: session.digest.advance(session.parts))

    def accepted() -> None:
        part.accepted = True

    request.delivered.append(accepted)
    return Answer(200, {"ETag": f'"{tag}"'})


async def _corrupt(service: Service, content: Stored) -> str:
    """A byte in the middle arrives as another one; the MD5 of what is there then."""
    if content.size:
        position = content.regions[0][0] + content.size // 2
        file = service.writing.uploads.file
        file.write(position, bytes([file.read(position, 1)[0] ^ 0xFF]))
    return await content_threads.digest(content, "md5")
