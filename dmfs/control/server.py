"""The control socket of a mount: who may connect, how many, for how long."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import trio

from dmfs.control.cards import Card, Place, prune
from dmfs.control.exchange import REQUEST_MAX_BYTES, BadRequestError, Exchange
from dmfs.control.peer import peer_uid
from dmfs.control.routes import Routes
from dmfs.system.clock import iso_seconds, wall_time_s
from dmfs.system.concurrency import in_thread

log = logging.getLogger(__name__)

CONNECTIONS = 16
BACKLOG = 64
DISK_S = 5.0
"""For the run directory, most often in memory; the mount goes on without a socket after that."""
END_S = 1.0
LINGER_S = 1.0
LOOK_S = 10.0
"""How long a socket that was removed goes unnoticed."""
PATH_MAX_BYTES = 107


class PlaceTaken(OSError):
    """Another living drive has the place."""


def _nothing() -> None:
    return None


class ControlServer:
    """``run`` it beside the mount; a socket that cannot be made costs the mount nothing else."""

    def __init__(self, routes: Routes, card: Card, directories: Sequence[Path]) -> None:
        """``directories``: where the socket may be, the best first."""
        self._routes = routes
        self._places = [Place(directory, card) for directory in directories]
        self._place: Place | None = None
        self._bound = (0, 0)
        """Device and inode of the socket."""
        self._warned = ""
        self._open = 0

    async def run(self, on_listening: Callable[[], None] = lambda: None) -> None:
        """Answer until cancelled. Calls ``on_listening`` once it answers, or cannot for now."""
        tell = on_listening
        async with trio.open_nursery() as connections:
            while True:
                with ExitStack() as stack:
                    listener = await self._opened(stack)
                    tell()
                    tell = _nothing
                    if listener is not None:
                        await self._answer_at(listener, connections)
                    else:
                        await trio.sleep(LOOK_S)

    async def _opened(self, stack: ExitStack) -> trio.SocketListener | None:
        try:
            with trio.move_on_after(DISK_S):
                return await in_thread(partial(self._listen, stack))
        except OSError as error:
            if str(error) != self._warned:
                log.warning("no control socket: %s", error)
            self._warned = str(error)
        return None

    async def _answer_at(self, listener: trio.SocketListener, connections: trio.Nursery) -> None:
        """Until the socket is gone from the run directory: with the last session of a user its
        manager removes that, and a mount in the background lives on."""
        serve = partial(trio.serve_listeners, self._serve, [listener], handler_nursery=connections)
        async with listener, trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            there = True
            while there:
                await trio.sleep(LOOK_S)
                with trio.move_on_after(DISK_S):
                    there = await in_thread(self._is_there)
            nursery.cancel_scope.cancel()
        log.info("the control socket was removed; making it anew")

    def _is_there(self) -> bool:
        """Blocking."""
        place = self._place
        try:
            assert place is not None
            status = (place.directory / place.socket).lstat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._bound

    async def end(self, because: str) -> None:
        """Write down why the mount ends."""
        if self._place is None:
            return
        with trio.move_on_after(END_S, shield=True):
            try:
                await in_thread(partial(self._place.end, iso_seconds(wall_time_s()), because))
            except OSError as error:
                log.debug("no card is left: %s", error)

    def _listen(self, stack: ExitStack) -> trio.SocketListener:
        """Blocking: take the first place that can be had. OSError of the last one, PlaceTaken
        where a drive of another namespace is mounted at the same path."""
        for place in self._places[:-1]:
            try:
                return self._listen_at(place, stack)
            except PlaceTaken:
                raise
            except OSError:
                continue
        return self._listen_at(self._places[-1], stack)

    def _listen_at(self, place: Place, stack: ExitStack) -> trio.SocketListener:
        if not stack.enter_context(place.taken()):
            raise PlaceTaken(0, "another drive has one for this mountpoint (in another namespace)")
        with suppress(OSError):
            prune(place.directory, wall_time_s())
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            bind(server, place.directory, place.socket)
            server.listen(BACKLOG)
            status = (place.directory / place.socket).lstat()
        except BaseException:
            server.close()
            raise
        self._place, self._bound = place, (status.st_dev, status.st_ino)
        return trio.SocketListener(trio.socket.from_stdlib_socket(server))

    async def _serve(self, stream: trio.SocketStream) -> None:
        self._open += 1
        try:
            async with stream:
                await self._answer(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            log.debug("a control connection ended: %s", error)
        except Exception:  # a bug here must not end the drive
            log.exception("bug in the control socket")
        finally:
            self._open -= 1

    async def _answer(self, stream: trio.SocketStream) -> None:
        exchange = Exchange(stream)
        uid = peer_uid(stream.socket)
        if self._open > CONNECTIONS:
            await exchange.refuse(503, f"{CONNECTIONS} connections are open already")
            await _linger(stream)
            return
        if uid not in (os.geteuid(), 0):
            await exchange.refuse(403, "this drive is another user's")
            await _linger(stream)
            return
        try:
            if not await exchange.read():
                return
        except BadRequestError as error:
            await exchange.refuse(error.status, str(error))
            return
        await until_gone(exchange, self._routes.answer)


async def until_gone(exchange: Exchange, answer: Callable[[Exchange], Awaitable[None]]) -> None:
    """Answer, and stop as soon as nobody is there any more: a job ends with its reader."""

    async def watch(scope: trio.CancelScope) -> None:
        try:
            await exchange.wait_for_end()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()

    failures: list[Exception] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        try:
            await answer(exchange)
        except Exception as error:  # noqa: BLE001 - raised below, outside of the nursery
            failures.append(error)
        nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]


async def _linger(stream: trio.SocketStream) -> None:
    """Let a request come that is not read: whoever still sends it would get EPIPE and no answer."""
    with trio.move_on_after(LINGER_S):
        await stream.send_eof()
        while await stream.receive_some(REQUEST_MAX_BYTES):
            pass


def bind(server: socket.socket, directory: Path, name: str) -> None:
    """Bind a socket of mode 0600. OSError. A socket's path holds 107 bytes: a longer one goes
    through its directory's descriptor (only root's search for others' drives does not find it)."""
    descriptor = os.open(directory, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC)
    try:
        path = str(directory / name)
        fits = len(os.fsencode(path)) <= PATH_MAX_BYTES
        server.bind(path if fits else f"/proc/self/fd/{descriptor}/{name}")
        os.chmod(name, 0o600, dir_fd=descriptor)
    finally:
        os.close(descriptor)
