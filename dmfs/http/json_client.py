"""Calls to the API: retries, rate limit, circuit breaker, counters. JSON objects come out.

Knows neither tokens nor what the JSON means. Every wait happens inside the caller's deadline
(``trio.fail_after`` around the call); this file only reads it, to fail early with the better error
instead of sleeping into it.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, overload
from urllib.parse import quote, urlencode

import trio

from dmfs.errors import BadResponseError, DriveError, OfflineError
from dmfs.http.circuit_breaker import CircuitBreaker
from dmfs.http.client import (
    BASE_HEADERS,
    ERROR_BODY_MAX_BYTES,
    SILENCE_S,
    HttpClient,
    LocalShortageError,
    NestedEncodingError,
    Request,
    Response,
    TransportError,
)
from dmfs.http.errormap import (
    RETRY_STATUSES,
    clean,
    from_refusal,
    from_status,
    from_transport,
    retry_after_s,
    unknown_outcome,
)
from dmfs.http.json_body import (
    BODY_MAX_BYTES,
    MIB,
    DamagedBodyError,
    Decode,
    T,
    as_raw,
    decode_body,
    is_web_page,
)
from dmfs.ratelimit.call_tally import count_call
from dmfs.ratelimit.limiter import RateLimiter, refuse_if_late
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority, current_priority
from dmfs.ratelimit.stall_gate import StallGate, Watch
from dmfs.ratelimit.stall_memory import Stretch
from dmfs.system.backoff import backoff_s

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""As Autodesk's own SDK."""
DAMAGED_ATTEMPTS = 2
"""A damaged response may be an accident once; a captive portal sends the same for ever."""
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 8.0
FAILING_PATHS = 2
"""So many paths of a route failed with all their tries, and none worked since: the next ones get a
single try. (Five tries take 7.5 s: a walk over 100 such folders took 12 minutes.)"""
PROBE_PATH = "/authentication/v2/keys"
"""Public keys: no token, no published limit, a kilobyte."""
PROBE_PATIENCE = 4.0
"""The service counts as away after so many times the slowest answer of late."""
PROBE_PATIENCE_MAX_S = 5.0
SLOWEST_DECAY = 0.9
SEE_OTHER = 303
_BROKEN_GATEWAY = frozenset({408, 502, 503, 504})
"""Statuses of a gateway in front of a service that is silent."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API. ``action`` names it in the user's words ("list folder Plans"),
    ``route`` is the rate-limited endpoint."""

    action: str
    route: str
    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    url: str = ""
    """Instead of the path on the API's origin: user info has a host of its own."""
    silence_s: float | None = None
    """Longest wait for a byte, where it differs from the usual."""
    may_be_empty: bool = False
    """A success may come without a body."""
    json: Mapping[str, Any] | None = field(default=None, repr=False)
    """The body."""
    content_type: str = "application/json"
    """Of ``json``, to the letter."""
    once: bool = False
    """It changes something, and is never sent again behind the caller's back: see ``request``."""
    before_sending: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)
    """Runs before each try, when all waits are over: what is written down here says that the call
    may have been sent, and a kill during a wait for the rate limit leaves nothing in doubt."""
    raw_max_bytes: int = 0
    """More than 0: the answer is no JSON, and so long at most; ``decode`` gets its ``status``,
    ``type`` and ``body``."""
    see_other: bool = False
    """A 303 is an answer: ``decode`` gets ``{"location": …}``. It is not followed."""


OnCall = Callable[[str, str, float], None]
"""Gets the route, the outcome and the seconds of each call, in the task that made it."""


