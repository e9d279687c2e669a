"""The CDN's origin, and byte ranges as S3 serves them."""

from __future__ import annotations

import re

from dmfs.emulator.api.service import Service
from dmfs.emulator.api.url_signing import BadSignature
from dmfs.emulator.http import errors
from dmfs.emulator.http.messages import Answer, Request
from dmfs.emulator.world import content_threads, times
from dmfs.emulator.world.content import Content

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


async def get(service: Service, request: Request, args: list[str]) -> Answer:
    """GET or HEAD of a signed URL. Signature and expiry count when the request arrives."""
    if "authorization" in request.headers:
        return two_authorizations(service, request)
    try:
        found = service.signer.check(request.path, request.query_text)
    except BadSignature as error:
        return expired() if error.expired else not_genuine()
    if found.storage.is_gone:
        return errors.xml(404, "NoSuchKey", "The specified key does not exist.")
    await content_threads.prepare(found.content)
    kind = request.query.get("response-content-type", "application/octet-stream")
    answer = ranged(request, found.content, found.etag, found.storage.modified_s, kind)
    disposition = request.query.get("response-content-disposition")
    if disposition and disposition.isascii():
        answer.headers["Content-Disposition"] = disposition
    return answer


def expired() -> Answer:
    """403 as an expired URL answers."""
    return errors.xml(403, "AccessDenied", "Request has expired")


def two_authorizations(service: Service, request: Request) -> Answer:
    """400: the signature is an authentication already, and S3 refuses two.

    Seen from real clients that forward their bearer token.
    """
    service.writing.violations.add(
        "authorization_at_storage", "", "", method=request.method, path=request.path
    )
    message = (
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
        "Signature query string parameter or the Authorization header should be specified"
    )
    return errors.xml(400, "InvalidArgument", message)


def not_genuine() -> Answer:
    """403 for a signature that is not ours."""
    message = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method."
    )
    return errors.xml(403, "SignatureDoesNotMatch", message)


def parse_range(header: str | None, size: int) -> tuple[int, int] | str | None:
    """``(start, stop)``; None for the whole object; ``"unsatisfiable"``.

    The end is clamped. Several ranges, other units and nonsense are ignored, as S3 does.
    """
    match = _RANGE.fullmatch((header or "").strip().replace(" ", ""))
    if match is None or match.group() == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    return (start, stop) if start < stop else "unsatisfiable"


def ranged(
    request: Request, content: Content, etag: str, modified_s: float, content_type: str
) -> Answer:
    """A conditional, possibly partial answer with the bytes of an object."""
    headers = {
        "ETag": etag,
        "Last-Modified": times.http_date(modified_s),
        "Accept-Ranges": "bytes",
        "Content-Type": content_type,
    }
    if_match = request.headers.get("if-match")
    if if_match is not None and if_match.strip() not in ("*", etag):
        message = "At least one of the pre-conditions you specified did not hold"
        return errors.xml(412, "PreconditionFailed", message)
    if request.headers.get("if-none-match", "").strip() in ("*", etag):
        return Answer(304, headers)
    size = content.size
    wanted = request.headers.get("range")
    if request.headers.get("if-range", etag).strip() != etag:
        wanted = None
    span = parse_range(wanted, size)
    if isinstance(span, str):
        extra = f"<ActualObjectSize>{size}</ActualObjectSize>"
        answer = errors.xml(416, "InvalidRange", "The requested range is not satisfiable", extra)
        answer.headers["Content-Range"] = f"bytes */{size}"
        return answer
    start, stop = span or (0, size)
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Answer(
        200 if span is None else 206, headers, content, start, stop,
        head_only=request.method == "HEAD",
    )  # fmt: skip
