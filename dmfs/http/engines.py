"""The two engines of a drive behind one port, chosen by method."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from dmfs.http.client import HttpClient, Request, Response
from dmfs.http.curl_client import CurlClient
from dmfs.http.httpx_client import open_httpx_client
from dmfs.http.tls import client_context

CONNECTIONS = 48
"""48 calls at once, a window of small files: signing 1000 of them at 100 ms a call took 12.5 s
through 8."""


@dataclass(frozen=True, slots=True)
class MethodRouter:
    """See ``client.HttpClient``. A GET may be repeated and goes to the fast engine (0.15 ms of the
    loop instead of 0.53); anything else goes to the engine that sends once."""

    gets: HttpClient
    others: HttpClient

    async def send(self, request: Request) -> Response:
        """See ``client.HttpClient``."""
        engine = self.gets if request.method == "GET" else self.others
        return await engine.send(request)


@asynccontextmanager
async def open_engines(bundle: str) -> AsyncIterator[MethodRouter]:
    """Both engines, trusting the authorities in the file ``bundle``; closed on the way out.
    SetupError."""
    curl = CurlClient(ca_bundle=bundle, connections=CONNECTIONS)
    try:
        async with (
            open_httpx_client(client_context(bundle)) as httpx,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(curl.run)
            yield MethodRouter(curl, httpx)
            nursery.cancel_scope.cancel()
    finally:
        curl.close()
