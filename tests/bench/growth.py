"""How the planner's window grows: its plans, carried out by a link that is only arithmetic."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass, field

from dmfs.blocks.readahead import Planner
from dmfs.config import Settings
from dmfs.fetch.link_stats import BandwidthDelay, Mark
from dmfs.spans import Span, blocks_of, bytes_of

_MIB = 1 << 20
_SIZE = 1 << 30
_READ = 128 * 1024
_READS = 4096
_CONNECTIONS = Settings().connections_per_file
_READER_BYTES_PER_S = 2e9
"""A reader that takes what there is."""


@dataclass(frozen=True)
class Way:
    """A network: its latency, what one connection carries and what all carry together."""

    latency_s: float = 0.030
    connection_bytes_per_s: float = 50e6
    bytes_per_s: float = math.inf


@dataclass
class Trace:
    """MiB read so far, and MiB fetched ahead at that moment."""

    name: str
    read_mib: list[float] = field(default_factory=list)
    ahead_mib: list[float] = field(default_factory=list)
    seconds: float = 0.0
    """Until the last read was served, by a link and a machine without any other cost."""

    @property
    def mb_per_s(self) -> float:
        return self.read_mib[-1] * _MIB / 1e6 / self.seconds


class _Link:
    """When each span arrives, with so many connections."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._free = [0.0] * _CONNECTIONS
        self._pipe_s = 0.0
        self._arrivals: list[tuple[Span, float, float]] = []
        self._events: list[tuple[float, bool, Span]] = []
        self._marks: dict[Span, Mark] = {}
        self.delivery = BandwidthDelay()

    def fetch(self, span: Span, part_bytes: int, now_s: float) -> None:
        whole = bytes_of(blocks_of(span), _SIZE)
        for start in range(whole.start, whole.stop, part_bytes):
            wire = Span(start, min(start + part_bytes, whole.stop))
            began_s = max(now_s, heapq.heappop(self._free))
            first_s = max(began_s + self._way.latency_s, self._pipe_s)
            self._pipe_s = first_s + wire.length / self._way.bytes_per_s
            alone_s = wire.length / self._way.connection_bytes_per_s
            done_s = max(first_s + alone_s, self._pipe_s)
            heapq.heappush(self._free, done_s)
            self._arrivals.append((wire, first_s, done_s))
            heapq.heappush(self._events, (began_s, False, wire))
            heapq.heappush(self._events, (done_s, True, wire))

    def hear(self, now_s: float) -> None:
        """What has been asked for and what has come by now."""
        while self._events and self._events[0][0] <= now_s:
            at_s, is_done, wire = heapq.heappop(self._events)
            if is_done:
                self.delivery.arrived(self._marks.pop(wire), wire.length, at_s)
            else:
                self._marks[wire] = self.delivery.requested(at_s)

    def ready_at(self, span: Span) -> float | None:
        """When the last byte of ``span`` is there; None if nobody asked for it."""
        for wire, first_s, done_s in reversed(self._arrivals):
            if wire.start <= span.start and span.stop <= wire.stop:
                return first_s + (done_s - first_s) * (span.stop - wire.start) / wire.length
        return None

    def frontier(self, offset: int) -> int:
        """How far from there on everything is fetched or on its way."""
        while True:
            wires = (w.stop for w, _, _ in reversed(self._arrivals) if w.start <= offset < w.stop)
            stop = next(wires, 0)
            if stop <= offset:
                return offset
            offset = stop


def trace_of(name: str, kind: str, reads: int = _READS, way: Way | None = None) -> Trace:
    """``front``, ``seek`` or ``random``, over the emulated link or another one."""
    link, trace = _Link(way or Way()), Trace(name)
    planner = Planner(_SIZE, bdp_bytes=lambda: link.delivery.bdp_bytes)
    now_s, read = 0.0, 0
    for offset in _offsets(kind, reads):
        demand = planner.clip(offset, _READ)
        at_s = link.ready_at(demand)
        link.hear(now_s)
        plan = planner.on_read(offset, _READ, ready=at_s is not None and at_s <= now_s)
        if at_s is None:
            link.fetch(plan.demand, plan.part_bytes, now_s)
            at_s = link.ready_at(plan.demand) or now_s
        if plan.ahead.length:
            link.fetch(plan.ahead, plan.part_bytes, now_s)
            planner.on_accepted(plan.ahead)
        now_s = max(now_s, at_s) + demand.length / _READER_BYTES_PER_S
        read += demand.length
        trace.seconds = now_s
        trace.read_mib.append(read / _MIB)
        trace.ahead_mib.append((link.frontier(demand.stop) - demand.stop) / _MIB)
    return trace


def _offsets(kind: str, reads: int) -> list[int]:
    if kind == "random":
        chance = random.Random(5)
        return [chance.randrange(_SIZE // _READ) * _READ for _ in range(reads // 4)]
    offsets = [number * _READ for number in range(reads)]
    if kind == "seek":
        jump = 1024
        offsets = offsets[:jump] + [at + 400 * 10**6 // _READ * _READ for at in offsets[jump:]]
    return [at for at in offsets if at < _SIZE]
