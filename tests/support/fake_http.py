"""A made-up service behind the HTTP port: it answers what a test says, and nothing is sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from dmfs.http.client import Request, Response
from dmfs.http.json_client import JsonClient
from dmfs.ratelimit.limiter import RateLimiter

API_URL = "https://api.example"
Answer = Response | Exception | Callable[[], Response]


class FakeService:
    """The answers given to it, then 200 ``{}``; remembers requests and their moments."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.moments: list[float] = []
        self.requests: list[Request] = []

    async def send(self, request: Request) -> Response:
        self.moments.append(trio.current_time())
        self.requests.append(request)
        await trio.sleep(0.01)
        answer = self.answers.pop(0) if self.answers else json_response({})
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Response) else answer()

    @property
    def waits(self) -> list[float]:
        return [b - a for a, b in zip(self.moments, self.moments[1:], strict=False)]

    @property
    def paths(self) -> list[str]:
        return [request.url.removeprefix(API_URL) for request in self.requests]


@asynccontextmanager
async def json_client_of(service: FakeService) -> AsyncIterator[JsonClient]:
    yield JsonClient(API_URL, service, RateLimiter())


def json_response(tree: Any, status: int = 200, **headers: str) -> Response:
    return Response(status, headers, json.dumps(tree).encode())


def status(code: int, **headers: str) -> Response:
    return json_response({"reason": "made up"}, code, **headers)


def raw(body: bytes, **headers: str) -> Response:
    return Response(200, headers, body)
