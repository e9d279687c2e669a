"""One conversation with the API: retries, limits, JSON. Floor 1; sole user of httpx, which posts
forms. Questions are asked by libcurl (``questions.py``).

Owns: backoff, the body limit, turning a broken conversation into a DriveError.
Must not know: tokens, what the JSON means.

Every wait happens inside the caller's deadline (``trio.fail_after`` of whoever started the call);
this file only reads it, to fail early with the better error instead of sleeping into it.
"""

from __future__ import annotations

import json
import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import httpx
import trio

from dmfs.errors import BadResponseError, DriveError, SetupError
from dmfs.http.circuit_breaker import CircuitBreaker
from dmfs.http.curl_client import CurlClient, NestedEncodingError, TransportError
from dmfs.http.errormap import (
    ERROR_BODY_MAX_BYTES,
    RETRY_STATUSES,
    clean,
    from_status,
    from_transport,
    retry_after_s,
)
from dmfs.http.tls import client_context
from dmfs.ratelimit.limiter import RateLimiter, refuse_if_late
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import current_priority
from dmfs.system.gc_tuning import uncollected

log = logging.getLogger(__name__)

T = TypeVar("T")
Decode = Callable[[dict[str, Any]], T]
"""From the JSON object to what is kept of it; BadResponseError for another shape."""

MIB = 1024 * 1024
BODY_MAX_BYTES = 8 * MIB
"""A page of 200 entries with their tips is 1.1 MB in real answers (1.5 MB indented)."""
VALUES_MAX = 500_000
"""The same page holds 24 000 values. 8 MiB of ``[[[]]],`` would take 320 MiB once parsed; so many
values take 90 at most."""
ATTEMPTS = 5
"""As Autodesk's own SDK."""
DAMAGED_ATTEMPTS = 2
"""A damaged answer may be an accident once; a captive portal says the same for ever."""
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 8.0
CONNECTIONS = 48
"""48 calls at once, a window of small files: signing 1000 of them at 100 ms a call took 12.5 s
through 8."""
FORM_CONNECTIONS = 2
"""Tokens: now and then, one at a time."""
SILENCE_S = 15.0
THREAD_PARSE_BYTES = 256 * 1024
"""A page of 1.5 MB takes some 20 ms to parse, and as long to decode: not on the loop that answers
the kernel."""

PARSERS = trio.CapacityLimiter(1)
"""Parsing holds the interpreter; twelve threads at it would keep the loop waiting twelve times as
long, and be no sooner done. Parsed and decoded in one go, so that one page at a time (10 MB)
stands in memory: the holes that a dozen left in the heap stayed there, 20 MiB of them."""
PROBE_PATH = "/authentication/v2/keys"
"""Public keys: no token, no published limit, a kilobyte."""


_BROKEN = TransportError, httpx.TransportError, httpx.DecodingError, httpx.InvalidURL, OSError
_HEADERS = {"Accept": "application/json", "User-Agent": "dmfs"}


@dataclass(frozen=True, slots=True)
class Clients:
    """Who speaks to the API. Without ``questions`` httpx asks them as well."""

    forms: httpx.AsyncClient
    questions: CurlClient | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One question. ``what`` is it in the user's words, ``route`` the rate-limited endpoint."""

    what: str
    route: str
    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    url: str = ""
    """Instead of the path on the API's origin: user info lives on a host of its own."""
    patience_s: float | None = None
    """Silence that is borne, if more than usual."""
    may_be_empty: bool = False
    """A success says nothing more."""


