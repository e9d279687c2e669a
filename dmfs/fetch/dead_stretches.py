"""What used up a whole deadline without a byte, so that nobody waits for it again. Pure.

Three things can be dead, each until something of it answers:

    a range    a GET of it ended with its deadline, and nothing had come for a good part of that
    an object  ... and nothing of the whole object had come meanwhile either
    a host     ... and so with OBJECTS_OF_A_HOST objects, nothing of the host in between

Whoever wants bytes of these is refused at once. One request in a while, when ``probe_due``, looks
for an answer first. Slow bytes are an answer; so is a refusal.
"""

from __future__ import annotations

from cachetools import LRUCache

from dmfs.spans import BLOCK_BYTES, Span

OBJECTS_OF_A_HOST = 2
"""One may have a fault of its own."""
HOSTS_REMEMBERED = 64
OBJECTS_REMEMBERED = 1024
RANGES_REMEMBERED = 64
"""Of an object; the oldest are forgotten, and waited for once more."""
PAUSE_S = 1.0
"""Between the probes that requests bring about: the longest that an answer goes unnoticed. The
first ones come sooner where deadlines are short."""
PAUSE_MAX_S = 10.0
PAUSE_SHARE = 1 / 60
"""Of the silence so far: after ten minutes of it ten seconds more do not matter."""


class _Dead:
    """Something that does not answer, since when, and when to look again."""

    def __init__(self, silent_since: float, now: float, pause_s: float) -> None:
        self.silent_since = silent_since
        self.pause_s = pause_s
        self.put_off(now)

    def put_off(self, now: float) -> None:
        self.probe_at = now + self.pause_s
        longest_s = min(max(PAUSE_S, (now - self.silent_since) * PAUSE_SHARE), PAUSE_MAX_S)
        self.pause_s = min(2 * self.pause_s, longest_s)


class _Host:
    def __init__(self) -> None:
        self.heard_at = float("-inf")
        self.silent: set[str] = set()
        """Objects that used up a deadline since it was heard."""
        self.is_dead = False
        self.turns: LRUCache[str, _Dead] = LRUCache(OBJECTS_REMEMBERED)
        """While it is dead: the probes of objects that are not dead by themselves. Each has turns
        of its own, or who asks for a dead one again and again would take those of all others."""


class _Object:
    """One with dead ranges, or dead as a whole."""

    def __init__(self, dead: _Dead) -> None:
        self.dead = dead
        self.ranges: list[Span] = []
        self.whole = False


class DeadStretches:
    """Hosts and objects by their names, ranges as spans of bytes, times of the caller's clock."""

    def __init__(self, *, first_pause_s: float = PAUSE_S) -> None:
        """``first_pause_s``: before the first probe; each next pause is twice as long."""
        self._first_pause_s = min(first_pause_s, PAUSE_S)
        self._hosts: LRUCache[str, _Host] = LRUCache(HOSTS_REMEMBERED)
        self._heard: LRUCache[str, float] = LRUCache(OBJECTS_REMEMBERED)
        self._objects: LRUCache[str, _Object] = LRUCache(OBJECTS_REMEMBERED)

    def timed_out(
        self, host: str, name: str, span: Span, *, silent_since: float, now: float
    ) -> bool:
        """``span`` of the object used up its deadline, and nothing of it had come since
        ``silent_since``. Whether nothing came from the whole host either.

        Whole blocks are dead, also that in which the bytes stopped: it is not at rest, so a page
        of it would be fetched with all of it.
        """
        span = Span(span.start - span.start % BLOCK_BYTES, span.stop + -span.stop % BLOCK_BYTES)
        entry = self._objects.get(name)
        if entry is None:
            entry = self._objects[name] = _Object(_Dead(silent_since, now, self._first_pause_s))
        else:
            entry.dead.put_off(now)
        entry.ranges = [each for each in entry.ranges if not _within(each, span)]
        entry.ranges = [*entry.ranges, span][-RANGES_REMEMBERED:]
        entry.whole = entry.whole or self._heard.get(name, float("-inf")) <= silent_since
        where = self._host(host)
        if where.heard_at > silent_since:
            return False
        where.silent.add(name)
        if len(where.silent) >= OBJECTS_OF_A_HOST:
            where.silent.clear()  # known to be dead: no need to count on
            where.is_dead = True
        return True

    def heard(self, host: str, name: str, now: float) -> None:
        """Something of the object came."""
        where = self._host(host)
        where.heard_at = now
        where.silent.clear()
        if where.is_dead:
            where.is_dead = False
            where.turns.clear()
        self._heard[name] = now
        entry = self._objects.get(name)
        if entry is not None:
            entry.whole = False

    def answered(self, host: str, name: str, span: Span, now: float) -> None:
        """``span`` of it came, or at least its first byte: no range that this one touches is dead
        any more."""
        self.heard(host, name, now)
        entry = self._objects.get(name)
        if entry is not None:
            entry.ranges = [each for each in entry.ranges if not _touch(each, span)]
            if not entry.ranges:
                del self._objects[name]

    def limit(self, host: str, name: str, span: Span) -> int:
        """How far a GET of ``span`` may go: to its stop, to the start of a dead range in it, or
        (``span.start``) nowhere."""
        where = self._hosts.get(host)
        if where is not None and where.is_dead:
            return span.start
        entry = self._objects.get(name) if self._objects else None
        if entry is None:
            return span.stop
        if entry.whole:
            return span.start
        starts = [each.start for each in entry.ranges if _touch(each, span)]
        return max(min(starts, default=span.stop), span.start)

    def probe_due(self, host: str, name: str, now: float) -> bool:
        """Whether who was refused may look for an answer now; if so, nobody else may for a
        while."""
        if not self.is_probe_due(host, name, now):
            return False
        entry = self._objects.get(name)
        if entry is not None:
            entry.dead.put_off(now)
            return True
        turns = self._host(host).turns
        if name in turns:
            turns[name].put_off(now)
        else:
            turns[name] = _Dead(now, now, self._first_pause_s)
        return True

    def is_probe_due(self, host: str, name: str, now: float) -> bool:
        """As ``probe_due``, and changes nothing."""
        entry = self._objects.get(name)
        if entry is not None:
            return now >= entry.dead.probe_at
        where = self._hosts.get(host)
        if where is None or not where.is_dead:
            return False
        turn = where.turns.get(name)
        return turn is None or now >= turn.probe_at

    def _host(self, host: str) -> _Host:
        found = self._hosts.get(host)
        if found is None:
            found = self._hosts[host] = _Host()
        return found


def _touch(one: Span, other: Span) -> bool:
    return one.start < other.stop and other.start < one.stop


def _within(one: Span, other: Span) -> bool:
    return other.start <= one.start and one.stop <= other.stop
