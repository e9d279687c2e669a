"""``GET /metrics`` on a port of the loopback interface, for Prometheus. It can read, nothing else:
a web page may send requests to such a port too, so commands have the control socket alone."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from dmfs import __version__
from dmfs.control.exchange import BadRequestError, Exchange
from dmfs.drive import Drive
from dmfs.errors import SetupError
from dmfs.status import status_of
from dmfs.system.concurrency import bare_errors
from dmfs.telemetry.metrics import CONTENT_TYPE, check_available, render

log = logging.getLogger(__name__)

CONNECTIONS = 16
"""One more is refused: each scrape is a connection of a few milliseconds."""
ANSWER_S = 10.0
"""For one connection in all; Prometheus gives up after as long."""
_PLAIN = "text/plain; charset=utf-8"


async def scrape(drive: Drive) -> bytes:
    """All metrics of a mount, as CONTENT_TYPE. Never waits for the service or a disk."""
    return render(await status_of(drive), drive.gauges(), drive.histograms(), __version__)


@asynccontextmanager
async def metrics_port(address: str, render: Callable[[], Awaitable[bytes]]) -> AsyncIterator[str]:
    """Listen at ``HOST:PORT`` and answer while the body runs; the address with its real port.

    SetupError if it cannot listen, or the library is missing: who asks for metrics and has none
    would find out on the day they are needed.
    """
    check_available()
    host, _, port = address.rpartition(":")
    try:
        listeners = await trio.open_tcp_listeners(int(port), host=host.strip("[]"))
    except OSError as error:
        raise SetupError(
            f"metrics cannot be shown at {address}: {error.strerror or error}",
            hint="each mount needs a port of its own: --set metrics=127.0.0.1:PORT",
        ) from None
    (listener,) = listeners
    real = f"{host}:{listener.socket.getsockname()[1]}"
    log.info("metrics at http://%s/metrics", real)
    with bare_errors():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, _Server(render).serve, listeners)
            yield real
            nursery.cancel_scope.cancel()


class _Server:
    def __init__(self, render: Callable[[], Awaitable[bytes]]) -> None:
        self._render = render
        self._open = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection; what goes wrong on it ends it, and nothing else."""
        self._open += 1
        try:
            with trio.move_on_after(ANSWER_S):
                async with stream:
                    await self._answer(Exchange(stream))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            log.debug("a connection for metrics ended: %s", error)
        except Exception:
            log.exception("bug in metrics")
        finally:
            self._open -= 1

    async def _answer(self, exchange: Exchange) -> None:
        if self._open > CONNECTIONS:
            await exchange.respond(503, _PLAIN, b"too many connections\n")
            return
        try:
            if not await exchange.read():
                return
        except BadRequestError as error:
            await exchange.respond(error.status, _PLAIN, f"{error}\n".encode())
            return
        if exchange.path != "/metrics":
            await exchange.respond(404, _PLAIN, b"there is /metrics alone\n")
        elif exchange.method not in ("GET", "HEAD"):
            await exchange.respond(405, _PLAIN, b"metrics can be read, by GET or HEAD\n")
        else:
            await exchange.respond(200, CONTENT_TYPE, await self._render())
