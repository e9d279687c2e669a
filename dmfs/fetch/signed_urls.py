"""Signed URLs of storage objects: shared by all readers, renewed before they expire."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import cachetools
import trio

from dmfs.errors import (
    AccessError,
    BusyError,
    DeadlineError,
    DriveError,
    GoneError,
    SignedOutError,
    SpeculationDropped,
    StalledError,
    UnreachableError,
)
from dmfs.fetch.read_leave import ReadLeave
from dmfs.model import File, SignedObject, SignedRange, StorageId
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority, explicit_priority
from dmfs.system.concurrency import Flight, SingleFlight, deadline

RENEW_MARGIN_S = 30.0
"""A URL is renewed this long before its end: expiry is judged when a request *arrives*."""
REFUSAL_MEMORY_S = 30.0
"""A file that may be listed but not read is probed by every thumbnailer: one call per this."""
OBJECTS_REMEMBERED = 4096
JOINS_MAX = 3
"""A reader may join speculation just as it gives way; then it signs anew."""


class Signer(Protocol):
    """What the service must be able to do for us."""

    async def sign(self, file: File) -> SignedObject:
        """Leave to read the bytes of a version."""
        ...


class SignedUrls:
    """``fresh`` URLs of a file; ``forget`` those that were refused."""

    def __init__(self, signer: Signer, nursery: trio.Nursery, *, timeout_s: float) -> None:
        self._signer = signer
        self._timeout_s = timeout_s
        self.leave = ReadLeave()
        self._flights: SingleFlight[StorageId, SignedObject] = SingleFlight(nursery)
        self._priorities: dict[StorageId, RequestPriority] = {}
        """Of the flights: a reader that joins speculation must not wait as long as it does."""
        self._signed: cachetools.LRUCache[StorageId, SignedObject] = cachetools.LRUCache(
            OBJECTS_REMEMBERED
        )
        self._refused: cachetools.TTLCache[StorageId, DriveError] = cachetools.TTLCache(
            OBJECTS_REMEMBERED, REFUSAL_MEMORY_S, timer=trio.current_time
        )

    async def fresh(self, file: File) -> SignedObject:
        """Signed URLs with life left in them."""
        signed = self._signed.get(file.storage_id)
        if signed is not None and self.is_fresh(file):
            return signed
        return await self.sign(file)

    def is_fresh(self, file: File) -> bool:
        """Whether ``fresh`` needs no call."""
        signed = self._signed.get(file.storage_id)
        return signed is not None and signed.expires_at - trio.current_time() > RENEW_MARGIN_S

    def forget(self, file: File, signed: SignedObject | None = None) -> None:
        """Sign the file again before its next GET: ``signed`` (None: any) is not to be used. One
        that was signed meanwhile stays."""
        if signed is None or self._signed.get(file.storage_id) is signed:
            self._signed.pop(file.storage_id, None)

    def peek(self, file: File) -> SignedObject | None:
        """The last signing of a file, whether its URLs are still good or not."""
        return self._signed.get(file.storage_id)

    async def sign(self, file: File) -> SignedObject:
        """Sign now; once for all that call meanwhile. AccessError if it may not be read."""
        if not file.storage_id:
            hint = "the service lists it, but refused what it knows of it; try again in a minute"
            raise AccessError(f"cannot open {file.name!r}: no permission", hint=hint)
        refused = self._refused.get(file.storage_id)
        if refused is not None:
            raise refused.copy()
        explicit = explicit_priority()
        level = Priority.READ if explicit is None else explicit.level
        for _ in range(JOINS_MAX):
            try:
                return await self._joined(file, level).wait()
            except SpeculationDropped:
                if level >= Priority.AHEAD:
                    raise
        raise BusyError(f"cannot open {file.name!r}: asked for in vain {JOINS_MAX} times")

    def _joined(self, file: File, level: Priority) -> Flight[SignedObject]:
        priority = self._priorities.get(file.storage_id)
        if priority is None:
            priority = self._priorities[file.storage_id] = RequestPriority(level)
        else:
            priority.raise_to(level)
        with at_priority(priority):
            return self._flights.join(file.storage_id, partial(self._run, file, priority))

    async def _run(self, file: File, priority: RequestPriority) -> SignedObject:
        speculative = priority.level >= Priority.AHEAD
        try:
            return await self._ask(file)
        except StalledError:
            raise
        except (DeadlineError, BusyError) as error:
            if speculative:  # its deadline may have passed in the queue, before any reader joined
                raise SpeculationDropped(error.message) from None
            raise
        finally:
            del self._priorities[file.storage_id]

    async def _ask(self, file: File) -> SignedObject:
        try:
            with deadline(self._timeout_s, f"open {file.name!r}"):
                signed = await self._signer.sign(file)
        except SignedOutError:
            raise  # says nothing about this file, and may end at any moment
        except (AccessError, GoneError) as error:
            self._refused[file.storage_id] = error
            self.leave.refused(file, with_siblings=isinstance(error, AccessError))
            raise
        self.leave.granted(file, signed.size_bytes)
        self._signed[file.storage_id] = signed
        return signed


def part_at(signed: SignedObject, offset: int) -> SignedRange:
    """The part that has the byte at ``offset``; UnreachableError if none has."""
    for part in signed.parts:
        if part.start <= offset < part.stop:
            return part
    raise UnreachableError("no URL covers that offset")
