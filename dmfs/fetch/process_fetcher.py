"""The drive's side of the fetching process.

``curl/worker.py`` fetches ranges whose bytes go into the arena, and writes them and how far it has
come there without our interpreter's lock: on two cores, in turns, a stream went from 618 to 818
MB/s to 735 to 981, and an absent name's p99 beside one from 9 to 7.4 ms. The thread in our process
fetches the rest (small files), and everything while there is no such process.
"""

from __future__ import annotations

import logging
import math
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import closing
from functools import partial

import trio

from dmfs.errors import DriveError, UnreachableError
from dmfs.fetch.curl import transfers
from dmfs.fetch.curl.transfer import RangeRequest, other_etag
from dmfs.fetch.curl.worker_protocol import (
    PACKET_MAX_BYTES,
    Message,
    decode,
    decode_wish,
    encode,
    encode_wish,
    to_error,
)
from dmfs.fetch.thread_fetcher import ThreadFetcher
from dmfs.system.resources import shortage_of
from dmfs.system.shared_memory import Arena, SharedNumbers

log = logging.getLogger(__name__)

DEATHS_MAX = 3
DEATHS_WITHIN_S = 60.0
"""A process that dies more often is not started again for that long."""
DROPPED_S = 5.0
"""The process confirms a drop within a millisecond; one that does not is stuck, and killed: its
requests would run into their deadlines one by one."""
SETTLE_S = 0.25
"""A cancelled request waits so long for the confirmation, to know how far its bytes had come."""
SLOTS = 4096
"""Requests that the process can have at a time: as many as there are connections, and those that
were called off and not confirmed yet. What is more than that is fetched without it."""
PACKETS_AT_ONCE = 64
"""Packets received before other tasks have their turn."""


class ProcessFetcher:
    """As the fetcher in our own process, its fallback. ``run`` it in a nursery."""

    def __init__(
        self, here: ThreadFetcher, arena: Arena | None, *, ca_bundle: str, connections: int
    ) -> None:
        self._here = here
        self._arena = arena if arena is not None and arena.fd >= 0 else None
        self._hello = {"ca_bundle": ca_bundle, "connections": connections}
        self._needed = trio.Event()
        self._link: _Link | None = None
        self._gets = 0

    @property
    def gets(self) -> int:
        """Requests so far."""
        return self._here.gets + self._gets

    def gauges(self) -> dict[str, int]:
        """Requests so far by the engine that made them, and those not ended yet."""
        return {
            "fetch.thread_gets": self._here.gets,
            "fetch.process_gets": self._gets,
            "gets": self.under_way,
        }

    @property
    def under_way(self) -> int:
        """Requests that the process has not ended yet; 0 on an idle drive."""
        return 0 if self._link is None else len(self._link.flights)

    @property
    def pid(self) -> int | None:
        """Of the process, while it is ready."""
        return None if self._link is None else self._link.process.pid

    def prepare(self) -> None:
        """Start the process, which takes a tenth of a second: a read will follow. Never waits."""
        self._needed.set()

    async def fetch(self, request: RangeRequest) -> None:
        """See ``transfer.Fetcher``."""
        link, arena = self._link, self._arena
        at = None if link is None or arena is None else arena.offset_of(request.buffer)
        packet_fits = len(request.url) < PACKET_MAX_BYTES // 8
        if link is None or at is None or not packet_fits or request.unless_etag:
            await self._here.fetch(request)
            return
        request.check_url()
        slot = link.positions.take()
        if slot is None:
            await self._here.fetch(request)
            return
        self._gets += 1
        await link.fetch(request, at, slot)

    async def run(self) -> None:
        """Keep a process running once one is needed; until cancelled, which ends it."""
        if self._arena is None:
            return
        deaths: deque[float] = deque(maxlen=DEATHS_MAX)
        await self._needed.wait()
        while True:
            try:
                await self._live(self._arena)
            except OSError as error:
                log.warning("the fetching process cannot be started (%s)", error)
            except Exception as error:
                short = shortage_of(error)
                if short:
                    log.warning("no fetching process now: this machine has no more %s", short)
                else:
                    log.exception("the fetching process is ended")
            deaths.append(trio.current_time())
            since = trio.current_time() - (deaths[0] if len(deaths) == DEATHS_MAX else -math.inf)
            if since < DEATHS_WITHIN_S:
                log.warning("the fetching process keeps ending; fetching without it for a minute")
                await trio.sleep(DEATHS_WITHIN_S)

    def _ready(self, link: _Link) -> None:
        # not before: its interpreter takes a tenth of a second, and the thread here none
        self._link = link

    async def _live(self, arena: Arena) -> None:
        """One process from start to end. OSError where it cannot be started."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # (positions of its own: nothing is left in them of one that died)
        with ours, closing(SharedNumbers(SLOTS)) as positions:
            with theirs:
                # -P: files of the current directory must not be imported. Its own session: a
                # Ctrl-C is the drive's to handle.
                process = await trio.lowlevel.open_process(
                    [sys.executable, "-P", "-m", "dmfs.fetch.curl.worker"],
                    stdin=theirs.fileno(), stdout=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
            link = _Link(ours, process, positions, self._ready)
            try:
                sizes = {
                    "arena_bytes": arena.size_bytes,
                    "slots": SLOTS,
                    "stall_timeout_s": transfers.STALL_TIMEOUT_S,
                }
                hello = encode(self._hello | sizes)
                socket.send_fds(ours, [hello], [arena.fd, positions.fd])
                ours.setblocking(False)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(link.send_rest)
                    nursery.start_soon(link.watch_dropped)
                    await link.receive()
                    nursery.cancel_scope.cancel()
                log.warning("the fetching process ended; its requests are made again")
            finally:
                self._link = None
                # Before its requests fail and their buffers are used again: it must write no more.
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()
                link.end()


class _Flight:
    """A request with the process."""

    def __init__(self, request: RangeRequest, slot: int) -> None:
        self.request = request
        self.slot = slot
        self._followed = False
        self.done = trio.Event()
        self.error: DriveError | None = None
        self.dropped_at = math.inf

    def follow(self, positions: memoryview) -> None:
        """The process's number counts from now on: the ETag was admitted."""
        slot, length = self.slot, len(self.request.buffer)
        self._followed = True
        self.request.progress.follow(lambda: min(positions[slot], length))

    def leave(self) -> None:
        """Look for the last time: the slot may be another request's next. Only once: by the second
        time another request may fill the same buffer."""
        if self._followed:
            self._followed = False
            self.request.progress.look()
            self.request.progress.follow(None)


