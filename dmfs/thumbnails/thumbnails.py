"""``user.dmfs.thumbnail``: the service's picture of a version, asked for once.

In memory for the moment (programs ask for the length and then for the value), on disk by the
version's id, else one call of a modest quota of its own. Whoever asks is not made to wait for a
service that does not answer: then there is no picture.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar

import cachetools
import trio

from dmfs.aps.pictures.links import PictureLinks
from dmfs.aps.questions.thumbnail import SIZES, BeforeSending, Subject
from dmfs.errors import BadResponseError, BusyError, DeadlineError, DriveError
from dmfs.model import Node, VersionId
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.system.backoff import Cooldown
from dmfs.system.concurrency import SingleFlight
from dmfs.thumbnails.png import is_whole_png
from dmfs.thumbnails.store import PictureStore
from dmfs.thumbnails.subjects import subject_of

log = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_S = 5.0
"""Of a call that was sent."""
QUEUE_S = 180.0
"""Of a wait for the quota: of 200 models that are looked at at once the last one waits so long."""
STAYS_S = 15.0
"""A question whose asker has left stays so long in the queue: programs ask again."""
QUEUE_MAX = 500
NONE_S = 600.0
"""For so long the service is not asked again for what it had none of."""
FAILED_S = 60.0
REMEMBERED = 10_000
RECENT_BYTES = 2 * 1024 * 1024
FAILURES_MAX = 2
PAUSE_S = 15.0
"""No calls for so long after so many failures: a service that is silent costs each asker 5 s."""
_UNUSABLE = b"?"
_REGIONS = "regions"


class Calls(Protocol):
    """``aps.questions.thumbnail.ThumbnailCalls``."""

    links: PictureLinks

    async def learn_pattern(self, subject: Subject, before_sending: BeforeSending) -> None: ...

    async def learn_regions(self, before_sending: BeforeSending) -> None: ...

    async def picture(
        self, subject: Subject, size: int, before_sending: BeforeSending
    ) -> bytes: ...


class _Wish:
    """That somebody waits for a picture, or did a moment ago."""

    __slots__ = ("left_at", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self.left_at = 0.0

    def is_alive(self) -> bool:
        return self.waiting > 0 or trio.current_time() - self.left_at < STAYS_S


class Thumbnails:
    """Of one drive."""

    def __init__(
        self, calls: Calls, store: PictureStore | None, nursery: trio.Nursery, *,
        is_away: Callable[[], bool], wait_s: float,
    ) -> None:  # fmt: skip
        """``is_away``: whether the service is known to be out of reach. ``wait_s``: how long an
        asker may be kept waiting for the quota."""
        self._service, self._store = calls, store
        self._is_away, self._wait_s = is_away, wait_s
        self._flights: SingleFlight[VersionId, bytes | None] = SingleFlight(nursery)
        self._learning: SingleFlight[str, None] = SingleFlight(nursery)
        """By project, and of all regions."""
        self._wishes: dict[VersionId, _Wish] = {}
        self._recent: cachetools.LRUCache[VersionId, bytes] = cachetools.LRUCache(
            RECENT_BYTES, getsizeof=len
        )
        now = trio.current_time
        self._none: cachetools.TTLCache[VersionId, bool]
        self._none = cachetools.TTLCache(REMEMBERED, NONE_S, timer=now)
        self._failed: cachetools.TTLCache[VersionId, bool]
        self._failed = cachetools.TTLCache(REMEMBERED, FAILED_S, timer=now)
        self._failures = 0
        self._pause = Cooldown(PAUSE_S)
        self._saved_revision = -1
        self._counts: Counter[str] = Counter()

    async def of(self, node: Node) -> bytes | None:
        """A PNG of 64 KiB at most; None where there is none, or the service does not answer.
        BusyError if the quota lets no call through for now: then it is worth asking again."""
        subject = subject_of(node)
        if subject is None:
            return None
        version_id = subject.version_id
        picture: bytes | None = self._recent.get(version_id)
        if picture is not None:
            self._counts["memory"] += 1
            return picture
        if version_id in self._none or version_id in self._failed:
            return None
        if self._store is not None:
            picture = await self._store.load(version_id)
        if picture is not None:
            self._counts["disk"] += 1
            self._recent[version_id] = picture
            return picture
        if self._is_away() or not self._pause.is_over:
            return None
        return await self._fetched(subject)

    async def _fetched(self, subject: Subject) -> bytes | None:
        wish = self._wishes.get(subject.version_id)
        if wish is None:
            if len(self._wishes) >= QUEUE_MAX:
                raise _busy()
            wish = self._wishes[subject.version_id] = _Wish()
        wish.waiting += 1
        work = partial(self._fetch, subject, wish)
        try:
            with trio.move_on_after(self._wait_s):
                return await self._flights.join(subject.version_id, work).wait()
        except BusyError:
            raise
        except DriveError as error:
            log.debug("no picture: %s", error.message)
            return None
        finally:
            wish.waiting -= 1
            wish.left_at = trio.current_time()
        raise _busy()

    async def _fetch(self, subject: Subject, wish: _Wish) -> bytes | None:
        """In a task of its own: it goes on when its asker has left."""
        version_id = subject.version_id
        try:
            if self._saved_revision < 0:
                await self._load_links()
            with at_priority(RequestPriority(Priority.AHEAD, wish.is_alive)):
                await self._learn(subject)
                picture = await self._ask(subject)
            self._failures = 0
            self._counts["none" if picture is None else "fetched"] += 1
            if picture is None:
                self._none[version_id] = True
            else:
                self._recent[version_id] = picture
                await self._keep(version_id, picture)
            return picture
        except BusyError:
            raise
        except DriveError:
            self._counts["failed"] += 1
            self._failed[version_id] = True
            self._failures += 1
            if self._failures >= FAILURES_MAX:
                self._pause.start()
            raise
        finally:
            self._wishes.pop(version_id, None)

    async def _ask(self, subject: Subject) -> bytes | None:
        """The largest that fits. None where there is none; one call a size."""
        for size in SIZES:
            found = await self._call(subject, size)
            if is_whole_png(found):
                return found
            if not found:
                break
        return None

    async def _learn(self, subject: Subject) -> None:
        """What is not known of the links of its project and hub: one call for all who ask at once.
        It has a deadline of its own: that of the picture begins when the picture is asked for."""
        links, learning = self._service.links, self._learning
        project_id, hub_id = subject.project_id, subject.hub_id
        if project_id not in links.projects:
            pattern = partial(self._service.learn_pattern, subject)
            await learning.join(project_id, partial(self._look, pattern)).wait()
        if hub_id not in links.regions:
            await learning.join(_REGIONS, partial(self._look, self._service.learn_regions)).wait()
            links.regions.setdefault(hub_id, "")

    async def _look(self, call: Callable[[BeforeSending], Awaitable[None]]) -> None:
        with at_priority(RequestPriority(Priority.AHEAD)):  # for all: no asker's leaving ends it
            await _in_time("look where a picture is", call)

    async def _call(self, subject: Subject, size: int) -> bytes:
        try:
            return await _in_time(
                "ask for a picture", partial(self._service.picture, subject, size)
            )
        except BadResponseError:  # too long, perhaps: a smaller one may do
            return _UNUSABLE

    async def _load_links(self) -> None:
        links = self._service.links
        if self._store is not None:
            links.add(await self._store.load_links())
        self._saved_revision = 0

    async def _keep(self, version_id: VersionId, picture: bytes) -> None:
        if self._store is None:
            return
        await self._store.save(version_id, picture)
        links = self._service.links
        if links.revision != self._saved_revision:
            self._saved_revision = links.revision
            await self._store.save_links(links.as_json())

    def gauges(self) -> Mapping[str, int]:
        """Pictures given from memory and disk, fetched, not there, failed; who waits."""
        names = ("memory", "disk", "fetched", "none", "failed")
        counts = {f"thumbnails.{name}": self._counts[name] for name in names}
        return counts | {"thumbnails.waiting": len(self._wishes)}


async def _in_time(action: str, call: Callable[[BeforeSending], Awaitable[T]]) -> T:
    """What ``call`` returns. It may wait long for the quota, and not for the answer: BusyError,
    DeadlineError."""
    sent = False
    with trio.move_on_after(QUEUE_S) as scope:

        async def before_sending() -> None:
            nonlocal sent
            sent = True
            scope.deadline = trio.current_time() + ANSWER_S

        return await call(before_sending)
    if not sent:
        raise _busy()
    raise DeadlineError(f"cannot {action}: no answer within {ANSWER_S:g} s")


def _busy() -> BusyError:
    return BusyError(
        "cannot ask for a picture yet: the quota of pictures is used up",
        hint="ask again in some seconds; 60 new ones a minute are asked for",
    )
