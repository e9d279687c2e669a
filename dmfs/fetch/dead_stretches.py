"""What used up a whole deadline without a byte, so that nobody waits for it again. Pure.

Three things can be dead, each until something of it answers:

    a range    a GET of it ended with its deadline, and nothing had come for a good part of that
    an object  ... and nothing of the whole object had come meanwhile either
    a host     ... and so with ``parts_of_a_host`` objects, nothing of the host in between

Whoever wants bytes of these is refused at once. One request in a while, when ``probe_due``, looks
for an answer first. Slow bytes are an answer; so is a refusal.
"""

from __future__ import annotations

from cachetools import LRUCache

from dmfs.spans import BLOCK_BYTES, Span

HOSTS_REMEMBERED = 64
OBJECTS_REMEMBERED = 1024
RANGES_REMEMBERED = 64
"""Of an object; the oldest are forgotten, and waited for once more."""
PAUSE_MIN_S = 1.0
"""Between the probes that requests bring about: the longest that an answer goes unnoticed."""
PAUSE_MAX_S = 10.0
PAUSE_SHARE = 1 / 60
"""Of the silence so far: after ten minutes of it ten seconds more do not matter."""


class _Dead:
    """Something that does not answer, since when, and when to look again."""

    def __init__(self, silent_since: float, now: float) -> None:
        self.silent_since = silent_since
        self.probe_at = now
        self.put_off(now)

    def put_off(self, now: float) -> None:
        pause_s = max(PAUSE_MIN_S, (now - self.silent_since) * PAUSE_SHARE)
        self.probe_at = now + min(pause_s, PAUSE_MAX_S)


class _Host:
    def __init__(self) -> None:
        self.heard_at = float("-inf")
        self.silent: set[str] = set()
        """Objects that used up a deadline since it was heard."""
        self.dead: _Dead | None = None


class _Object:
    """One with dead ranges, or dead as a whole."""

    def __init__(self, dead: _Dead) -> None:
        self.dead = dead
        self.ranges: list[Span] = []
        self.whole = False


class DeadStretches:
    """Hosts and objects by their names, ranges as spans of bytes, times of the caller's clock."""

    def __init__(self, *, parts_of_a_host: int = 2) -> None:
        """A host is dead once so many of its objects are: one may have a fault of its own."""
        self._parts_of_a_host = parts_of_a_host
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
            entry = self._objects[name] = _Object(_Dead(silent_since, now))
        entry.dead.put_off(now)
        entry.ranges = [each for each in entry.ranges if not _within(each, span)]
        entry.ranges = [*entry.ranges, span][-RANGES_REMEMBERED:]
        entry.whole = entry.whole or self._heard.get(name, float("-inf")) <= silent_since
        where = self._host(host)
        if where.heard_at > silent_since:
            return False
        where.silent.add(name)
        if len(where.silent) >= self._parts_of_a_host:
            where.silent.clear()  # known to be dead: no need to count on
            where.dead = where.dead or _Dead(silent_since, now)
            where.dead.put_off(now)
        return True

    def heard(self, host: str, name: str, now: float) -> None:
        """Something of the object came."""
        where = self._host(host)
        where.heard_at = now
        where.dead = None
        where.silent.clear()
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
        if where is not None and where.dead is not None:
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
        dead = self._cause(host, name)
        if dead is None or now < dead.probe_at:
            return False
        dead.put_off(now)
        return True

    def is_probe_due(self, host: str, name: str, now: float) -> bool:
        """As ``probe_due``, and changes nothing."""
        dead = self._cause(host, name)
        return dead is not None and now >= dead.probe_at

    def _cause(self, host: str, name: str) -> _Dead | None:
        where, entry = self._hosts.get(host), self._objects.get(name)
        if where is not None and where.dead is not None:
            return where.dead
        return None if entry is None else entry.dead

    def _host(self, host: str) -> _Host:
        found = self._hosts.get(host)
        if found is None:
            found = self._hosts[host] = _Host()
        return found


def _touch(one: Span, other: Span) -> bool:
    return one.start < other.stop and other.start < one.stop


def _within(one: Span, other: Span) -> bool:
    return other.start <= one.start and one.stop <= other.stop
