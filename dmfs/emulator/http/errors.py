"""The four shapes in which the service says no (facts 1.5 and 5.2)."""

from __future__ import annotations

import uuid

from dmfs.emulator.http.messages import Answer, bytes_answer, json_answer

JSONAPI_TYPE = "application/vnd.api+json"
QUOTA_TEXT = "Quota limit exceeded."


class Refusal(Exception):
    """Raised by handlers; carries the finished answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def jsonapi(status: int, code: str, detail: str, title: str = "") -> Answer:
    """Data and Project services."""
    error = {"id": str(uuid.uuid4()), "status": str(status), "code": code, "detail": detail}
    if title:
        error["title"] = title
    return json_answer({"jsonapi": {"version": "1.0"}, "errors": [error]}, status, JSONAPI_TYPE)


def gateway(status: int, code: str, message: str) -> Answer:
    """The gateway in front of everything. The odd key is really ``more info``."""
    return json_answer(
        {
            "developerMessage": message,
            "userMessage": "",
            "errorCode": code,
            "more info": f"https://forge.autodesk.com/en/docs/oauth/v2/developers_guide/error_handling/#{code}",
        },
        status,
    )


def oss(status: int, reason: str) -> Answer:
    return json_answer({"reason": reason}, status)


def oauth(status: int, error: str, description: str) -> Answer:
    """The token endpoint (believed; facts 1.5)."""
    return json_answer({"error": error, "error_description": description}, status)


def xml(status: int, code: str, message: str, extra: str = "") -> Answer:
    """S3 and CloudFront."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>{extra}"
        f"<RequestId>{uuid.uuid4().hex[:16].upper()}</RequestId></Error>"
    )
    return bytes_answer(body.encode(), "application/xml", status)


def html(status: int) -> Answer:
    body = f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>"
    return bytes_answer(body.encode(), "text/html", status)


def quota(retry_after_s: int) -> Answer:
    """429 as the gateway's router answers it (facts 5.1)."""
    answer = json_answer({"developerMessage": QUOTA_TEXT}, 429)
    answer.headers |= {"Retry-After": str(retry_after_s), "Server": "Apigee Router"}
    return answer


def shaped(shape: str, status: int) -> Answer:
    """An error of any status in any shape, for faults."""
    if shape == "jsonapi":
        return jsonapi(status, "EMULATED_FAULT", "Fault injected by the emulator")
    if shape == "gateway":
        if status == 429:
            return json_answer({"developerMessage": QUOTA_TEXT}, 429)
        return gateway(status, "AUTH-001", "Fault injected by the emulator")
    if shape == "oss":
        return oss(status, "Fault injected by the emulator")
    if shape == "xml":
        return xml(status, "AccessDenied" if status == 403 else "InternalError", "Injected")
    if shape == "html":
        return html(status)
    if shape == "empty":
        return Answer(status)
    raise ValueError(f"unknown error shape {shape!r}")
