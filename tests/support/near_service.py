"""An emulator in this process behind the HTTP port: no socket, so virtual time goes with it, and a
history is laid out, asked for and compared in milliseconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from dmfs.aps.client import Aps
from dmfs.emulator.http.messages import Request as Received
from dmfs.emulator.server import handler, routes
from dmfs.emulator.server.emulator import Emulator
from dmfs.emulator.server.faults import Call
from dmfs.emulator.settings import Settings
from dmfs.emulator.sign_in.apps import APPS
from dmfs.emulator.world import changes
from dmfs.emulator.world.catalog import make_world
from dmfs.emulator.world.changing import finding
from dmfs.emulator.world.model import Json
from dmfs.errors import UnreachableError
from dmfs.http.client import ConnectError, Request, Response
from dmfs.http.json_client import JsonClient
from dmfs.model import File
from dmfs.namespace.listing_store import ListingStore
from dmfs.namespace.listings import Freshness, Listings
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.ratelimit.limits import parse_rates
from tests.support.fake_http import API_URL

SCOPES = frozenset({"data:read", "data:search", "data:write", "data:create"})


class NearService:
    """An engine of the HTTP port, and a source of tokens. ``calls``: by route, since ``reset``."""

    def __init__(self, world: str = "small:files=0", app: str = "emulator-app") -> None:
        self.emulator = Emulator(make_world(world), Settings())
        self.emulator.listening(API_URL, "https://cdn.example", lambda _origin, _seconds: None)
        app_ = APPS[app]
        self._token, _ = self.emulator.sign_in.tokens.issue(app_, SCOPES)
        self.calls: Counter[str] = Counter()
        self.is_away = False
        """No connection can be made."""

    async def send(self, request: Request) -> Response:
        target = request.url.removeprefix(API_URL)
        headers = {key.lower(): value for key, value in request.headers.items()}
        received = Received("api", request.method, target, headers, request.content or b"")
        route, args = routes.find("api", request.method, received.segments)
        name = route.name if route else "other"
        self.calls[name] += 1
        if self.is_away:
            raise ConnectError("refused")
        fault = self.emulator.faults.pick(
            Call("api", name, handler._page(received), target, received.body)
        )
        effect = handler._Effect(self.emulator, received, route, args, [])
        answer, _ = await handler._prepare(effect, fault)
        answer_headers = {key.lower(): value for key, value in answer.headers.items()}
        return Response(answer.status, answer_headers, answer.body())

    async def token(self) -> str:
        return self._token

    async def renew(self, refused: str) -> str:
        return self._token

    def change(self, op: str, **fields: Any) -> Any:
        """One order; what was changed or made."""
        return changes.apply(self.emulator.world, {"op": op, **fields})

    def fault(self, kind: str, *, times: int | None = 1, skip: int = 0, **match: Any) -> None:
        """As the emulator's control has it; ``status``, ``seconds`` … are the fault's own."""
        own = {k: match.pop(k) for k in ("status", "seconds", "retry_after") if k in match}
        order: Json = {"kind": kind, "match": match, "times": times, "skip": skip}
        self.emulator.faults.add(order | own)

    def find(self, path: str) -> Any:
        """A hub, project, folder or item by its path of raw names."""
        return finding.by_path(self.emulator.world, path)

    def reset(self) -> None:
        self.calls.clear()

    def counts(self) -> dict[str, int]:
        """Calls by route since ``reset``."""
        return dict(self.calls)


@dataclass
class NearDrive:
    """The names of a drive."""

    listings: Listings
    aps: Aps
    signed: list[str]
    """Versions whose size had to be asked for."""


@asynccontextmanager
async def names_of(
    service: NearService, *, rates: str = "off", store: ListingStore | None = None,
    timeout_s: float = 28.5,
) -> AsyncIterator[NearDrive]:  # fmt: skip
    """The listings of a drive that begins now, over such a service."""
    signed: list[str] = []

    async def size(file: File) -> None:
        signed.append(file.version_id)
        if not file.storage_id:
            raise UnreachableError("no bytes")

    async with trio.open_nursery() as nursery:
        client = JsonClient(API_URL, service, RateLimiter(parse_rates(rates, 60.0)))
        aps = Aps(client, service, url_minutes=60)
        listings = Listings(
            aps.children, size, nursery, freshness=Freshness(), timeout_s=timeout_s,
            service_folders=True, store=store, offline=lambda: client.breaker.is_open,
        )  # fmt: skip
        yield NearDrive(listings, aps, signed)
        nursery.cancel_scope.cancel()
