"""The engines of a drive behind one port, chosen by what a request is."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import trio

from dmfs.http.client import HttpClient, Request, Response
from dmfs.http.curl.client import CurlClient
from dmfs.http.tls import client_context
from dmfs.system.concurrency import computed

CONNECTIONS = 48
"""48 calls at once, a window of small files: signing 1000 of them at 100 ms a call took 12.5 s
through 8."""
CHANGE_CONNECTIONS = 8
"""Changes at once. A completion of thousands of parts takes minutes, and would leave no connection
to a token among the two of the sign-in: so changes have an engine of their own."""


@dataclass(frozen=True, slots=True)
class MethodRouter:
    """See ``client.HttpClient``. A GET may be repeated and goes to the fast engine (0.15 ms of the
    loop instead of 0.53); anything else goes to an engine that sends once: forms to
    ``others``, changes to ``changes``."""

    gets: HttpClient
    others: HttpClient
    changes: HttpClient

    async def send(self, request: Request) -> Response:
        """See ``client.HttpClient``."""
        if request.method == "GET":
            return await self.gets.send(request)
        engine = self.changes if request.form is None else self.others
        return await engine.send(request)


class HttpxOnDemand:
    """See ``client.HttpClient``. The first request imports and opens httpx's engine: a quarter of
    the start of ``dmfs ls``, which posts nothing while it knows the listing."""

    def __init__(self, bundle: str, stack: AsyncExitStack, connections: int | None = None) -> None:
        """``bundle``: a file with authorities. The engine is closed with ``stack``."""
        self._bundle = bundle
        self._connections = connections
        self._stack = stack
        self._opening = trio.Lock()
        self._engine: HttpClient | None = None

    async def send(self, request: Request) -> Response:
        """See ``client.HttpClient``. SetupError where the environment's proxies cannot be used."""
        if self._engine is None:
            async with self._opening:
                if self._engine is None:
                    self._engine = await self._open()
        return await self._engine.send(request)

    async def _open(self) -> HttpClient:
        # in a thread: the import takes 100 ms, and the loop has requests of the kernel to answer
        module = await computed(partial(importlib.import_module, "dmfs.http.httpx_client"))
        context = await computed(partial(client_context, self._bundle))
        engine: HttpClient = await self._stack.enter_async_context(
            module.open_httpx_client(context, self._connections or module.CONNECTIONS)
        )
        return engine


@asynccontextmanager
async def open_engines(bundle: str) -> AsyncIterator[MethodRouter]:
    """All engines, trusting the authorities in the file ``bundle``; closed on the way out."""
    curl = CurlClient(ca_bundle=bundle, connections=CONNECTIONS)
    try:
        async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
            nursery.start_soon(curl.run)
            changes = HttpxOnDemand(bundle, stack, CHANGE_CONNECTIONS)
            yield MethodRouter(curl, HttpxOnDemand(bundle, stack), changes)
            nursery.cancel_scope.cancel()
    finally:
        curl.close()
