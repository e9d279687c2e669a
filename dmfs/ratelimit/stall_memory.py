"""What used up its time lately, so that nobody waits for it a second time. Pure.

A *stretch* is what can stall by itself: a part (a folder's path, a range of an object) of a group
(a route of the API, a host). Of a stretch that let a whole deadline pass without an answer, the
next request fails at once, until something answers:

    a part stalled                             that part is refused; its siblings are not
    PARTS_OF_A_GROUP parts stalled, and the    the whole group is refused
    group did not answer in between
    as many, but it answered in between        its other parts get a short wait, no deadline

One probe a stretch looks for an answer, after growing pauses: a request that comes when a probe is
due (it waits ``Verdict.wait_s``, not a deadline), else one in the background (``due``), for as long
as somebody asked lately. Any answer of the group ends its refusal at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

PARTS_OF_A_GROUP = 2
"""So many parts must stall before their group counts as stalled: one part may have a fault of its
own. A walk over stalled folders costs as many deadlines."""
PAUSE_FIRST_S = 1.0
PAUSE_FACTOR = 2.0
PAUSE_MAX_S = 10.0
"""The longest that an answer goes unnoticed while somebody asks."""
LAG_S = 1.0
"""The two kinds of probes take turns; whose turn it is goes so much earlier. A request has a use
for the answer; a probe in the background has the time that a slow stretch needs."""
WANTED_LATELY_S = 60.0
"""Nobody asked for so long: no probe in the background; an idle mount costs nothing."""
STUTTER_S = 300.0
"""A stall counts against the other parts of a group that answers for so long."""
SHORT_MIN_S, SHORT_MAX_S = 0.5, 3.0
SHORT_FACTOR = 4.0
"""A short wait is so many times the slowest answer of late, within these bounds."""
SLOWEST_DECAY = 0.9
"""For each answer, so that one slow answer is forgotten after some dozens."""
GROUPS_MAX = 64
PARTS_MAX = 256
"""A group's: the stall that is longest ago is forgotten first."""


class Stretch(NamedTuple):
    """What can stall by itself."""

    group: str
    part: str


class Verdict(NamedTuple):
    """What a request for a stretch may do."""

    wait_s: float | None = None
    """For so long it may wait for an answer: None: for its whole deadline, 0: it fails at once."""
    is_probe: bool = False
    """It is the one that finds out whether the stretch answers again."""
    again_s: float = 0.0
    """Of a refusal: seconds until the next probe."""

    @property
    def refused(self) -> bool:
        return self.wait_s == 0.0


class _Pauses:
    """When the next probe is due. A probe takes its turn by moving it: there is one a pause,
    however the probe ends."""

    __slots__ = ("due_at", "in_background", "pause_s")

    def __init__(self, now: float) -> None:
        self.due_at = now
        self.in_background = False
        """Whose turn it is."""
        self.pause_s = PAUSE_FIRST_S

    def due_for(self, in_background: bool) -> float:
        return self.due_at + (LAG_S if in_background != self.in_background else 0.0)

    def take(self, now: float, wait_s: float = 0.0, *, in_background: bool = False) -> bool:
        """Whether a probe may go now; ``wait_s``: how long it may take. The pause follows it."""
        if now < self.due_for(in_background):
            return False
        self.in_background = not in_background
        self.due_at = now + wait_s + self.pause_s
        self.pause_s = min(self.pause_s * PAUSE_FACTOR, PAUSE_MAX_S)
        return True


class _Part:
    """A part that stalled."""

    __slots__ = ("pauses", "stalled_at", "wanted_at")

    def __init__(self, now: float) -> None:
        self.stalled_at = now
        self.wanted_at = now
        self.pauses = _Pauses(now + PAUSE_FIRST_S)


class _Group:
    def __init__(self) -> None:
        self.parts: OrderedDict[str, _Part] = OrderedDict()
        """Those that stalled and have not answered since, the longest ago first."""
        self.silent: set[str] = set()
        """Those that stalled since the group's last answer."""
        self.candidates: OrderedDict[str, None] = OrderedDict()
        """Parts to probe while the group is refused: what was asked for, the newest last."""
        self.pauses: _Pauses | None = None
        """While the group is refused."""
        self.wanted_at = float("-inf")
        self.slowest_s = SHORT_MAX_S / SHORT_FACTOR

    @property
    def short_s(self) -> float:
        return min(max(self.slowest_s * SHORT_FACTOR, SHORT_MIN_S), SHORT_MAX_S)

    def stutters(self, now: float) -> bool:
        """Whether as many parts as would refuse it stalled of late, although it answered."""
        late = 0
        for part in reversed(self.parts.values()):
            late += part.stalled_at > now - STUTTER_S
            if late >= PARTS_OF_A_GROUP:
                return True
        return False


