"""What a drive is doing now, for whom, and what failed lately: what ``dmfs status``, ``top`` and
``events`` show.

Plain ints and bounded memories beside the work, read only when somebody asks; all on the loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from dmfs.errors import DriveError
from dmfs.neighbours.refusals import Refusals
from dmfs.system.clock import iso_seconds, wall_time_s
from dmfs.telemetry.access_log import AccessRecord, access
from dmfs.telemetry.processes import Process, Processes

FAILURES_MAX = 5
QUEUE_EVENTS = 1000
"""Events that wait for one reader; more of them are dropped and counted."""
LISTENERS_MAX = 8
RECENT_MAX = 200
"""Events that a new listener is given first: calls, changes and failures, no accesses."""

Event = Mapping[str, Any]


@dataclass(slots=True)
class Failure:
    """A request that failed, and what to do about it; equal ones in a row are one."""

    at_s: float
    """Wall clock, of the last one."""
    operation: str
    path: str
    errno: str
    message: str
    hint: str
    times: int = 1


@dataclass(slots=True, eq=False)
class Transfer:
    """An open file, as a door has it."""

    path: str
    record: AccessRecord
    """For the tasks that its reads start: their calls are of the program that opened it."""
    size_bytes: int
    given_bytes: int = 0
    """Bytes given out so far."""

    @property
    def process(self) -> Process:
        return self.record.process

    @property
    def opened_at(self) -> float:
        """Trio's clock."""
        return self.record.started


@dataclass(eq=False)
class Listener:
    """Takes events from a bounded queue."""

    events: trio.MemoryReceiveChannel[Event]
    _send: trio.MemorySendChannel[Event]
    dropped: int = 0

    def put(self, event: Event) -> None:
        """Never waits: what does not fit is counted, and told with the next one that does."""
        try:
            if self.dropped:
                self._send.send_nowait({"event": "dropped", "count": self.dropped})
                self.dropped = 0
            self._send.send_nowait(event)
        except trio.WouldBlock:
            self.dropped += 1


@dataclass(eq=False)
class Activity:
    """Written by the doors and by the API's client; read by the control plane."""

    processes: Processes = field(default_factory=Processes)
    failures: deque[Failure] = field(default_factory=lambda: deque(maxlen=FAILURES_MAX))
    own: Process = field(default_factory=lambda: Process(0, "dmfs"))
    """What no program asked for: polls, refreshes of a sign-in, pins."""
    refusals: Refusals = field(default_factory=Refusals)
    """Programs of the desktop that were refused files."""
    transfers: Callable[[], list[Transfer]] = list
    """A door's open files."""

    def __post_init__(self) -> None:
        self._under_way: dict[int, AccessRecord] = {}
        self._listeners: list[Listener] = []
        self.recent: deque[Event] = deque(maxlen=RECENT_MAX)
        self._on_listening: list[Callable[[bool], None]] = []

    # Requests

    def begin(self, record: AccessRecord) -> None:
        """A request of the kernel begins."""
        self._under_way[id(record)] = record
        record.process.requests += 1

    def end(self, record: AccessRecord, outcome: str) -> None:
        """It ended: ``ok`` or the name of an errno."""
        self._under_way.pop(id(record), None)
        if self._listeners:
            self._give(
                "access", op=record.operation, path=record.path, outcome=outcome,
                hit=record.hit, bytes=record.bytes, ms=_ms_since(record.started),
                pid=record.process.pid, program=record.process.name,
            )  # fmt: skip

    def under_way(self) -> list[AccessRecord]:
        """Requests that wait for their answer, the oldest first."""
        return sorted(self._under_way.values(), key=lambda record: record.started)

    def on_failure(self, record: AccessRecord, error: DriveError, errno: str) -> None:
        """A request failed in a way that a person may want to know of."""
        last = self.failures[-1] if self.failures else None
        if last is not None and (last.errno, last.message) == (errno, error.message):
            last.times, last.at_s = last.times + 1, wall_time_s()
            return
        self.publish(
            "failure", op=record.operation, path=record.path, errno=errno, message=error.message,
            hint=error.hint, pid=record.process.pid, program=record.process.name,
        )  # fmt: skip
        self.failures.append(
            Failure(wall_time_s(), record.operation, record.path, errno, error.message, error.hint)
        )

    # Calls of the service

    def on_call(self, route: str, outcome: str, took_s: float) -> None:
        """A call ended. It is of the program whose request the current task serves."""
        record = access.get(None)
        process = self.own if record is None else record.process
        process.calls += 1
        self.publish(
            "call", route=route, outcome=outcome, ms=round(took_s * 1000, 1),
            pid=process.pid, program=process.name,
        )  # fmt: skip

    # Listeners

    @contextmanager
    def listening(self) -> Iterator[Listener | None]:
        """What happened lately, then all events from now on; None for one listener too many."""
        if len(self._listeners) >= LISTENERS_MAX:
            yield None
            return
        send, receive = trio.open_memory_channel[Event](QUEUE_EVENTS)
        listener = Listener(receive, send)
        for event in self.recent:
            listener.put(event)
        self._listeners.append(listener)
        self._announce()
        try:
            yield listener
        finally:
            self._listeners.remove(listener)
            self._announce()

    def subscribe(self, on_listening: Callable[[bool], None]) -> None:
        """Call it whenever there begins to be, or ends to be, anybody who listens."""
        self._on_listening.append(on_listening)

    def publish(self, event: str, **facts: Any) -> None:
        """Give an event to all listeners, and to those who come soon."""
        self.recent.append(self._give(event, **facts))

    def _give(self, event: str, **facts: Any) -> Event:
        whole = {"event": event, "at": iso_seconds(wall_time_s()), **facts}
        for listener in self._listeners:
            listener.put(whole)
        return whole

    def _announce(self) -> None:
        for callback in self._on_listening:
            callback(bool(self._listeners))


def _ms_since(started: float) -> float:
    return round((trio.current_time() - started) * 1000, 2)
