"""The bytes of a storage object, from wherever they are signed to. Floor 1.

Two verbs for the floor above: ``size(file)`` and ``fill(file, span, sink, progress)``. Owns the
signed URLs (shared by all readers, renewed before they expire and after a 403, unseen), the ETag
guard of each object, retries that resume where the bytes stopped, and the sha1 of small files.
"""

from __future__ import annotations

import hashlib
import logging
import random
from typing import Protocol

import cachetools
import trio

from dmfs.errors import (
    AccessError,
    BadResponseError,
    DriveError,
    ETagDiffersError,
    GoneError,
    ObjectChangedError,
    OfflineError,
    SignedOutError,
    UnreachableError,
    UrlRefusedError,
)
from dmfs.fetch.curl.progress import AnyProgress, Progress, as_progress
from dmfs.fetch.curl.transfer import ETagGuard, Fetcher, RangeRequest
from dmfs.fetch.etags import ETags
from dmfs.fetch.host_backoff import HostBackoff
from dmfs.fetch.stragglers import NEVER, StragglerDetector
from dmfs.model import File, SignedObject, SignedRange, StorageId
from dmfs.spans import Span
from dmfs.system.concurrency import SingleFlight, deadline

log = logging.getLogger(__name__)

RENEW_MARGIN_S = 30.0
"""A URL is renewed this long before its end: expiry is judged when a request *arrives*."""
REFUSAL_MEMORY_S = 30.0
"""A file that may be listed but not read is probed by every thumbnailer: one call per this."""
ATTEMPTS = 5
RENEWALS = 2
"""As Autodesk's own SDK: five tries and two fresh URLs."""
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 4.0
OBJECTS_REMEMBERED = 4096
_FINAL = GoneError, AccessError, OfflineError


class Signer(Protocol):
    """What the service must be able to do for us."""

    async def sign(self, file: File) -> SignedObject:
        """Leave to read the bytes of a version."""
        ...