class JsonClient:
    """The API origin, spoken to politely."""

    def __init__(
        self,
        api_url: str,
        clients: httpx.AsyncClient | Clients,
        budget: RateLimiter,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        """A client alone is for who asks little."""
        self._api_url = api_url
        self._clients = clients if isinstance(clients, Clients) else Clients(clients)
        self._budget = budget
        self.breaker = breaker or CircuitBreaker()
        self._random = random.Random()

    async def ask(self, call: Call) -> dict[str, Any]:
        """The JSON object answered to ``call``; see ``ask_for``."""
        return await self.ask_for(call, _as_is)

    async def ask_for(self, call: Call, decode: Decode[T]) -> T:
        """What ``decode`` makes of the JSON object answered to ``call``.

        Retries 408, 429, 5xx, broken connections and (once) damaged answers, each after a backoff
        with jitter or the Retry-After asked for, as long as the deadline leaves room and somebody
        waits for it.
        """
        outcome: T | DriveError
        failed: DriveError | None = None
        for attempt in range(1, ATTEMPTS + 1):
            if failed is not None and self.breaker.is_open:
                raise failed  # it says more than that we are offline
            self.breaker.check(call.what)
            await self._budget.acquire(call.route, call.what)
            self.breaker.check(call.what)  # who queued while the network went learns it here
            outcome, wait_s = await self._attempt(call, attempt, decode)
            if not isinstance(outcome, DriveError):
                return outcome
            if wait_s is None or attempt == ATTEMPTS or self.breaker.is_open:
                raise outcome
            if outcome.status != 429 and current_priority().level >= Priority.AHEAD:
                raise outcome  # nobody waits: an idle mount asked 20 times a minute
            if trio.current_time() + wait_s >= trio.current_effective_deadline():
                raise outcome
            failed = outcome
            log.info("%s; trying again in %.1f s", outcome.message, wait_s)
            await trio.sleep(wait_s)
        raise AssertionError("unreachable")

    async def probe(self, timeout_s: float) -> bool:
        """Whether the service itself answers: one unmetered question without a token."""
        call = Call(what="reach the service", route="probe", method="GET", path=PROBE_PATH)
        try:
            with trio.fail_after(timeout_s):
                status, headers, body = await self._exchange(call)
        except (*_BROKEN, trio.TooSlowError, DriveError):
            return False
        return not is_web_page(headers, body) and not 300 <= status < 400

    async def reaches(self, origin: str, timeout_s: float) -> bool:
        """Whether another host (``https://host``) is there: anything it says will do, and if it
        breaks the conversation off, that is for whoever reads from it to judge."""
        client = self._clients.forms
        try:
            with trio.fail_after(timeout_s):
                response = await client.send(client.build_request("GET", f"{origin}/"), stream=True)
                await response.aclose()
        except (httpx.ReadError, httpx.RemoteProtocolError):
            return True
        except (httpx.TransportError, httpx.InvalidURL, OSError, trio.TooSlowError):
            return False
        return True

    async def _attempt(
        self, call: Call, attempt: int, decode: Decode[T]
    ) -> tuple[T | DriveError, float | None]:
        """One try: the answer, or an error and seconds to wait before the next (None: final)."""
        started = trio.current_time()
        backoff_s = min(BACKOFF_FIRST_S * 2 ** (attempt - 1), BACKOFF_MAX_S)
        backoff_s *= 0.5 + self._random.random() / 2
        try:
            status, headers, body = await self._exchange(call)
        except _BROKEN as error:
            log.debug("%s %s failed: %s", call.method, call.route, clean(str(error)))
            self.breaker.failed()
            return from_transport(call.what, error), backoff_s
        except BadResponseError as error:
            return error, None
        if is_web_page(headers, body):
            self.breaker.failed()  # a captive portal? the probe will tell
        took_ms = (trio.current_time() - started) * 1000
        log.debug("%s %s %d %d bytes %.0f ms", call.method, call.route, status, len(body), took_ms)
        if 200 <= status < 300:
            if call.may_be_empty and not body.strip():
                return decode({}), None
            try:
                return await _parse(call, headers, body, decode), None
            except _DamagedError as damage:
                return damage.error, (backoff_s if attempt < DAMAGED_ATTEMPTS else None)
            except (
                BadResponseError
            ) as error:  # whole, but not what we know: as it will be next time
                return error, None
        failure = from_status(call.what, status, body, headers)
        if status not in RETRY_STATUSES:
            return failure, None
        asked_s = retry_after_s(headers)
        if status == 429:
            self._budget.hold(call.route, asked_s)
            refuse_if_late(asked_s or 0.0, call.what)
            return failure, 0.0
        return failure, backoff_s if asked_s is None else max(asked_s, backoff_s)

    async def _exchange(self, call: Call) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body, the body cut off (errors) or refused (answers) at its limit."""
        if self._clients.questions is not None and call.method == "GET":
            return await self._ask(self._clients.questions, call)
        client = self._clients.forms
        request = client.build_request(
            call.method,
            call.url or self._api_url + call.path,
            params=dict(call.params) or None,
            data=dict(call.form) if call.form is not None else None,
            headers=dict(call.headers),
            timeout=_timeout(call.patience_s),
        )
        response = await client.send(request, stream=True)
        try:
            if len(response.headers.get_list("content-encoding", split_commas=True)) > 1:
                # each layer multiplies a thousandfold, and decoders do it in one step
                raise _packed_twice(call)
            limit = BODY_MAX_BYTES if response.is_success else ERROR_BODY_MAX_BYTES
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.aiter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > limit:
                    if response.is_success:
                        raise _too_large(call)
                    break
            return response.status_code, response.headers, b"".join(chunks)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await response.aclose()

    async def _ask(self, questions: CurlClient, call: Call) -> tuple[int, Mapping[str, str], bytes]:
        """As ``_exchange``, by libcurl."""
        url = call.url or self._api_url + call.path
        if call.params:
            url += "?" + urlencode(call.params, quote_via=quote)
        try:
            answer = await questions.ask(
                url,
                {**_HEADERS, **call.headers},
                silence_s=call.patience_s or SILENCE_S,
                body_max_bytes=BODY_MAX_BYTES,
                error_max_bytes=ERROR_BODY_MAX_BYTES,
            )
        except NestedEncodingError:
            raise _packed_twice(call) from None
        if answer.truncated and 200 <= answer.status < 300:
            raise _too_large(call)
        return answer.status, answer.headers, answer.body


def _packed_twice(call: Call) -> BadResponseError:
    return BadResponseError(f"cannot {call.what}: the answer is packed more than once")


def _too_large(call: Call) -> BadResponseError:
    limit_mib = BODY_MAX_BYTES // MIB
    return BadResponseError(f"cannot {call.what}: the answer is larger than {limit_mib} MiB")


def is_web_page(headers: Mapping[str, str], body: bytes) -> bool:
    """What proxies and sign-in pages of networks answer, with any status."""
    return "html" in headers.get("content-type", "") or body[:64].lstrip()[:1] == b"<"


class _DamagedError(Exception):
    """An answer that is no JSON object: an accident, perhaps."""

    def __init__(self, error: BadResponseError) -> None:
        self.error = error


async def _parse(call: Call, headers: Mapping[str, str], body: bytes, decode: Decode[T]) -> T:
    """What ``decode`` makes of the body; _DamagedError where there is no JSON object."""
    if is_web_page(headers, body):
        raise _DamagedError(
            BadResponseError(
                f"cannot {call.what}: the answer is a web page, not JSON",
                hint="a proxy or a sign-in page of this network?",
            )
        )
    if len(body) > THREAD_PARSE_BYTES and sum(map(body.count, (b",", b"[", b"{"))) > VALUES_MAX:
        raise _DamagedError(
            BadResponseError(f"cannot {call.what}: the answer holds too many values")
        )

    def parse() -> T:
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            complaint = f"cannot {call.what}: the answer is not valid JSON"
            raise _DamagedError(BadResponseError(complaint)) from None
        if not isinstance(answer, dict):
            complaint = f"cannot {call.what}: the answer is not a JSON object"
            raise _DamagedError(BadResponseError(complaint))
        return decode(answer)

    def parse_much() -> T:
        with uncollected():  # 30 000 objects, of which 400 stay
            return parse()

    if len(body) > THREAD_PARSE_BYTES:
        return await trio.to_thread.run_sync(parse_much, limiter=PARSERS)
    return parse()


def _as_is(answer: dict[str, Any]) -> dict[str, Any]:
    return answer


@asynccontextmanager
async def open_clients(bundle: str) -> AsyncIterator[Clients]:
    """The clients of a drive's Wire, closed on the way out."""
    questions = CurlClient(ca_bundle=bundle, connections=CONNECTIONS)
    try:
        async with new_client(client_context(bundle)) as forms, trio.open_nursery() as nursery:
            nursery.start_soon(questions.run)
            yield Clients(forms, questions)
            nursery.cancel_scope.cancel()
    finally:
        questions.close()


def _timeout(patience_s: float | None) -> httpx.Timeout:
    return httpx.Timeout(patience_s or SILENCE_S, connect=10.0, pool=None)


@dataclass(frozen=True, slots=True)
class Probe:
    """How the service greets a stranger: status, its clock (the Date header), start of its text."""

    status: int
    date: str
    text: str


async def probe(client: httpx.AsyncClient, what: str, url: str) -> Probe:
    """One GET without a token, its answer whatever it is. UnreachableError if there is none."""
    try:
        request = client.build_request("GET", url)
        response = await client.send(request, stream=True)
        try:
            text = b""
            async for chunk in response.aiter_bytes():
                text += chunk
                if len(text) > ERROR_BODY_MAX_BYTES:
                    break
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await response.aclose()
    except (httpx.TransportError, httpx.InvalidURL, OSError) as error:
        raise from_transport(what, error) from None
    date = response.headers.get("date", "")
    return Probe(response.status_code, date, text.decode("utf-8", "replace"))


def new_client(context: ssl.SSLContext) -> httpx.AsyncClient:
    """An httpx client as the Wire wants it. Redirects are not followed: they could move a token.
    SetupError if the environment names a proxy that cannot be one."""
    try:
        return httpx.AsyncClient(
            verify=context,
            follow_redirects=False,
            # the deadline of the call is trio's; these only end a silent socket while time is left
            timeout=_timeout(None),
            limits=httpx.Limits(
                max_connections=FORM_CONNECTIONS, max_keepalive_connections=FORM_CONNECTIONS
            ),
            headers=_HEADERS,
        )
    except (ImportError, ValueError, httpx.InvalidURL):
        # what it says may quote the proxy's password
        raise SetupError(
            "the proxy that the environment names cannot be used",
            hint="HTTPS_PROXY and ALL_PROXY take http:// and https:// addresses, no socks://",
        ) from None
