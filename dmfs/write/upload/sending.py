"""The parts of an upload on their way: URLs, PUTs, ETags."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import trio

from dmfs import errors
from dmfs.system.backoff import backoff_s
from dmfs.system.clock import wall_time_s
from dmfs.system.concurrency import deadline
from dmfs.write.parts.put import PutRequest
from dmfs.write.records import NewVersion, State
from dmfs.write.upload.plan.answers import FIRST_S, GONE, Anew, Stop
from dmfs.write.upload.plan.part_plan import URLS_MAX, Part, url_range
from dmfs.write.upload.stage import Staged
from dmfs.write.upload.work import Work

PUT_TRIES = 5
WRONG_ETAGS = 2
"""Then the storage's ETags are taken for something else than an MD5."""
SESSION_LEFT_S = 300.0
"""An upload whose session ends sooner begins anew."""
SESSION_S = 20 * 3600.0
"""Less than the service gives."""
URL_LEFT_S = 15.0
"""A URL that expires sooner is renewed: it is judged when its request arrives."""
RENEWALS = 5
URLS_AHEAD = 16
"""Parts before that which needs them: a call of 0.5 s goes by meanwhile."""
MD5 = re.compile(r"[0-9a-fA-F]{32}")


def _gravity(error: Exception) -> int:
    """Of several failures the one that decides comes first."""
    return 0 if isinstance(error, Stop) else 1 if isinstance(error, Anew) else 2


def _end_of(stated_s: float) -> float:
    """When a session that just began ends. One that would have ended already says that the clock of
    this machine is wrong, and nothing about the session."""
    now_s = wall_time_s()
    return stated_s if stated_s > now_s + 2 * SESSION_LEFT_S else now_s + SESSION_S


