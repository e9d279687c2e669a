"""Who waits for bytes that do not come, waits once: remembers dead stretches and looks after them.

An ear listens to the GETs of each fill. If the fill ends with its deadline and nothing had come for
a good part of that, its stretch is dead (``dead_stretches``): the next fill of it fails at once.
One kernel read that fails is asked again page by page, each of which would wait for a deadline of
its own (57 s).

Nothing looks by itself: a request that is refused does, once a second at most for each object, with
a GET of one byte of the same range. It waits for a moment only, but the probe goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import trio

from dmfs.errors import DriveError, OfflineError, StalledError, UnreachableError
from dmfs.fetch.curl.progress import Progress
from dmfs.fetch.dead_stretches import DeadStretches
from dmfs.model import StorageId
from dmfs.spans import Span

log = logging.getLogger(__name__)

GetByte = Callable[[int], Awaitable[None]]
"""A GET of the byte at an offset of the object."""

SILENCE_SHARE = 0.5
"""Of a deadline: a stretch from which nothing came for so long, until that passed, is dead."""
LISTENINGS = 8
"""In that time: so often it is noticed whether bytes come."""
QUICK_S = 5.0
"""libcurl gives up later than that: 10 s for a connection, 15 s without a byte."""
MOMENT_SHARE = 0.05
MOMENT_MAX_S = 0.5
"""Who is refused waits so long for a probe: together with the wait before it less than 1.1
deadlines."""
PAUSE_SHARE = 0.02
"""Of a deadline, and a second at most, passes before the first probe: the kernel asks again for the
page that has just failed, and it has waited enough."""
PROBE_S = 2.0
"""A probe has no longer: the host may be well again, and only this connection dead. But one of each
object may take a whole deadline, for a host may be slow."""
PROBES_MAX = 16
"""Of all objects together; the oldest gives way."""


class Ear:
    """Hears the GETs of one fill."""

    __slots__ = ("deadline", "heard_at", "host", "progress", "storage_id", "url")

    def __init__(self, storage_id: StorageId, progress: Progress) -> None:
        self.storage_id = storage_id
        self.progress = progress
        self.deadline = trio.current_effective_deadline()
        self.url = ""
        self.host = ""
        self.heard_at: float | None = None
        """None before the first GET, and while none is under way after one that was answered, or
        failed at once."""


class _Get:
    """A GET under way."""

    __slots__ = ("ear", "progress", "seen")

    def __init__(self, ear: Ear, progress: Progress) -> None:
        self.ear = ear
        self.progress = progress
        self.seen = progress.filled


class _Probe:
    """Looks whether an object answers."""

    def __init__(self, url: str, storage_id: StorageId, *, patient: bool) -> None:
        self.url = url
        self.storage_id = storage_id
        self.patient = patient
        self.started_at = trio.current_time()
        self.done = trio.Event()
        self.scope = trio.CancelScope()


class Stalls:
    """``admit`` before each GET, ``listening`` around it, ``gave_up`` after a fill that failed."""

    def __init__(
        self,
        nursery: trio.Nursery,
        timeout_s: float,
        *,
        suspect: Callable[[str], None] = lambda _url: None,
        is_away: Callable[[str], bool] = lambda _url: False,
    ) -> None:
        """``timeout_s``: a fill's deadline. ``suspect`` the host of a URL: it is silent. A host
        that ``is_away`` needs no probes: whoever knows that looks after it."""
        self._nursery = nursery
        self._timeout_s = timeout_s
        self._silence_s = timeout_s * SILENCE_SHARE
        self._moment_s = min(MOMENT_MAX_S, timeout_s * MOMENT_SHARE)
        self._suspect = suspect
        self._is_away = is_away
        self._dead = DeadStretches(first_pause_s=timeout_s * PAUSE_SHARE)
        self._gets: set[_Get] = set()
        self._some = trio.Event()
        self._probes: list[_Probe] = []
        self._refused = self._probed = 0

    def gauges(self) -> dict[str, int]:
        """Requests that were refused, probes, and probes under way."""
        return {
            "fetch.stalls_refused": self._refused,
            "fetch.stalls_probed": self._probed,
            "stall_probes": len(self._probes),
        }

    # Before a GET

    def refuses(self, url: str, storage_id: StorageId, span: Span) -> bool:
        """Whether ``admit`` would refuse at once. Changes nothing."""
        host = _host(url)
        if self._dead.limit(host, storage_id, span) > span.start or self._is_away(url):
            return False
        return self._young_probe(storage_id) is None and not self._dead.is_probe_due(
            host, storage_id, trio.current_time()
        )

    async def admit(
        self, url: str, storage_id: StorageId, span: Span, action: str, get_byte: GetByte
    ) -> int:
        """How far a GET of ``span`` may go: to its end, or to the dead stretch in it.
        StalledError where it starts with one. ``get_byte`` GETs one byte there."""
        host = _host(url)
        limit = self._dead.limit(host, storage_id, span)
        if limit > span.start:
            return limit
        if self._is_away(url):
            return span.stop  # the GET will say so
        if self._dead.probe_due(host, storage_id, trio.current_time()):
            self._start_probe(url, storage_id, span.start, get_byte)
        probe = self._young_probe(storage_id)
        if probe is not None:
            with trio.move_on_at(probe.started_at + self._moment_s):
                await probe.done.wait()
            limit = self._dead.limit(host, storage_id, span)
            if limit > span.start:
                return limit
        self._refused += 1
        raise self.error(action)

    def error(self, action: str) -> StalledError:
        """Of a request for a dead stretch."""
        return StalledError(
            f"cannot {action}: the storage gave no answer within {self._timeout_s:g} s,"
            " and still gives none",
            hint="a read works again as soon as it answers",
        )

    # While GETs are under way

    @contextmanager
    def listening(self, ear: Ear, url: str, progress: Progress) -> Iterator[None]:
        """Around a GET that fills ``progress``."""
        if ear.heard_at is None:
            ear.heard_at = trio.current_time()
        if url != ear.url:
            ear.url, ear.host = url, _host(url)
        get = _Get(ear, progress)
        self._gets.add(get)
        self._some.set()
        try:
            yield
        finally:
            self._gets.discard(get)
            self._hear(get)

    def answered(self, ear: Ear, span: Span) -> None:
        """The GET of ``span`` had an answer, of whatever kind."""
        ear.heard_at = None  # the pause before the next GET is no silence
        self._dead.answered(ear.host, ear.storage_id, span, trio.current_time())

    def ended(self, ear: Ear, began: float) -> None:
        """A GET that began then has failed, with nothing that counts as an answer. If that took it
        a moment only, it is no silence, nor is the pause before the next one: a broken answer may
        be whole the next time, and a refused connection is the breaker's affair."""
        if trio.current_time() - began < min(QUICK_S, self._silence_s):
            ear.heard_at = None

    def gave_up(self, ear: Ear, span: Span) -> None:
        """A fill failed: its deadline passed or its tries are used up, and of ``span`` nothing has
        come. Nothing happens if it failed otherwise, or not in silence."""
        now = trio.current_time()
        if ear.heard_at is None or now - ear.heard_at < self._silence_s:
            return
        log.info("%s: silent for %.1f s; not waited for again", ear.host, now - ear.heard_at)
        since = now - self._silence_s
        if self._dead.timed_out(ear.host, ear.storage_id, span, silent_since=since, now=now):
            self._suspect(ear.url)

    async def run(self) -> None:
        """Notice when bytes come, for ever. Sleeps while no GET is under way. (Without it a GET
        counts as heard if any byte has come.)"""
        while True:
            await self._some.wait()
            while self._gets:
                await trio.sleep(self._silence_s / LISTENINGS)
                for get in self._gets:
                    self._hear(get)
                    for progress in {get.progress, get.ear.progress}:
                        progress.want(progress.filled + 1)  # another process tells it on demand
            self._some = trio.Event()

    def _hear(self, get: _Get) -> None:
        if get.progress.filled > get.seen:
            get.seen = get.progress.filled
            now = get.ear.heard_at = trio.current_time()
            self._dead.heard(get.ear.host, get.ear.storage_id, now)

    # Probes

    def _young_probe(self, storage_id: StorageId) -> _Probe | None:
        """One that may have its answer in a moment."""
        since = trio.current_time() - self._moment_s
        for probe in reversed(self._probes):
            if probe.started_at > since and storage_id == probe.storage_id:
                return probe
        return None

    def _start_probe(self, url: str, storage_id: StorageId, offset: int, get_byte: GetByte) -> None:
        own = [probe for probe in self._probes if probe.storage_id == storage_id]
        probe = _Probe(url, storage_id, patient=not any(each.patient for each in own))
        if len(self._probes) >= PROBES_MAX:
            self._probes[0].scope.cancel()
        self._probes.append(probe)
        self._probed += 1
        self._nursery.start_soon(self._run_probe, probe, offset, get_byte)

    async def _run_probe(self, probe: _Probe, offset: int, get_byte: GetByte) -> None:
        probe.scope.deadline = probe.started_at + (self._timeout_s if probe.patient else PROBE_S)
        try:
            with probe.scope:
                await get_byte(offset)  # an answer is heard as any other
            if trio.current_time() >= probe.scope.deadline:
                self._suspect(probe.url)
        except DriveError as error:
            log.debug("%s", error.message)
        except Exception:
            log.exception("looking whether a stalled storage answers failed")
        finally:
            self._probes.remove(probe)
            probe.done.set()


def is_answer(error: DriveError) -> bool:
    """Whether somebody answered, if only to refuse."""
    if isinstance(error, OfflineError | StalledError):
        return False
    return bool(error.status) or not isinstance(error, UnreachableError)


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""
