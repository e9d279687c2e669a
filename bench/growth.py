"""How the planner's window grows: its plans, carried out by a link that is only arithmetic."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

from dmfs.config import Settings
from dmfs.plan import Planner, Span, blocks_of, bytes_of

_MIB = 1 << 20
_SIZE = 1 << 30
_READ = 128 * 1024
_READS = 4096
_LATENCY_S = 0.030
_BYTES_PER_S = 50e6
_CONNECTIONS = Settings().connections_per_file
_READER_BYTES_PER_S = 2e9
"""A reader that takes what there is."""


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

    def __init__(self) -> None:
        self._free = [0.0] * _CONNECTIONS
        self._arrivals: list[tuple[Span, float]] = []

    def fetch(self, span: Span, part_bytes: int, now_s: float) -> None:
        whole = bytes_of(blocks_of(span), _SIZE)
        for start in range(whole.start, whole.stop, part_bytes):
            wire = Span(start, min(start + part_bytes, whole.stop))
            began_s = max(now_s, heapq.heappop(self._free))
            done_s = began_s + _LATENCY_S + wire.length / _BYTES_PER_S
            heapq.heappush(self._free, done_s)
            self._arrivals.append((wire, began_s + _LATENCY_S))

    def ready_at(self, span: Span) -> float | None:
        """When the last byte of ``span`` is there; None if nobody asked for it."""
        for wire, first_s in self._arrivals:
            if wire.start <= span.start and span.stop <= wire.stop:
                return first_s + (span.stop - wire.start) / _BYTES_PER_S
        return None

    def frontier(self, offset: int) -> int:
        """How far from there on everything is fetched or on its way."""
        while True:
            stop = max((w.stop for w, _ in self._arrivals if w.start <= offset < w.stop), default=0)
            if stop <= offset:
                return offset
            offset = stop


def trace_of(name: str, kind: str, reads: int = _READS) -> Trace:
    """``front``, ``seek`` or ``random``."""
    planner, link, trace = Planner(_SIZE), _Link(), Trace(name)
    now_s, read = 0.0, 0
    for offset in _offsets(kind, reads):
        demand = planner.clip(offset, _READ)
        at_s = link.ready_at(demand)
        plan = planner.on_read(offset, _READ, ready=at_s is not None and at_s <= now_s)
        if at_s is None:
            link.fetch(plan.demand, plan.part_bytes, now_s)
            at_s = link.ready_at(plan.demand) or now_s + _LATENCY_S
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
