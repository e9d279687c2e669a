"""The bytes of a storage object, from wherever they are signed to.

``size(file)`` and ``fill(content, span, buffer, progress)`` for the block cache: retries that
resume where the bytes stopped, fresh URLs after a 403, the ETag of every answer, the sha1 of small
files.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import trio

from dmfs.errors import (
    AccessError,
    BadResponseError,
    DriveError,
    ETagDiffersError,
    GoneError,
    ObjectChangedError,
    OfflineError,
    UrlRefusedError,
)
from dmfs.fetch.curl.progress import Progress
from dmfs.fetch.curl.transfer import ETagGuard, Fetcher, RangeRequest, other_etag
from dmfs.fetch.etags import ETags, Piece, check
from dmfs.fetch.generation import Generation, Sample, Stretch, sample_of
from dmfs.fetch.hosts import HostBackoff
from dmfs.fetch.link_stats import NEVER, StragglerDetector
from dmfs.fetch.signed_urls import SignedUrls, Signer, part_at
from dmfs.fetch.stalls import Ear, Stalls, is_answer
from dmfs.model import File, SignedObject, SignedRange
from dmfs.spans import Span
from dmfs.system.backoff import backoff_s
from dmfs.system.concurrency import computed

log = logging.getLogger(__name__)

ATTEMPTS = 5
RENEWALS = 2
"""As Autodesk's own SDK: five tries and two fresh URLs."""
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 4.0
_OUTCOMES = "ok", "refused", "changed", "failed", "cancelled"
"""Of a GET: 403, another ETag or size, any other error, given up by the reader or as late."""
_FINAL = GoneError, AccessError, OfflineError, ObjectChangedError


class Content(Protocol):
    """What is read: a version's bytes, of one generation (``extents.CachedObject``)."""

    file: File
    generation: Generation

    async def sample(self) -> Sample | None:
        """A piece of what is cached; None if nothing is. DriveError where it cannot be read."""
        ...