class ObjectClient:
    """Bytes on demand; everything it knows is in memory and may be forgotten."""

    def __init__(
        self, signer: Signer, fetcher: Fetcher, nursery: trio.Nursery, *, timeout_s: float
    ) -> None:
        self._signer = signer
        self._fetcher = fetcher
        self._timeout_s = timeout_s
        self._flights: SingleFlight[StorageId, SignedObject] = SingleFlight(nursery)
        self._signed: cachetools.LRUCache[StorageId, SignedObject] = cachetools.LRUCache(
            OBJECTS_REMEMBERED
        )
        self._refused: cachetools.TTLCache[StorageId, DriveError] = cachetools.TTLCache(
            OBJECTS_REMEMBERED, REFUSAL_MEMORY_S, timer=trio.current_time
        )
        self.etags = ETags(nursery)
        self._holds = HostBackoff()
        self._pace = StragglerDetector()
        self._random = random.Random()

    async def size(self, file: File) -> int:
        """The authoritative length. One signing call at most; AccessError if it may not be read."""
        signed = self._signed.get(file.storage_id)
        return (signed or await self._sign(file)).size_bytes

    def sha1_of(self, file: File) -> str:
        """The service's checksum of all bytes, as far as a signing told it; '' otherwise."""
        signed = self._signed.get(file.storage_id)
        return signed.sha1 if signed is not None else ""

    async def fill(self, file: File, span: Span, sink: memoryview, progress: AnyProgress) -> None:
        """Fill ``sink`` with the bytes ``span``; ``progress`` is told as its first n become valid.

        A file that is fetched whole and comes with a sha1 is compared with it before any byte is
        told to be valid.
        """
        signed = await self._fresh(file)
        whole = span == (0, signed.size_bytes) and bool(signed.sha1)
        told = as_progress(progress)
        step = Progress() if whole else told
        for attempt in (1, 2):
            await self._fill(file, span, sink, step)
            if not whole or await self._matches(sink, signed.sha1):
                if told.put(span.length):
                    told.wake()
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
        return await trio.to_thread.run_sync(digest) == sha1

    async def _fill(self, file: File, span: Span, sink: memoryview, progress: Progress) -> None:
        """Piece by piece, resuming after whatever has arrived when something breaks."""
        filled = 0
        failures = renewals = 0
        late_s = self._pace.straggler_timeout_s(span.length)
        started = trio.current_time()
        while filled < span.length:
            signed = await self._fresh(file)
            if span.stop > signed.size_bytes:
                raise GoneError(f"cannot read {file.name!r}: the stored object became shorter")
            part = _part_at(signed, span.start + filled)
            await self._holds.wait(f"read {file.name!r}", part.url)
            stop = min(span.stop, part.stop) - span.start
            guard = self.etags.guard((file.storage_id, part.start, part.stop))
            base = filled
            piece = Progress(progress, base)
            try:
                with trio.move_on_after(late_s) as patience:
                    await self._fetch(file, part, span.start + base, sink[base:stop], guard, piece)
                filled = base + piece.filled if patience.cancelled_caught else stop
                if patience.cancelled_caught:
                    late_s = NEVER  # once: if the whole link is slow, waiting is all there is
                    progress.wake()  # for what came last: a cancelled transfer wakes nobody
                    log.info("%r: a range is late; going on from byte %d", file.name, filled)
            except UrlRefusedError as error:
                filled = base + piece.filled
                renewals += 1
                self._forget(file, signed)
                if renewals > RENEWALS:
                    raise AccessError(error.message) from None
            except ETagDiffersError:
                filled = base + piece.filled
                failures += 1
                if failures >= ATTEMPTS or await self._is_another_now(file, signed, part, guard):
                    raise
            except ObjectChangedError:
                raise
            except DriveError as error:
                filled = base + piece.filled
                failures = failures + 1 if filled == base else 1
                if failures >= ATTEMPTS or isinstance(error, _FINAL):
                    raise
                log.info("%s; trying again from byte %d", error.message, span.start + filled)
                self._holds.asked(part.url, error)
                await self._back_off(failures, error)
        self._pace.took(span.length, trio.current_time() - started)

    async def _fetch(
        self,
        file: File,
        part: SignedRange,
        start: int,
        sink: memoryview,
        guard: ETagGuard,
        progress: Progress,
    ) -> None:
        """One GET; the offsets of a part's URL count from the start of that part."""
        await self._fetcher.fetch(
            RangeRequest(
                f"read {file.name!r}", part.url, start - part.start, sink,
                part.stop - part.start, guard, progress,
            )
        )  # fmt: skip

    async def _is_another_now(
        self, file: File, signed: SignedObject, part: SignedRange, refused_by: ETagGuard
    ) -> bool:
        """An answer came under another ETag: is that the right one? (See ``etags.py``.)"""

        async def ask() -> str:
            fresh = await self._fresh(file)
            now = _part_at(fresh, part.start)
            if (fresh.size_bytes, now.start, now.stop) != (
                signed.size_bytes,
                part.start,
                part.stop,
            ):
                raise ObjectChangedError(f"cannot read {file.name!r}: it is laid out anew")
            told = ETagGuard()
            await self._fetch(file, now, part.start, memoryview(bytearray(1)), told, Progress())
            return told.etag

        self._forget(file, signed)
        stretch = file.storage_id, part.start, part.stop
        return await self.etags.settle(f"read {file.name!r}", stretch, refused_by, ask)

    async def _back_off(self, failures: int, error: DriveError) -> None:
        """Before the next try; at once with ``error`` where that would come after the deadline."""
        if trio.current_time() + (error.retry_after_s or 0.0) >= trio.current_effective_deadline():
            raise error
        wait_s = min(BACKOFF_FIRST_S * 2 ** (failures - 1), BACKOFF_MAX_S)
        await trio.sleep(wait_s * (0.5 + self._random.random() / 2))

    async def _fresh(self, file: File) -> SignedObject:
        """Signed URLs with life left in them."""
        signed = self._signed.get(file.storage_id)
        if signed is not None and signed.expires_at - trio.current_time() > RENEW_MARGIN_S:
            return signed
        return await self._sign(file)

    def _forget(self, file: File, signed: SignedObject) -> None:
        """The URL was refused: unless somebody renewed it meanwhile, it is to be signed anew."""
        if self._signed.get(file.storage_id) is signed:
            del self._signed[file.storage_id]

    async def _sign(self, file: File) -> SignedObject:
        if not file.storage_id:
            hint = "the service lists it, but refused what it knows of it; try again in a minute"
            raise AccessError(f"cannot open {file.name!r}: no permission", hint=hint)
        refused = self._refused.get(file.storage_id)
        if refused is not None:
            raise refused.copy()
        return await self._flights.join(file.storage_id, lambda: self._ask(file)).wait()

    async def _ask(self, file: File) -> SignedObject:
        try:
            with deadline(self._timeout_s, f"open {file.name!r}"):
                signed = await self._signer.sign(file)
        except SignedOutError:
            raise  # says nothing about this file, and may end at any moment
        except (AccessError, GoneError) as error:
            self._refused[file.storage_id] = error
            raise
        self._signed[file.storage_id] = signed
        return signed


def _part_at(signed: SignedObject, offset: int) -> SignedRange:
    for part in signed.parts:
        if part.start <= offset < part.stop:
            return part
    raise UnreachableError("no URL covers that offset")