class StallMemory:
    """Stretches that stalled. Times are seconds of the caller's clock."""

    def __init__(self) -> None:
        self._groups: OrderedDict[str, _Group] = OrderedDict()

    def __len__(self) -> int:
        """Parts that are remembered."""
        return sum(len(group.parts) for group in self._groups.values())

    def timed_out(self, stretch: Stretch, now: float) -> None:
        """A request for it waited for all of its time, and no answer came."""
        group = self._groups.setdefault(stretch.group, _Group())
        self._groups.move_to_end(stretch.group)
        part = group.parts.get(stretch.part)
        if part is None:
            group.parts[stretch.part] = _Part(now)
        else:
            part.stalled_at = now
            group.parts.move_to_end(stretch.part)
        group.silent.add(stretch.part)
        if len(group.silent) >= PARTS_OF_A_GROUP and group.pauses is None:
            group.pauses = _Pauses(now)
            group.wanted_at = now
        self._trim(group)

    def blocked(
        self, stretch: Stretch, now: float, *, may_probe: bool = True, patient: bool = False
    ) -> Verdict:
        """What a request that comes now may do. ``may_probe``: False for speculation, which is
        refused without further ado. ``patient``: nobody waits for it: as a probe it may take its
        time."""
        group = self._groups.get(stretch.group)
        if group is None:
            return Verdict()
        part = group.parts.get(stretch.part)
        pauses = group.pauses or (part.pauses if part is not None else None)
        if pauses is None:
            return Verdict(group.short_s if group.stutters(now) and not patient else None)
        if not may_probe:
            return Verdict(0.0, again_s=max(0.0, pauses.due_at - now))
        if not patient:
            group.wanted_at = now
            if part is not None:
                part.wanted_at = now
        if pauses.take(now, group.short_s):
            return Verdict(None if patient else group.short_s, is_probe=True)
        if group.pauses is not None and not patient:
            group.candidates[stretch.part] = None
            group.candidates.move_to_end(stretch.part)
            while len(group.candidates) > PARTS_MAX:
                group.candidates.popitem(last=False)
        return Verdict(0.0, again_s=pauses.due_at - now)

    def answered(self, stretch: Stretch, now: float, took_s: float = 0.0) -> bool:
        """It answered, whatever. Return whether that ended a refusal."""
        group = self._groups.get(stretch.group)
        if group is None:
            return False
        group.slowest_s = max(took_s, group.slowest_s * SLOWEST_DECAY)
        was_refused = group.parts.pop(stretch.part, None) is not None
        group.silent.clear()
        if group.pauses is not None:
            was_refused, group.pauses = True, None
            group.candidates.clear()
            for part in group.parts.values():  # it was not theirs alone, perhaps: look at once
                part.pauses = _Pauses(now)
        if not group.parts:
            del self._groups[stretch.group]
        return was_refused

    def clear(self) -> None:
        """Forget all: the network is another one, or is back."""
        self._groups.clear()

    # Probes in the background

    def due(self, now: float) -> Stretch | None:
        """A stretch to probe in the background now. Its answer must come back by ``answered``."""
        for name, group in self._groups.items():
            for pauses, part in self._probes(group, now):
                if pauses.take(now, in_background=True):
                    group.candidates.pop(part, None)
                    if part in group.parts:  # the next probe of the group is of another part
                        group.parts.move_to_end(part)
                    return Stretch(name, part)
        return None

    def next_due_at(self, now: float) -> float:
        """When ``due`` may have something, if nothing changes; inf if never."""
        return min(
            (
                pauses.due_for(True)
                for group in self._groups.values()
                for pauses, _ in self._probes(group, now)
            ),
            default=float("inf"),
        )

    def is_blocked(self, stretch: Stretch) -> bool:
        """Whether a request for it would be refused or be a probe. Changes nothing."""
        group = self._groups.get(stretch.group)
        return group is not None and (group.pauses is not None or stretch.part in group.parts)

    @staticmethod
    def _probes(group: _Group, now: float) -> Iterator[tuple[_Pauses, str]]:
        """What may be probed in the group: one part for all if it is refused, else each part."""
        if group.pauses is not None:
            if now - group.wanted_at < WANTED_LATELY_S:
                wanted = next(reversed(group.candidates), None)
                yield group.pauses, wanted if wanted is not None else next(iter(group.parts))
            return
        for name, part in group.parts.items():
            if now - part.wanted_at < WANTED_LATELY_S:
                yield part.pauses, name

    def _trim(self, group: _Group) -> None:
        while len(group.parts) > PARTS_MAX:
            name, _ = group.parts.popitem(last=False)
            group.silent.discard(name)
        while len(self._groups) > GROUPS_MAX:
            self._groups.popitem(last=False)
