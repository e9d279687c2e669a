"""What each fault does to an answer or to its delivery."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from dmfs.emulator.api import cdn
from dmfs.emulator.http import errors
from dmfs.emulator.http.delivery import Delivery
from dmfs.emulator.http.messages import Answer, bytes_answer
from dmfs.emulator.server.faults import Fault
from dmfs.emulator.world.content import Content

_Params = dict[str, Any]


def replacement(fault: Fault) -> Answer | None:
    """The answer in place of the true one, for kinds that do not need the true one."""
    make = _REPLACEMENTS.get(fault.kind)
    return make(fault.params) if make else None


def _status(params: _Params) -> Answer:
    status, shape = int(params.get("status", 500)), params.get("shape", "jsonapi")
    answer = errors.shaped(shape, status)
    if "code" in params and shape == "xml":
        answer = errors.xml(status, str(params["code"]), "Injected")
    elif "code" in params and shape == "jsonapi":
        detail = str(params.get("detail", "Fault injected by the emulator"))
        answer = errors.jsonapi(status, params["code"], detail, str(params.get("title", "")))
    if params.get("retry_after") is not None:
        answer.headers["Retry-After"] = str(params["retry_after"])
    return answer


def _redirect(params: _Params) -> Answer:
    return Answer(int(params.get("status", 302)), {"Location": str(params["location"])})


def _huge_body(params: _Params) -> Answer:
    async def flow() -> AsyncIterator[bytes]:
        yield b'{"jsonapi":{"version":"1.0"},"data":["'
        for _ in range(int(params.get("megabytes", 64))):
            yield b"x" * (1 << 20)
        yield b'"]}'

    return Answer(200, {"Content-Type": "application/json"}, flow=flow())


_REPLACEMENTS: dict[str, Callable[[_Params], Answer]] = {
    "status": _status,
    "html_200": lambda params: errors.html(200),
    "malformed_json": lambda params: bytes_answer(
        b'{"jsonapi": {"version": "1.0"}, "data": [{,]}', "application/json"
    ),
    "empty_body": lambda params: Answer(200, {"Content-Type": "application/json"}),
    "huge_body": _huge_body,
    "expired_url": lambda params: cdn.expired(),
    "redirect": _redirect,
    "request_timeout": lambda params: errors.xml(
        400,
        "RequestTimeout",
        "Your socket connection to the server was not read from or written to within the timeout "
        "period. Idle connections will be closed.",
    ),
    "slow_down": lambda params: errors.xml(503, "SlowDown", "Please reduce your request rate."),
}


def spoil(fault: Fault, answer: Answer, delivery: Delivery) -> None:
    """Change the true answer, or the way it travels."""
    change = _CHANGES.get(fault.kind)
    if change is not None:
        change(fault.params, answer, delivery)


def _cut(how: str, at: int | None) -> Callable[[_Params, Answer, Delivery], None]:
    def change(params: _Params, answer: Answer, delivery: Delivery) -> None:
        delivery.cut_how = how
        default = answer.length // 2 if at is None else at
        delivery.cut_after = int(params.get("after_bytes", default))
        delivery.stall_s = params.get("seconds")

    return change


def _reset_before(params: _Params, answer: Answer, delivery: Delivery) -> None:
    delivery.reset_before_headers = True


def _stall_before(params: _Params, answer: Answer, delivery: Delivery) -> None:
    seconds = params.get("seconds")
    delivery.delay_s += float("inf") if seconds is None else float(seconds)


def _drip(params: _Params, answer: Answer, delivery: Delivery) -> None:
    delivery.rate_bytes_per_s = float(params.get("bytes_per_s", 1000))


def _truncate(params: _Params, answer: Answer, delivery: Delivery) -> None:
    body = answer.body()
    answer.set_body(body[: len(body) // 2])


def _wrong_types(params: _Params, answer: Answer, delivery: Delivery) -> None:
    """Objects where lists are expected, numbers where texts are, and the like."""
    _rewrite(answer, _twist)


def _twist(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _twist(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return {str(index): _twist(inner) for index, inner in enumerate(value)}
    if isinstance(value, str):
        return len(value)
    return [value]


def _rewrite(answer: Answer, change: Callable[[Any], Any]) -> None:
    try:
        body = json.loads(answer.body())
    except ValueError:
        return
    answer.set_body(json.dumps(change(body)).encode())


def _wrong_content_range(params: _Params, answer: Answer, delivery: Delivery) -> None:
    shift = int(params.get("shift", 1))
    if answer.status == 206 and answer.content is not None:
        first, last = answer.start + shift, answer.stop - 1 + shift
        answer.headers["Content-Range"] = f"bytes {first}-{last}/{answer.content.size}"


def _whole(params: _Params, answer: Answer, delivery: Delivery) -> None:
    if answer.status == 206 and answer.content is not None:
        answer.status = 200
        answer.headers.pop("Content-Range", None)
        answer.start, answer.stop = 0, answer.content.size


def _long_body(params: _Params, answer: Answer, delivery: Delivery) -> None:
    """More than was requested: later bytes, or earlier ones where the object ends."""
    extra = int(params.get("extra_bytes", 1000))
    if answer.status != 206 or answer.content is None:
        body = answer.body()
        answer.set_body(body + b" " * extra)
        return
    size = answer.content.size
    stop = min(answer.stop + extra, size)
    answer.start = max(0, answer.start - (extra - (stop - answer.stop)))
    answer.stop = stop
    answer.headers["Content-Range"] = f"bytes {answer.start}-{stop - 1}/{size}"


class _Inverted:
    """The same length, every byte another one."""

    def __init__(self, true: Content) -> None:
        self._true = true

    @property
    def size(self) -> int:
        return self._true.size

    @property
    def is_ready(self) -> bool:
        return self._true.is_ready

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        flip = bytes(255 - value for value in range(256))
        for piece in self._true.pieces(start, stop):
            yield memoryview(bytes(piece).translate(flip))


def _wrong_bytes(params: _Params, answer: Answer, delivery: Delivery) -> None:
    if answer.content is not None:
        answer.content = _Inverted(answer.content)


def _changed_etag(params: _Params, answer: Answer, delivery: Delivery) -> None:
    answer.headers["ETag"] = '"' + "0f" * 16 + '-9"'


def _huge_headers(params: _Params, answer: Answer, delivery: Delivery) -> None:
    answer.headers["X-Emulator-Padding"] = "x" * (1024 * int(params.get("kilobytes", 256)))


def _page_circle(params: _Params, answer: Answer, delivery: Delivery) -> None:
    def change(body: Any) -> Any:
        links = body.setdefault("links", {})
        at = urlsplit(links.get("next", links.get("self", {})).get("href", ""))
        query = dict(parse_qsl(at.query, keep_blank_values=True))
        here = max(0, int(query.get("page[number]", 1)) - 1) if "next" in links else 0
        query["page[number]"] = str(params.get("to", here))
        links["next"] = {"href": at._replace(query=urlencode(query)).geturl()}
        return body

    _rewrite(answer, change)


def _next_other_host(params: _Params, answer: Answer, delivery: Delivery) -> None:
    def change(body: Any) -> Any:
        links = body.setdefault("links", {})
        at = urlsplit(links.get("next", links.get("self", {})).get("href", ""))
        other = urlsplit(params.get("host", "http://127.0.0.1:9"))
        moved = at._replace(scheme=other.scheme, netloc=other.netloc)
        links["next"] = {"href": moved.geturl()}
        return body

    _rewrite(answer, change)


def _rotten_row(params: _Params, answer: Answer, delivery: Delivery) -> None:
    """One row that is no use, ``at`` its index: ``how`` no_id, no_name, no_type or number."""

    def change(body: Any) -> Any:
        rows = body.get("data")
        at = int(params.get("at", 0))
        if isinstance(rows, list) and at < len(rows):
            how = params.get("how", "no_id")
            if how == "number":
                rows[at] = 5
            elif how == "no_id":
                rows[at].pop("id", None)
            elif how == "no_type":
                rows[at]["type"] = None
            else:
                rows[at]["attributes"] |= {"name": 5, "displayName": 5}
        return body

    _rewrite(answer, change)


def _missing_row(params: _Params, answer: Answer, delivery: Delivery) -> None:
    """A listing without the entry of that name, and without its tip."""
    name = params.get("name")

    def change(body: Any) -> Any:
        gone = {
            tip["relationships"]["item"]["data"]["id"]
            for tip in body.get("included", ())
            if tip["attributes"].get("name") == name
        }
        for key in ("data", "included"):
            body[key] = [
                row for row in body.get(key, ())
                if row["id"] not in gone
                and row["attributes"].get("name") != name
                and row["attributes"].get("displayName") != name
            ]  # fmt: skip
        return body

    _rewrite(answer, change)


def _no_etag(params: _Params, answer: Answer, delivery: Delivery) -> None:
    answer.headers.pop("ETag", None)


def _wrong_size(params: _Params, answer: Answer, delivery: Delivery) -> None:
    """Every size is told ``by`` bytes too big."""

    def change(value: Any) -> Any:
        if isinstance(value, list):
            return [change(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        return {
            key: inner + int(params.get("by", 1))
            if key in ("size", "storageSize") and isinstance(inner, int)
            else change(inner)
            for key, inner in value.items()
        }

    _rewrite(answer, change)


_CHANGES: dict[str, Callable[[_Params, Answer, Delivery], None]] = {
    "reset_before_headers": _reset_before,
    "reset_after_headers": _cut("rst", 0),
    "reset_mid_body": _cut("rst", None),
    "stall_before_headers": _stall_before,
    "stall_mid_body": _cut("stall", None),
    "short_body": _cut("fin", None),
    "drip": _drip,
    "truncated_json": _truncate,
    "wrong_json_types": _wrong_types,
    "wrong_content_range": _wrong_content_range,
    "ok_200_instead_of_206": _whole,
    "long_body": _long_body,
    "wrong_bytes": _wrong_bytes,
    "changed_etag": _changed_etag,
    "huge_headers": _huge_headers,
    "page_circle": _page_circle,
    "next_other_host": _next_other_host,
    "rotten_row": _rotten_row,
    "missing_row": _missing_row,
    "no_etag": _no_etag,
    "wrong_size": _wrong_size,
}
