"""The control endpoint, ``/_emulator/…`` on the API origin: see ``docs/emulator.md``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.http.messages import Answer, Request, bytes_answer, json_answer
from dmfs.emulator.server import sign_in_control
from dmfs.emulator.server.designs import control as designs
from dmfs.emulator.server.emulator import Emulator
from dmfs.emulator.server.orders import past, thumbnails
from dmfs.emulator.world import content_threads, facts
from dmfs.emulator.world.changing import finding
from dmfs.emulator.world.content import read
from dmfs.emulator.world.model import Item, Storage
from dmfs.emulator.writing import views

_BYTES_MAX = 256 * 1024 * 1024


async def handle(emulator: Emulator, request: Request) -> Answer:
    """Dispatch by method and last segment; what makes no sense is a 400 that says why."""
    key = (request.method, "/".join(request.segments[1:]))
    handler = _HANDLERS.get(key)
    if handler is None:
        return json_answer({"error": f"no control call {key[0]} /_emulator/{key[1]}"}, 404)
    try:
        body = json.loads(request.body) if request.body else {}
        if not isinstance(body, dict):
            raise ValueError("the body is a JSON object")
        return await handler(emulator, request, body)
    except LookupError as error:
        return json_answer({"error": str(error.args[0]) if error.args else "not found"}, 404)
    except (ValueError, TypeError) as error:
        return json_answer({"error": str(error)}, 400)


async def _world(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    return json_answer(facts.world(emulator.world))


def _storage(emulator: Emulator, request: Request) -> Storage:
    urn = request.query.get("storage", "")
    storage = emulator.world.storages.get(urn)
    if storage is None:
        raise LookupError(f"no storage object {urn!r}")
    return storage


async def _sha256(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    storage = _storage(emulator, request)
    digest = await content_threads.digest(storage.content, "sha256")
    return json_answer({"storage": storage.urn, "sha256": digest, "size": storage.content.size})


async def _bytes(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    content = _storage(emulator, request).content
    start = max(0, request.number("offset", 0))
    length = request.number("length", content.size)
    stop = min(content.size, start + length)
    if stop - start > _BYTES_MAX:
        raise ValueError(f"at most {_BYTES_MAX} bytes at once")
    await content_threads.prepare(content)
    return bytes_answer(read(content, start, stop), "application/octet-stream")


async def _calls(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    return json_answer(emulator.calls.as_dict())


async def _callers(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    unknown = request.query.keys() - {"client", "user", "agent", "token"}
    if unknown:
        raise ValueError(
            f"callers are told apart by client, user, agent, token, not {min(unknown)}"
        )
    return json_answer({"callers": emulator.calls.callers(request.query)})


async def _reset(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    emulator.calls.reset()
    emulator.limits.reset()
    emulator.service.writing.violations.reset()
    emulator.service.writing.looks.reset()
    return json_answer({})


async def _settings(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    emulator.settings.update(body)
    return json_answer(emulator.settings.as_dict())


async def _add_fault(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    return json_answer({"id": emulator.faults.add(body).id})


async def _faults(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    return json_answer({"faults": emulator.faults.as_list()})


async def _clear_faults(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    emulator.faults.clear()
    return json_answer({})


async def _refuse(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    origin, seconds = body.get("origin"), float(body.get("seconds", 1))
    if origin not in ("api", "cdn"):
        raise ValueError("origin is api or cdn")
    answer = json_answer({})

    async def after_sent() -> None:
        # Only once this answer is out: refusing the API drops this connection too.
        emulator.refuse(origin, seconds)

    answer.after_sent = after_sent
    return answer


async def _change(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    try:
        result = emulator.carry_out(body)
    except Refusal as refusal:
        return refusal.answer
    return json_answer(result)


async def _add_race(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    return json_answer({"id": emulator.races.add(body).id})


async def _races(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    return json_answer({"races": emulator.races.as_list()})


async def _clear_races(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    emulator.races.clear()
    return json_answer({})


async def _violations(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    return json_answer(emulator.service.writing.violations.as_dict())


async def _writes(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    return json_answer(await views.writes(emulator.service.writing))


async def _timeline(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    node = finding.by_id(emulator.world, request.query["id"]) if "id" in request.query else None
    node = node or finding.by_path(emulator.world, request.query.get("path", ""))
    if not isinstance(node, Item):
        raise ValueError("only a file has a timeline")
    return json_answer(await views.timeline(emulator.service.writing, node))


async def _expire_tokens(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    emulator.sign_in.tokens.expire_all()
    return json_answer({})


async def _expire_urls(emulator: Emulator, request: Request, body: dict[str, Any]) -> Answer:
    emulator.service.signer.expire_all()
    return json_answer({})


_Handler = Callable[["Emulator", Request, dict[str, Any]], Awaitable[Answer]]
_HANDLERS: dict[tuple[str, str], _Handler] = {
    ("GET", "world"): _world,
    ("GET", "sha256"): _sha256,
    ("GET", "bytes"): _bytes,
    ("GET", "calls"): _calls,
    ("GET", "callers"): _callers,
    ("POST", "reset"): _reset,
    ("GET", "settings"): _settings,
    ("PATCH", "settings"): _settings,
    ("POST", "faults"): _add_fault,
    ("GET", "faults"): _faults,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "refuse"): _refuse,
    ("POST", "change"): _change,
    ("POST", "races"): _add_race,
    ("GET", "races"): _races,
    ("DELETE", "races"): _clear_races,
    ("GET", "violations"): _violations,
    ("GET", "writes"): _writes,
    ("GET", "timeline"): _timeline,
    ("POST", "expire_tokens"): _expire_tokens,
    ("POST", "expire_urls"): _expire_urls,
    **past.HANDLERS,
    **sign_in_control.HANDLERS,
    **designs.HANDLERS,
    **thumbnails.HANDLERS,
}