class JsonClient:
    """The API's origin as one object: ``request``, ``probe``, ``gauges``."""

    def __init__(
        self,
        api_url: str,
        client: HttpClient,
        limiter: RateLimiter,
        breaker: CircuitBreaker | None = None,
        on_call: OnCall = lambda _route, _outcome, _took_s: None,
    ) -> None:
        self._api_url = api_url
        self._client = client
        self._limiter = limiter
        self._on_call = on_call
        self.breaker = breaker or CircuitBreaker()
        self.breaker.subscribe(on_open=self._give_up, on_close=self._look_anew)
        self._stalls = StallGate()
        self._under_way: set[trio.CancelScope] = set()
        """Tries that may be sent again."""
        self._failing: dict[str, set[str]] = {}
        """Route → paths that failed with all their tries since the last success."""
        self._slowest_s = 0.0
        self._calls: Counter[tuple[str, str]] = Counter()
        self._retries = 0
        self._received_bytes = 0

    @overload
    async def request(self, call: Call) -> dict[str, Any]: ...

    @overload
    async def request(self, call: Call, decode: Decode[T]) -> T: ...

    async def request(self, call: Call, decode: Decode[Any] | None = None) -> Any:
        """The JSON object that answers ``call``, or what ``decode`` makes of it.

        Retries 408, 429, 5xx, broken connections and (once) damaged responses, each after a
        backoff with jitter or after Retry-After, as long as the deadline leaves room and the
        call's priority is that of a waiting program. What let a whole deadline pass a moment ago
        fails at once (``ratelimit.stall_gate``). DriveErrors.

        A call of ``once`` is sent again after a 429 alone, which says that nothing happened.
        UnknownOutcomeError if it was sent and no answer says whether it happened: broken, silent,
        408, 5xx, or an answer of another shape. UnreachableError else (OfflineError, BusyError,
        CertificateError, ShortageError): it was not sent. A caller's own deadline may pass at any
        moment of it, so DeadlineError means the same as UnknownOutcomeError.
        """
        if call.method != "GET":
            return await self._request(call, decode or _as_is, None)
        self.breaker.check(call.action)
        stretch = Stretch(call.route, call.path)
        with self._stalls.watch(stretch, call.action, lambda: self._look(call)) as watch:
            try:
                return await self._request(call, decode or _as_is, watch)
            finally:
                if watch.is_stall():
                    self.breaker.failed()  # the host, perhaps: its probe will find out

    async def run(self) -> None:
        """Look in the background whether what stalls answers again, for ever."""
        await self._stalls.run()

    async def _request(self, call: Call, decode: Decode[T], watch: Watch | None) -> T:
        failing = self._failing.setdefault(call.route, set())
        attempts = 1 if len(failing - {call.path}) >= FAILING_PATHS else ATTEMPTS
        failed: DriveError | None = None
        for attempt in range(1, ATTEMPTS + 1):
            if failed is not None and self.breaker.is_open:
                raise failed  # it says more than that we are offline
            self.breaker.check(call.action)
            await self._limiter.acquire(call.route, call.action)
            self.breaker.check(call.action)  # the network may have gone during the wait
            if call.before_sending is not None:
                await call.before_sending()
            self._retries += attempt > 1
            outcome, wait_s = await self._attempt(call, attempt, decode, watch)
            if not isinstance(outcome, DriveError):
                failing.clear()
                return outcome
            if wait_s is None or self.breaker.is_open:
                raise outcome
            if attempt == ATTEMPTS or (attempt >= attempts and outcome.status in _BROKEN_GATEWAY):
                if len(failing) < FAILING_PATHS + 1:
                    failing.add(call.path)
                raise outcome
            if outcome.status != 429 and current_priority().level >= Priority.AHEAD:
                raise outcome  # speculation: an idle mount called 20 times a minute
            if trio.current_time() + wait_s >= trio.current_effective_deadline():
                raise outcome
            failed = outcome
            log.info("%s; trying again in %.1f s", outcome.message, wait_s)
            await trio.sleep(wait_s)
        raise AssertionError("unreachable")

    async def probe(self, timeout_s: float) -> bool:
        """Whether the service itself answers: one call without a token or a rate limit."""
        call = Call(action="reach the service", route="probe", method="GET", path=PROBE_PATH)
        patience_s = min(self._slowest_s * PROBE_PATIENCE, PROBE_PATIENCE_MAX_S)
        with trio.move_on_after(max(timeout_s, patience_s)):
            try:
                response = await self._client.send(self._to_request(call))
            except LocalShortageError:
                return True  # says nothing of the service
            except (TransportError, NestedEncodingError):
                return False
            if response.truncated and response.is_success:
                return False
            is_portal = is_web_page(response.headers, response.body)
            return not is_portal and not 300 <= response.status < 400
        return False

    def gauges(self) -> dict[str, int]:
        """API calls by route and outcome ("ok", "http_429", a transport error's kind,
        "cancelled"), retries, and bytes of bodies."""
        calls = {f"calls.{route}.{outcome}": n for (route, outcome), n in self._calls.items()}
        own = {"http.retries": self._retries, "http.received_bytes": self._received_bytes}
        return {**calls, **own, **self._stalls.gauges()}

    async def _attempt(
        self, call: Call, attempt: int, decode: Decode[T], watch: Watch | None
    ) -> tuple[T | DriveError, float | None]:
        """One try: the result, or an error and seconds to wait before the next (None: final)."""
        started = trio.current_time()
        pause_s = backoff_s(attempt, BACKOFF_FIRST_S, BACKOFF_MAX_S)
        try:
            response = await self._exchange(call, watch)
        except TransportError as error:
            log.debug("%s %s failed: %s", call.method, call.route, clean(str(error)))
            if not isinstance(error, LocalShortageError):
                self.breaker.failed()
            failure = from_transport(call.action, error)
            if call.once:
                return (_unknown(call, failure) if error.sent else failure), None
            return failure, pause_s
        except NestedEncodingError as error:
            return _final(call, from_transport(call.action, error)), None
        status, headers, body, truncated = response
        if truncated and response.is_success:
            return _final(call, _too_large(call)), None
        if is_web_page(headers, body):
            self.breaker.failed()  # a captive portal? the probe will find out
        took_ms = (trio.current_time() - started) * 1000
        log.debug("%s %s %d %d bytes %.0f ms", call.method, call.route, status, len(body), took_ms)
        if response.is_success:
            return await _decoded(
                call, response, decode, pause_s if attempt < DAMAGED_ATTEMPTS else None
            )
        if status == SEE_OTHER and call.see_other:
            return decode({"location": headers.get("location", "")}), None
        refusal = from_refusal if call.once else from_status
        failure = refusal(call.action, status, body, headers)
        if status not in RETRY_STATUSES or (call.once and status != 429):
            return failure, None
        retry_s = retry_after_s(headers)
        if status == 429:
            self._limiter.back_off(call.route, retry_s)
            refuse_if_late(retry_s or 0.0, call.action)
            return failure, 0.0
        return failure, pause_s if retry_s is None else max(retry_s, pause_s)

    async def _exchange(self, call: Call, watch: Watch | None) -> Response:
        """Send, and count the outcome: each call counts against a quota, even one without a
        response."""
        outcome = "cancelled"
        began = trio.current_time()
        try:
            response = await self._send(call, watch)
            outcome = "ok" if response.is_success else f"http_{response.status}"
            self._received_bytes += len(response.body)
            took_s = trio.current_time() - began
            self._slowest_s = max(took_s, self._slowest_s * SLOWEST_DECAY)
            return response
        except TransportError as error:
            outcome = error.kind
            raise
        except NestedEncodingError:
            outcome = "nested_encoding"
            raise
        finally:
            self._calls[call.route, outcome] += 1
            count_call(call.route)
            self._on_call(call.route, outcome, trio.current_time() - began)

    async def _send(self, call: Call, watch: Watch | None) -> Response:
        """One exchange. A GET ends with OfflineError when the breaker opens meanwhile; what is
        posted may have arrived, and may not be sent twice."""
        if watch is None:
            return await self._client.send(self._to_request(call))
        began = trio.current_time()
        with watch.sending(), trio.CancelScope() as scope:
            self._under_way.add(scope)
            try:
                response = await self._client.send(self._to_request(call))
            finally:
                self._under_way.discard(scope)
            if response.status not in _BROKEN_GATEWAY:
                watch.answered(trio.current_time() - began)
            return response
        self.breaker.check(call.action)
        raise OfflineError(f"cannot {call.action}: the service cannot be reached")

    def _give_up(self) -> None:
        """The service is away: nobody waits any longer for what it will not answer."""
        for scope in self._under_way:
            scope.cancel()

    def _look_anew(self) -> None:
        self._stalls.clear()
        self._failing.clear()

    async def _look(self, call: Call) -> bool:
        """Whether the call would be answered now. A refused token tells nothing: whoever refuses it
        stands in front of what stalls."""
        if self.breaker.is_open:
            return False
        with at_priority(RequestPriority(Priority.POLL)):
            await self._limiter.acquire(call.route, call.action)
        try:
            response = await self._exchange(call, None)
        except (TransportError, NestedEncodingError):
            return False
        return response.status not in _BROKEN_GATEWAY | {401, 429}

    def _to_request(self, call: Call) -> Request:
        url = call.url or self._api_url + call.path
        if call.params:
            url += "?" + urlencode(call.params, quote_via=quote)
        headers, content = {**BASE_HEADERS, **call.headers}, None
        if call.json is not None:
            content = json.dumps(call.json, ensure_ascii=False, separators=(",", ":")).encode()
            headers["Content-Type"] = call.content_type
        return Request(
            call.method,
            url,
            headers=headers,
            form=call.form,
            content=content,
            silence_s=call.silence_s or SILENCE_S,
            body_max_bytes=call.raw_max_bytes or BODY_MAX_BYTES,
            error_max_bytes=ERROR_BODY_MAX_BYTES,
        )