class _Link:
    """The messages to and from one process. On the loop alone."""

    def __init__(
        self,
        control: socket.socket,
        process: trio.Process,
        positions: SharedNumbers,
        on_ready: Callable[[_Link], None],
    ) -> None:
        self.process = process
        self.positions = positions
        self._on_ready = on_ready
        self._control = control
        self._numbers = 0
        self.flights: dict[int, _Flight] = {}
        """Requests until the process ends them: their buffers must not be used again before."""
        self._unsent: deque[bytes] = deque()
        self._full = trio.Event()
        self._dropped = trio.Event()

    async def fetch(self, request: RangeRequest, at: int, slot: int) -> None:
        self._numbers += 1
        number, flight = self._numbers, _Flight(request, slot)
        self.flights[number] = flight
        self._send(encode({
            "get": number, "action": request.action, "url": request.url, "start": request.start,
            "at": at, "length": len(request.buffer), "total_bytes": request.total_bytes,
            "slot": slot,
        }))  # fmt: skip
        request.progress.subscribe(partial(self._want, number))
        try:
            await flight.done.wait()
        except trio.Cancelled:
            self._drop(number, flight)
            with trio.move_on_after(SETTLE_S, shield=True):
                await flight.done.wait()
            raise
        finally:
            flight.leave()
            request.progress.subscribe(None)
        if flight.error is not None:
            raise flight.error

    async def receive(self) -> None:
        """Handle its messages until it has gone."""
        while True:
            await trio.lowlevel.wait_readable(self._control)
            for _ in range(PACKETS_AT_ONCE):
                try:
                    packet = self._control.recv(PACKET_MAX_BYTES)
                except BlockingIOError:
                    break
                except ConnectionError:
                    return
                if not packet:
                    return
                wish = decode_wish(packet)
                if wish is None:
                    self._handle(decode(packet))
                else:
                    self._filled(*wish)

    async def send_rest(self) -> None:
        """Send what it had no room for, once it has read."""
        while True:
            await self._full.wait()
            await trio.lowlevel.wait_writable(self._control)
            self._full = trio.Event()
            self._flush()

    async def watch_dropped(self) -> None:
        """End a process that no longer answers."""
        while True:
            await self._dropped.wait()
            await trio.sleep(DROPPED_S / 5)
            waiting = [flight.dropped_at for flight in self.flights.values()]
            oldest = min(waiting, default=math.inf)
            if trio.current_time() - oldest > DROPPED_S:
                log.warning("the fetching process does not answer; it is ended")
                self.process.kill()
                return
            if oldest == math.inf:
                self._dropped = trio.Event()

    def end(self) -> None:
        """The process is dead."""
        for flight in self.flights.values():
            flight.leave()
            action = flight.request.action
            flight.error = UnreachableError(f"cannot {action}: the fetching process ended")
            flight.done.set()
        self.flights.clear()

    def _handle(self, message: Message) -> None:
        if "head" in message:
            flight = self.flights[message["head"]]
            if flight.request.guard.admits(message["etag"]):
                flight.follow(self.positions.values)
            else:
                self._refuse(message["head"], flight, other_etag(flight.request.action))
        elif "ready" in message:
            self._on_ready(self)
        else:
            self._ended(message)

    def _filled(self, number: int, filled: int) -> None:
        flight = self.flights[number]
        if flight.error is None and flight.request.progress.put(filled):
            flight.request.progress.wake()

    def _ended(self, message: Message) -> None:
        number = message["end"]
        if message["filled"]:
            self._filled(number, message["filled"])
        flight = self.flights.pop(number)
        flight.leave()
        self.positions.give_back(flight.slot)
        if flight.error is None:
            flight.error = to_error(message["error"])
        flight.done.set()

    def _refuse(self, number: int, flight: _Flight, error: DriveError) -> None:
        if flight.error is None:
            flight.error = error
            self._drop(number, flight)

    def _want(self, number: int, filled: int) -> None:
        self._send(encode_wish(number, filled))

    def _drop(self, number: int, flight: _Flight) -> None:
        if number in self.flights and flight.dropped_at == math.inf:
            flight.dropped_at = trio.current_time()
            self._dropped.set()
            self._send(encode({"drop": number}))

    def _send(self, packet: bytes) -> None:
        """Send now, or as soon as the process has read earlier packets; never waits."""
        self._unsent.append(packet)
        self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                self._control.send(self._unsent[0])
                self._unsent.popleft()
        except BlockingIOError:
            self._full.set()
        except OSError:
            self._unsent.clear()  # it has gone: ``receive`` finds out
