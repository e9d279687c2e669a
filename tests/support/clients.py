"""Object clients over the emulator: real sockets, real time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from dmfs.aps.client import Aps
from dmfs.auth.token_endpoint import App
from dmfs.auth.token_sources import TwoLegged
from dmfs.emulator.process import EmulatorProcess
from dmfs.fetch.object_client import ObjectClient
from dmfs.fetch.thread_fetcher import ThreadFetcher
from dmfs.http.engines import open_engines
from dmfs.http.json_client import JsonClient
from dmfs.http.tls import ca_bundle
from dmfs.model import File
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.spans import Span
from tests.support.helpers import Recorded, Whole, fetched

NewFile = Callable[[int], File]
"""Of so many bytes, and not requested before."""


@asynccontextmanager
async def aps_over(
    emulator: EmulatorProcess, ca_file: str = ""
) -> AsyncIterator[tuple[Aps, trio.Nursery]]:
    """A signed-in API client, and a nursery that ends with it."""
    async with open_engines(ca_bundle(ca_file)) as engines, trio.open_nursery() as nursery:
        client = JsonClient(emulator.api_url, engines, RateLimiter())
        app = App(emulator.client_id, emulator.client_secret)
        tokens = TwoLegged(client, nursery, app, "data:read")
        yield Aps(client, tokens, url_minutes=60), nursery
        nursery.cancel_scope.cancel()


@dataclass
class Parts:
    """An object client, and what it is made of."""

    emulator: EmulatorProcess
    aps: Aps
    source: ObjectClient
    fetcher: ThreadFetcher
    figures: list[int] = field(default_factory=list)
    """Progress of the last read."""
    contents: dict[str, Whole] = field(default_factory=dict)

    async def read(self, file: File, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes through the client; checks that progress comes in order and to the end."""
        stop = file.size_bytes if stop is None else stop
        assert stop is not None
        progress = Recorded()
        self.figures = progress.figures
        content = self.contents.setdefault(file.storage_id, Whole(file))
        data = await fetched(self.source, content, Span(start, stop), progress)
        assert self.figures == sorted(self.figures)
        assert self.figures[-1] == len(data)
        return data

    def true(self, file: File, start: int = 0, stop: int | None = None) -> bytes:
        length = None if stop is None else stop - start
        return self.emulator.bytes(file.storage_id, start, length)


@asynccontextmanager
async def parts_of(emulator: EmulatorProcess, *, connections: int = 8) -> AsyncIterator[Parts]:
    fetcher = ThreadFetcher(ca_bundle=ca_bundle(""), connections=connections)
    fetcher.start()
    try:
        async with aps_over(emulator) as (aps, nursery):
            yield Parts(emulator, aps, ObjectClient(aps, fetcher, nursery, timeout_s=20), fetcher)
    finally:
        fetcher.close()


def cdn_log(emulator: EmulatorProcess) -> list[dict[str, Any]]:
    """Requests that the CDN has seen since the last reset."""
    return [entry for entry in emulator.calls()["log"] if entry["origin"] == "cdn"]
