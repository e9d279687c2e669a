"""One request from arrival to answer: routing, token, limits, faults, counting."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import h11
import trio

from dmfs.emulator.http import errors
from dmfs.emulator.http.delivery import Delivery, Stream, deliver
from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.http.messages import Answer, Request
from dmfs.emulator.server import control, fault_kinds, races, routes, watch
from dmfs.emulator.server.call_log import token_mark
from dmfs.emulator.server.emulator import Emulator
from dmfs.emulator.server.faults import Call, Fault

_log = logging.getLogger("dmfs.emulator")


async def handle(
    emulator: Emulator, stream: Stream, connection: h11.Connection, request: Request
) -> Answer:
    """Answer one request on the wire. ConnectionBroken: no further request can follow."""
    if request.origin == "api" and request.segments[:1] == ["_emulator"]:
        answer = await _guarded(control.handle(emulator, request))
        await deliver(stream, connection, answer, Delivery())
        return answer
    route, args = routes.find(request.origin, request.method, request.segments)
    name = route.name if route else "other"
    emulator.sign_in.tokens.identify(request)
    entry = log_entry(request, name)
    emulator.calls.begin(entry)
    call = Call(request.origin, name, _page(request), request.target, request.body)
    fault = emulator.faults.pick(call)
    entry["fault"] = request.fault = fault.kind if fault else None
    effect = _Effect(emulator, request, route, args, emulator.races.pick(call))
    answer, delivery = await _prepare(effect, fault)
    entry["client"] = request.client_id
    seen: list[str] = []
    if fault is None:
        seen = watch.seen_in(emulator, request, name, args, answer.status)
    else:  # before its client knows: it may look before this task goes on
        watch.after(emulator, request, name, args, fault)
    answer.date_offset_s = emulator.settings.date_offset_s
    looks = emulator.service.writing.looks
    try:
        with looks.handing_over(watch.who(request), seen, request.called_s):
            await deliver(stream, connection, answer, delivery)
        if fault is None:
            for delivered in request.delivered:
                delivered()
    finally:
        status = 0 if delivery.reset_before_headers else answer.status
        emulator.calls.end(entry, status, delivery.sent_bytes)
        _log.info("%s %s %s %s", name, request.method, request.path, status)
    return answer


@dataclass(slots=True)
class _Effect:
    """What a call does, and what others do just before and after it."""

    emulator: Emulator
    request: Request
    route: routes.Route | None
    args: list[str]
    started: list[races.Race]

    async def happen(self) -> Answer:
        """The true answer."""
        emulator, request = self.emulator, self.request
        races.run(self.started, "before", emulator.carry_out)
        request.called_s = time.time()
        if self.route is not None:
            watch.before(emulator, request, self.route.name, self.args)
        answer = await _guarded(_call(emulator, request, self.route, self.args))
        races.run(self.started, "after", emulator.carry_out)
        return answer

    async def happen_later(self) -> None:
        """Its client has gone on meanwhile: what the effect meets now is not its fault."""
        violations = self.emulator.service.writing.violations
        violations.paused = True
        try:
            await self.happen()
        finally:
            violations.paused = False


async def _prepare(effect: _Effect, fault: Fault | None) -> tuple[Answer, Delivery]:
    """The answer and how it is to travel, with the latency already spent."""
    request, route, settings = effect.request, effect.route, effect.emulator.settings
    is_cdn = request.origin == "cdn"
    carries_bytes = is_cdn or (route is not None and route.name == "signed_resource")
    delivery = Delivery(rate_bytes_per_s=settings.cdn_bytes_per_s if carries_bytes else 0.0)
    delivery.carry = effect.emulator.carry if carries_bytes else None
    latency_ms = settings.cdn_latency_ms if is_cdn else settings.api_latency_ms
    if route is not None:
        latency_ms = settings.route_latency_ms.get(route.name, latency_ms)
    if latency_ms:
        await trio.sleep(latency_ms / 1000)
    if fault is None:
        return await effect.happen(), delivery
    seconds = fault.params.get("seconds")
    if fault.kind in ("reset_before_effect", "late_effect"):
        if fault.kind == "late_effect":
            effect.emulator.service.later(float(seconds or 0), effect.happen_later)
        delivery.reset_before_headers = True
        return Answer(200), delivery
    if fault.kind == "stall_before_effect":
        await trio.sleep(float("inf") if seconds is None else float(seconds))
    answer = fault_kinds.replacement(fault)
    if answer is None or fault.params.get("after_effect"):
        true_answer = await effect.happen()
        answer = answer or true_answer
        fault_kinds.spoil(fault, answer, delivery)
    return answer, delivery


async def _call(
    emulator: Emulator, request: Request, route: routes.Route | None, args: list[str]
) -> Answer:
    if route is None:
        if request.origin == "cdn":
            return errors.xml(405, "MethodNotAllowed", "The specified method is not allowed")
        return errors.gateway(404, "NOT_FOUND", "The requested path does not exist.")
    service = emulator.sign_in if route.signs_in else emulator.service
    if not route.scope:
        return await route.handler(service, request, args)
    token = emulator.sign_in.tokens.require(request, route.scope)
    retry_after_s = emulator.limits.retry_after_s(token.app.client_id, route.limit)
    if retry_after_s is not None:
        return errors.quota(retry_after_s)
    return await route.handler(service, request, args, token)


async def _guarded(call: Any) -> Answer:
    """A refusal is an answer; a bug is a 500 and a traceback on stderr, never a dead server."""
    try:
        answer: Answer = await call
    except Refusal as refusal:
        return refusal.answer
    except Exception:  # noqa: BLE001 - the net under every handler
        _log.exception("a handler failed")
        return errors.jsonapi(500, "EMULATOR_BUG", "The emulator has a bug; see its stderr.")
    return answer


def _page(request: Request) -> int:
    text = request.query.get("page[number]", "0")
    return int(text) if text.isascii() and text.isdigit() else 0


def log_entry(request: Request, route: str) -> dict[str, Any]:
    """A call as it is written into the log when it arrives."""
    return {
        "t": time.time(),
        "origin": request.origin,
        "method": request.method,
        "route": route,
        "client": request.client_id,
        "user": request.user_id,
        "agent": request.headers.get("user-agent", ""),
        "token": token_mark(request.headers.get("authorization", "")),
        "path": request.path,
        "query": request.query_text,
        "range": request.headers.get("range"),
        "status": 0,
        "bytes": 0,
        "authorization_present": "authorization" in request.headers,
        "user_id": request.headers.get("x-user-id"),
        "fault": None,
    }