class _Urls:
    """The signed URLs of one session, fetched for a few parts at a time and never stored."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._known: dict[int, tuple[str, float]] = {}
        self._lock = trio.Lock()

    async def of(self, number: int) -> str:
        """The URL of a part. Anew where the session does not go on."""
        url = self._ready(number)
        if url:
            return url
        async with self._lock:
            return self._ready(number) or await self._fetch(number)

    def _ready(self, number: int) -> str:
        url, expires_at = self._known.get(number, ("", 0.0))
        return url if expires_at >= trio.current_time() + URL_LEFT_S else ""

    def are_short_of(self, number: int) -> bool:
        """Whether the next call would be for this part, and nobody makes it yet."""
        return bool(self._known) and number > max(self._known) and not self._lock.locked()

    async def fetch_ahead(self, number: int) -> None:
        """So that no part waits for its URL. An error is for the part that needs it."""
        with suppress(errors.DriveError, Anew):
            await self.of(number)

    def forget(self) -> None:
        """They are refused, or lead to a host that cannot be reached."""
        self._known.clear()

    async def _fetch(self, number: int) -> str:
        work, row = self._work, self._work.row
        if row.upload_key and row.upload_ends_s - SESSION_LEFT_S < wall_time_s():
            raise Anew("the upload took longer than the service allows", counts=False)
        numbers = url_range(row.plan, number, row.etags, URLS_MAX)
        # the key of a session of a single URL cannot be used again
        key = row.upload_key if row.plan.count > 1 else ""
        accelerate = work.tools.link.accelerate
        try:
            answer = await work.call(
                "urls",
                "ask where the parts go",
                lambda: work.tools.service.part_urls(
                    row.storage_id,
                    first=numbers.start,
                    count=len(numbers),
                    upload_key=key,
                    accelerate=accelerate,
                ),
            )
        except (errors.BadInputError, *GONE) as error:
            raise Anew(error.message) from None
        if len(answer.urls) < 1:
            raise errors.BadResponseError("cannot upload: the service names no place for a part")
        if answer.upload_key != row.upload_key:
            if key:
                raise Anew("the service began another session")
            await work.note(
                "urls",
                upload_key=answer.upload_key,
                upload_ends_s=_end_of(answer.upload_ends_s),
                etags={},
            )
        for index, url in enumerate(answer.urls[: len(numbers)]):
            self._known[numbers[index]] = url, answer.expires_at
        return answer.urls[0]


class Parts:
    """Sends all parts that the storage does not have, to one session."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._urls = _Urls(work)
        at_once = work.tools.rules.parts_of_all
        self._places = trio.CapacityLimiter(at_once)
        """Of parts that are being sent."""
        self._prepared = trio.CapacityLimiter(at_once + 1)
        """Of parts that are read: the next one is ready when a place is."""
        self._failures: list[Exception] = []

    async def send(self) -> str:
        """The sha1. Errors of the last try of a part, Stop, Anew."""
        work = self._work
        if work.row.upload_key and not self._session_goes_on():
            raise Anew("the upload took longer than the service allows", counts=False)
        await work.be(State.UPLOADING, self._reason())
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._guarded, nursery, self._begin_all)
        finally:
            work.stager.close()
        if self._failures:
            raise min(self._failures, key=_gravity)
        return work.stager.sha1

    async def _guarded(
        self, nursery: trio.Nursery, work: Callable[..., Awaitable[None]], *values: object
    ) -> None:
        """The first failure ends all others, and is raised alone."""
        try:
            await work(nursery, *values)
        except Exception as error:  # noqa: BLE001 - raised again by ``send``
            self._failures.append(error)
            nursery.cancel_scope.cancel()

    async def _begin_all(self, nursery: trio.Nursery) -> None:
        plan = self._work.row.plan
        for number in range(1, plan.count + 1):
            await self._begin(nursery, plan.part(number))
            ahead = min(number + URLS_AHEAD, plan.count)
            if ahead not in self._work.row.etags and self._urls.are_short_of(ahead):
                nursery.start_soon(self._urls.fetch_ahead, ahead)

    def _session_goes_on(self) -> bool:
        return self._work.row.upload_ends_s - SESSION_LEFT_S > wall_time_s()

    def _reason(self) -> str:
        target = self._work.row.wanted
        if not self._work.job.snapshot.needs_base or not isinstance(target, NewVersion):
            return ""
        return f"needs bytes of v{target.base.number}"

    async def _begin(self, nursery: trio.Nursery, part: Part) -> None:
        work, prepared = self._work, self._prepared
        if part.number in work.row.etags:
            await work.stager.skip(part)
            return
        place = object()
        await prepared.acquire_on_behalf_of(place)
        try:
            staged = await work.stager.stage(part)
        except BaseException:
            prepared.release_on_behalf_of(place)
            raise
        nursery.start_soon(self._guarded, nursery, self._send_and_free, staged, place)

    async def _send_and_free(self, _: trio.Nursery, staged: Staged, place: object) -> None:
        part = staged.part
        try:
            async with self._places:
                etag = await self._send(staged)
        finally:
            self._work.sending.pop(part.number, None)
            staged.close()
            self._prepared.release_on_behalf_of(place)
        row = self._work.row
        accepted = {**row.etags, part.number: etag}
        # not FULL: after a power loss a part is sent again
        await self._work.become("part", replace(row, etags=accepted), durable=False)

    async def _send(self, staged: Staged) -> str:
        """The ETag of the part, once it is right."""
        wrong, renewals, tries = 0, 0, 0
        while True:
            try:
                etag = await self._put(staged)
            except errors.UrlRefusedError:
                renewals += 1
                if renewals > RENEWALS:
                    raise
                self._urls.forget()
                continue
            except (errors.DriveError, OSError) as error:
                if isinstance(error, errors.UnreachableError):
                    self._not_reached(error)
                if isinstance(error, errors.BusyError):
                    self._places.total_tokens = max(1, self._places.total_tokens // 2)
                tries += 1
                if tries >= PUT_TRIES or isinstance(error, errors.OfflineError):
                    raise
                await trio.sleep(backoff_s(tries, 1.0, FIRST_S * 6))
                continue
            if not MD5.fullmatch(etag) or etag.lower() == staged.md5:
                return etag or staged.md5
            wrong += 1
            if self._work.row.doubtful:
                return etag
            if wrong >= WRONG_ETAGS:
                await self._work.note("doubt", doubtful=True, durable=False)
                return etag

    def _not_reached(self, error: errors.DriveError) -> None:
        if not isinstance(error, errors.OfflineError) and self._work.tools.link.accelerate:
            self._work.tools.link.not_reached()
            self._urls.forget()

    async def _put(self, staged: Staged) -> str:
        work, part = self._work, staged.part
        rules = work.tools.rules
        seconds = rules.part_s + part.length / rules.line_bytes_s
        async with work.tools.places.place(work.row.draft_id, part.length):
            url = await self._urls.of(part.number)
            work.sending[part.number] = 0
            work.tools.hooks.failpoint("put.call.before")
            with deadline(seconds, f"send part {part.number} of {work.row.plan.count}"):
                etag = await work.tools.sender.put(
                    PutRequest(
                        url,
                        staged.pieces,
                        part.length,
                        f"send part {part.number}",
                        lambda size: self._sent(part, size),
                    )
                )
            work.tools.hooks.failpoint("put.call.after")
        return etag

    def _sent(self, part: Part, size: int) -> None:
        """``size``: bytes of the part so far."""
        before = self._work.sending.get(part.number, 0)
        self._work.sending[part.number] = min(size, part.length)
        self._work.rate.add(max(0, size - before))
