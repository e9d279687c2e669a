"""One exchange with an emulator in this process, in virtual time: what latency, stalls and pacing
take is exact, and no test waits for it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import h11
import trio
from trio.testing import MockClock

from dmfs.emulator.http.delivery import ConnectionBroken
from dmfs.emulator.http.messages import Request
from dmfs.emulator.server.emulator import Emulator
from dmfs.emulator.server.handler import handle
from dmfs.emulator.settings import Settings
from dmfs.emulator.sign_in.apps import APPS
from dmfs.emulator.world.catalog import make_world


@dataclass
class Exchange:
    """Body bytes delivered, and the virtual seconds from the request to their end."""

    body_bytes: int
    seconds: float


class VirtualEmulator:
    """``size``: of the one file that its CDN has."""

    def __init__(self, size: int = 100_000) -> None:
        self.emulator = Emulator(make_world(f"small:files=1,min={size},max={size}"), Settings())
        (self._storage,) = self.emulator.world.storages.values()
        self._token, _ = self.emulator.sign_in.tokens.issue(
            APPS["emulator-app"], frozenset({"data:read"})
        )

    def settings(self, **changes: Any) -> None:
        self.emulator.settings.update(changes)

    def fault(self, kind: str, **order: Any) -> None:
        self.emulator.faults.add({"kind": kind, **order})

    def hubs(self) -> Exchange:
        """A call of the API."""
        return self._exchange("api", "/project/v1/hubs", {"authorization": f"Bearer {self._token}"})

    def read(self, start: int, stop: int) -> Exchange:
        """A GET of the CDN."""
        at = urlsplit(self.emulator.service.signer.url("", self._storage, 2, "s3", []))
        return self._exchange(
            "cdn", f"{at.path}?{at.query}", {"range": f"bytes={start}-{stop - 1}"}
        )

    def _exchange(self, origin: str, target: str, headers: dict[str, str]) -> Exchange:
        request = Request(origin, "GET", target, headers, b"")
        return trio.run(self._run, request, clock=MockClock(autojump_threshold=0.01))

    async def _run(self, request: Request) -> Exchange:
        ours, theirs = socket.socketpair()
        with ours:
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
            async with stream:
                connection = h11.Connection(h11.SERVER)
                connection.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                while not isinstance(connection.next_event(), h11.EndOfMessage):
                    pass
                began = trio.current_time()
                try:
                    await handle(self.emulator, stream, connection, request)
                except ConnectionBroken:
                    pass
                seconds = trio.current_time() - began
        return Exchange(self.emulator.calls.as_dict()["log"][-1]["bytes"], seconds)