def _as_is(answer: dict[str, Any]) -> dict[str, Any]:
    return answer


async def _decoded(
    call: Call, response: Response, decode: Decode[T], pause_s: float | None
) -> tuple[T | DriveError, float | None]:
    """As ``JsonClient._attempt``, of a success; ``pause_s`` is for a damaged body."""
    try:
        if call.may_be_empty and not response.body.strip():
            return decode({}), None
        if call.raw_max_bytes:
            return decode(as_raw(response)), None
        return await decode_body(call.action, response, decode), None
    except DamagedBodyError as damage:
        return _final(call, damage.error), None if call.once else pause_s
    except BadResponseError as error:  # whole, but of an unknown shape: so it will be next time
        return _final(call, error), None


def _final(call: Call, error: DriveError) -> DriveError:
    """The error of an answer that cannot be used."""
    return _unknown(call, error) if call.once else error


def _unknown(call: Call, error: DriveError) -> DriveError:
    return unknown_outcome(call.action, error.message.removeprefix(f"cannot {call.action}: "))


def _too_large(call: Call) -> BadResponseError:
    limit_mib = (call.raw_max_bytes or BODY_MAX_BYTES) // MIB
    return BadResponseError(f"cannot {call.action}: the answer is larger than {limit_mib} MiB")