class ObjectClient:
    """Bytes on demand; all its state is in memory and may be lost."""

    def __init__(
        self,
        signer: Signer,
        fetcher: Fetcher,
        nursery: trio.Nursery,
        *,
        timeout_s: float,
        stalls: Stalls | None = None,
    ) -> None:
        """``timeout_s``: of a signing."""
        self._fetcher = fetcher
        self._stalls = stalls or Stalls(nursery, math.inf)
        self._urls = SignedUrls(signer, nursery, timeout_s=timeout_s)
        self._etags = ETags(nursery)
        self._backoff = HostBackoff()
        self._stragglers = StragglerDetector()
        self._gets = dict.fromkeys(_OUTCOMES, 0)
        self._bytes = 0

    def gauges(self) -> dict[str, int]:
        """GETs so far by outcome, and the bytes that came by them."""
        gets = {f"fetch.gets_{outcome}": count for outcome, count in self._gets.items()}
        return {"fetch.bytes": self._bytes, **gets, **self._stalls.gauges()}

    async def size(self, file: File) -> int:
        """The authoritative length. One signing call at most; AccessError if it may not be read."""
        return (self._urls.peek(file) or await self._urls.sign(file)).size_bytes

    def may_wait(self, file: File) -> bool:
        """Whether the file is signed, or may be read as far as is known: no need to ask now."""
        return self._urls.peek(file) is not None or self._urls.leave.covers(file)

    def is_signed(self, file: File) -> bool:
        """Whether its bytes can be fetched now without a signing."""
        return self._urls.is_fresh(file)

    def sha1_of(self, file: File) -> str:
        """The service's checksum of all bytes, if the last signing came with one; '' otherwise."""
        signed = self._urls.peek(file)
        return signed.sha1 if signed is not None else ""

    def check(self, content: Content, span: Span) -> None:
        """StalledError if ``fill`` of that span would fail at once: before waiting for a
        connection."""
        signed = self._urls.peek(content.file)
        if signed is None or not span.start < signed.size_bytes:
            return
        part = part_at(signed, span.start)
        if self._stalls.refuses(part.url, content.file.storage_id, span):
            raise self._stalls.error(f"read {content.file.name!r}")

    async def fill(
        self, content: Content, span: Span, buffer: memoryview, progress: Progress
    ) -> None:
        """Fill ``buffer`` with the bytes ``span``; ``progress`` is set as its first n become valid.

        A file that is fetched whole and comes with a sha1 is compared with it before any byte
        counts as valid. ObjectChangedError once the content's generation is detached; StalledError
        where it would wait for what just used up a deadline.
        """
        file = content.file
        signed = await self._urls.fresh(file)
        whole = span == (0, signed.size_bytes) and bool(signed.sha1)
        step = Progress() if whole else progress
        for attempt in (1, 2):
            await self._fill(content, span, buffer, step)
            if not whole or await self._matches(buffer, signed.sha1):
                content.generation.remember(span.start, buffer)
                if progress.put(span.length):
                    progress.wake()
                return
            log.warning(
                "%r: the bytes do not match the service's sha1 (try %d)", file.name, attempt
            )
        raise BadResponseError(
            f"cannot read {file.name!r}: the bytes do not match the checksum of the service"
        )

    @staticmethod
    async def _matches(data: memoryview, sha1: str) -> bool:
        def digest() -> str:
            return hashlib.sha1(data, usedforsecurity=False).hexdigest()

        if len(data) < 64 * 1024:
            return digest() == sha1
        return await computed(digest) == sha1

    async def _fill(
        self, content: Content, span: Span, buffer: memoryview, progress: Progress
    ) -> None:
        """As ``_fill_pieces``; if that ends in silence, nobody is to wait for it once more."""
        ear = Ear(content.file.storage_id, progress)
        try:
            await self._fill_pieces(content, span, buffer, ear)
        except trio.Cancelled:
            if trio.current_time() >= ear.deadline:
                self._stalls.gave_up(ear, Span(span.start + progress.filled, span.stop))
            raise
        except DriveError as error:
            if not is_answer(error):
                self._stalls.gave_up(ear, Span(span.start + progress.filled, span.stop))
            raise

    async def _fill_pieces(
        self, content: Content, span: Span, buffer: memoryview, ear: Ear
    ) -> None:
        """Piece by piece, resuming after whatever has arrived when something breaks."""
        file, generation, progress = content.file, content.generation, ear.progress
        filled = failures = renewals = 0
        late_s = self._stragglers.timeout_s(span.length)
        started = trio.current_time()
        while filled < span.length:
            check(generation, f"read {file.name!r}")
            signed = await self._urls.fresh(file)
            if signed.size_bytes != generation.size_bytes:
                raise GoneError(f"cannot read {file.name!r}: the stored object has another size")
            part = part_at(signed, span.start + filled)
            await self._backoff.wait(f"read {file.name!r}", part.url)
            stop = await self._admit(file, part, Span(span.start + filled, span.stop)) - span.start
            base = filled
            piece = Progress(progress, base)
            try:
                with trio.move_on_after(late_s) as patience:
                    await self._fetch_piece(
                        content, part, span.start + base, buffer[base:stop], piece, ear
                    )
                filled = base + piece.filled if patience.cancelled_caught else stop
                if patience.cancelled_caught:
                    late_s = NEVER  # once: if the whole link is slow, waiting is all there is
                    progress.wake()  # for what came last: a cancelled transfer wakes no reader
                    log.info("%r: a range is late; going on from byte %d", file.name, filled)
            except UrlRefusedError as error:
                filled = base + piece.filled
                renewals += 1
                self._urls.forget(file, signed)
                if renewals > RENEWALS:
                    raise AccessError(error.message) from None
            except ETagDiffersError:
                filled = base + piece.filled
                failures += 1
                stretch = part.start, part.stop
                if failures >= ATTEMPTS or generation.guard(stretch) is None:
                    raise
                self._urls.forget(file, signed)
                await self._settle(content, stretch, failures, ear)
            except DriveError as error:
                filled = base + piece.filled
                failures = failures + 1 if filled == base else 1
                if failures >= ATTEMPTS or isinstance(error, _FINAL):
                    raise
                log.info("%s; trying again from byte %d", error.message, span.start + filled)
                self._backoff.refused(part.url, error)
                await self._back_off(failures, error)
        self._stragglers.record(span.length, trio.current_time() - started)

    async def _admit(self, file: File, part: SignedRange, span: Span) -> int:
        """How far the next GET of ``span`` may go."""
        here = Span(span.start, min(span.stop, part.stop))
        action, look = f"read {file.name!r}", partial(self._look, file, part)
        return await self._stalls.admit(part.url, file.storage_id, here, action, look)

    async def _settle(self, content: Content, stretch: Stretch, failures: int, ear: Ear) -> None:
        """Find out which ETag is the right one, or come to no answer and back off: a witness whose
        GET breaks is no reason to end a read."""
        witness = _Witness(content, self._urls, partial(self._fetch, ear))
        try:
            await self._etags.settle(content.generation, stretch, witness)
        except DriveError as error:
            if isinstance(error, _FINAL):
                raise
            log.info("%s; trying again", error.message)
            await self._back_off(failures, error)

    async def _fetch_piece(
        self,
        content: Content,
        part: SignedRange,
        start: int,
        buffer: memoryview,
        progress: Progress,
        ear: Ear,
    ) -> None:
        """One GET whose bytes are proved to belong to the content's generation."""
        file, generation = content.file, content.generation
        stretch = part.start, part.stop
        witness = _Witness(content, self._urls, partial(self._fetch, ear))
        guard = generation.begin(stretch)
        if guard is None:
            await self._etags.compare(generation, witness)
            guard = generation.begin(stretch)
        if guard is not None:
            await self._fetch(ear, file, part, start, buffer, guard, progress)
            return
        for _ in range(2):  # the first answer may be an odd one
            own = ETagGuard()
            await self._fetch(ear, file, part, start, buffer, own, Progress())
            await self._etags.prove(generation, stretch, own.etag, witness)
            guard = generation.guard(stretch)
            if guard is not None and guard.admits(own.etag):
                if progress.put(len(buffer)):
                    progress.wake()
                return
        raise other_etag(witness.what)

    async def _look(self, file: File, part: SignedRange, offset: int) -> None:
        """A GET of one byte, to see whether there is an answer."""
        progress = Progress()
        ear, byte = Ear(file.storage_id, progress), memoryview(bytearray(1))
        await self._fetch(ear, file, part, offset, byte, ETagGuard(), progress)

    async def _fetch(
        self,
        ear: Ear,
        file: File,
        part: SignedRange,
        start: int,
        buffer: memoryview,
        guard: ETagGuard,
        progress: Progress,
        unless_etag: str = "",
    ) -> None:
        """One GET; the offsets of a part's URL count from the start of that part."""
        request = RangeRequest(
            f"read {file.name!r}", part.url, start - part.start, buffer,
            part.stop - part.start, guard, progress, unless_etag,
        )  # fmt: skip
        outcome = "cancelled"
        began = trio.current_time()
        try:
            with self._stalls.listening(ear, part.url, progress):
                await self._fetcher.fetch(request)
            outcome = "ok"
            self._stalls.answered(ear, Span(start, start + len(buffer)))
        except DriveError as error:
            outcome = _outcome(error)
            if is_answer(error):
                self._stalls.answered(ear, Span(start, start + 1))
            else:
                self._stalls.ended(ear, began)
            raise
        finally:
            self._gets[outcome] += 1
            self._bytes += progress.filled

    async def _back_off(self, failures: int, error: DriveError) -> None:
        """Before the next try; at once with ``error`` where that would come after the deadline."""
        if trio.current_time() + (error.retry_after_s or 0.0) >= trio.current_effective_deadline():
            raise error
        await trio.sleep(backoff_s(failures, BACKOFF_FIRST_S, BACKOFF_MAX_S))


def _outcome(error: DriveError) -> str:
    if isinstance(error, UrlRefusedError):
        return "refused"
    return "changed" if isinstance(error, ObjectChangedError) else "failed"


_Get = Callable[[File, SignedRange, int, memoryview, ETagGuard, Progress, str], Awaitable[None]]


class _Witness:
    """Small GETs that find out what an object is now; see ``etags.Witness``."""

    def __init__(self, content: Content, urls: SignedUrls, get: _Get) -> None:
        self._file = content.file
        self._size_bytes = content.generation.size_bytes
        self._urls = urls
        self._get = get
        self.what = f"read {content.file.name!r}"
        self.known_sample = content.sample

    def renew(self) -> None:
        self._urls.forget(self._file)

    async def stretches(self) -> list[Stretch]:
        return [(part.start, part.stop) for part in (await self._signed()).parts]

    async def etag(self, stretch: Stretch, known: str = "") -> str:
        part = part_at(await self._signed(), stretch[0])
        if (part.start, part.stop) != stretch:
            raise BadResponseError(f"cannot {self.what}: it is signed in other parts now")
        if not (known.isascii() and known.isprintable()):
            known = ""  # out of an index that another program wrote: no header may be made of it
        etag, _ = await self._answer(part, Span(part.start, part.start + 1), known)
        return etag or known

    async def piece(self, span: Span) -> Piece:
        etags: dict[Stretch, str] = {}
        data = bytearray()
        while len(data) < span.length:
            position = span.start + len(data)
            part = part_at(await self._signed(), position)
            etag, more = await self._answer(part, Span(position, min(span.stop, part.stop)))
            etags[part.start, part.stop] = etag
            data += more
        return Piece(etags, sample_of(span.start, memoryview(data)))

    async def _signed(self) -> SignedObject:
        signed = await self._urls.fresh(self._file)
        if signed.size_bytes != self._size_bytes:
            raise GoneError(f"cannot {self.what}: the stored object has another size")
        return signed

    async def _answer(
        self, part: SignedRange, span: Span, known: str = ""
    ) -> tuple[str, bytearray]:
        guard, buffer = ETagGuard(), bytearray(span.length)
        await self._get(self._file, part, span.start, memoryview(buffer), guard, Progress(), known)
        return guard.etag, buffer
