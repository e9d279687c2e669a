"""Orders exports and waits for them: journalled before it is posted, and after.

    (nothing) ──▶ posting ──▶ posted ──▶ ready          failed: refused, or the job's own end
                     └─(killed, or no answer)──▶ doubt   see ``steps``

Whoever orders a design holds a lock for it, which its process's end gives back. So a row that is
``posting`` under a lock that is free was left by a process that died: it is in doubt.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar
from weakref import WeakValueDictionary

import trio

from dmfs.errors import (
    AccessError,
    BadInputError,
    BadResponseError,
    BusyError,
    DeadlineError,
    DriveError,
    GoneError,
    InDoubtError,
    OfflineError,
    SignedOutError,
    TokenRefusedError,
    UnknownOutcomeError,
    UnreachableError,
)
from dmfs.exports.export_store import ExportStore
from dmfs.exports.records import Export, Key, key_of
from dmfs.exports.steps import Wish, next_step, poll_pause_s
from dmfs.model import ProjectId, Shortcut, StorageId, VersionId
from dmfs.system.byte_locks import ByteLocks
from dmfs.system.clock import wall_time_s
from dmfs.system.concurrency import deadline, in_thread
from dmfs.system.disk_threads import DiskThreads

log = logging.getLogger(__name__)

T = TypeVar("T")

ORDERS_AT_ONCE = 1
"""Of half a second each: as fast as the published rate allows, and a kill leaves one in doubt."""
LOOKS_AT_ONCE = 4
ANSWER_S = 70.0
"""An order that was sent is waited for by so long, whoever cancels it: its answer is the only way
to know of the job."""
BUSY_TRIES, BUSY_S, BUSY_MAX_S = 60, 5.0, 60.0
"""Where the rate limit asks to wait, it is waited, a minute at a time at most."""
LOCK_BYTES = 1 << 40


class JobState(Protocol):
    """How far a job is, as ``aps.questions.exports`` has it."""

    @property
    def status(self) -> str: ...
    @property
    def download_id(self) -> str: ...
    @property
    def words(self) -> str: ...


class Calls(Protocol):
    """The service's calls; ``aps.questions.exports`` says what they raise."""

    async def formats(self, project_id: ProjectId, version_id: VersionId) -> tuple[str, ...]: ...

    async def order(
        self, project_id: ProjectId, version_id: VersionId, file_type: str,
        before_sending: Callable[[], Awaitable[None]],
    ) -> str: ...  # fmt: skip

    async def job(self, project_id: ProjectId, job_id: str) -> JobState: ...

    async def result(self, project_id: ProjectId, download_id: str) -> StorageId: ...


class Maker:
    """Of one sign-in."""

    def __init__(
        self, store: ExportStore, scope: str, calls: Calls, *, timeout_s: float, minute_s: float
    ) -> None:
        """``timeout_s``: of a call. ``minute_s``: of the published rates, shorter in tests."""
        self.store = store
        self.scope = scope
        self.calls = calls
        self._timeout_s = timeout_s
        self._scale = minute_s / 60.0
        path = store.path.parent / f"exports-{scope}.lock"
        self._locks = ByteLocks(path, DiskThreads(2))
        self._mine: WeakValueDictionary[Key, trio.Lock] = WeakValueDictionary()
        self._orders = trio.CapacityLimiter(ORDERS_AT_ONCE)
        self._looks = trio.CapacityLimiter(LOOKS_AT_ONCE)
        self._waiting = self._deciding = 0
        self.posts = 0
        """Orders that were sent by this process."""

    # The store

    async def do(self, work: Callable[[], T]) -> T:
        """In a thread, for as long as the disk takes. DriveError."""
        try:
            return await in_thread(work)
        except OSError as error:
            raise DriveError(f"cannot use {self.store.path}: {error}") from error

    async def get(self, key: Key) -> Export | None:
        return await self.do(partial(self.store.get, self.scope, key))

    async def put(self, *exports: Export) -> None:
        await self.do(partial(self.store.put, self.scope, exports))

    async def forget(self, *keys: Key) -> None:
        await self.do(partial(self.store.forget, self.scope, keys))

    # Steps

    async def made(
        self, design: Shortcut, file_type: str, wish: Wish, *, patience_s: float,
        keep: bool = False,
    ) -> Export:  # fmt: skip
        """An export that is ready, ordered if nobody did. ``keep``: it is to be shown.

        DriveError: refused, failed, in doubt (InDoubtError), not made within ``patience_s``
        (DeadlineError; the job goes on, and is taken up by the next call).
        """
        export = await self._ordered(design, file_type, wish, keep=keep)
        if export.state == "ready":
            return export
        return await self._finished(export, trio.current_time() + patience_s)

    async def _ordered(self, design: Shortcut, file_type: str, wish: Wish, *, keep: bool) -> Export:
        key = key_of(design, file_type)
        async with self._alone(key):
            export = await self.get(key)
            if export is not None and export.state == "posting":
                export = replace(export, state="doubt")  # its process is gone: we have the lock
            match next_step(export, wish):
                case "order":
                    return await self._order(design, file_type, keep=keep)
                case "doubt":
                    assert export is not None
                    raise await self._tell_doubt(export, wish)
                case "failed":
                    assert export is not None
                    raise DriveError(export.reason)
            assert export is not None
            if keep and not export.keep:
                export = replace(export, keep=True)
                await self.put(export)
            return export

    @asynccontextmanager
    async def _alone(self, key: Key) -> AsyncIterator[None]:
        """Nobody else, in any process, decides about this export meanwhile."""
        lock = self._mine.setdefault(key, trio.Lock())
        digest = hashlib.blake2b("\0".join(key).encode("utf-8", "surrogatepass"), digest_size=8)
        offset = int.from_bytes(digest.digest(), "big") % LOCK_BYTES
        self._deciding += 1
        try:
            async with lock, self._locks.lock(offset):
                yield
        finally:
            self._deciding -= 1
            if not self._deciding:
                self._locks.close()

    async def _tell_doubt(self, export: Export, wish: Wish) -> InDoubtError:
        await self.put(export)
        return InDoubtError(
            "it was about to be ordered when dmfs ended, or got no answer: nobody can tell whether"
            " the service makes it",
            hint=f"whoever repeats the command {wish.doubt_s:.0f} s from now orders it anew",
        )

    async def _order(self, design: Shortcut, file_type: str, *, keep: bool) -> Export:
        async with self._orders:
            for _ in range(BUSY_TRIES):
                try:
                    return await self._post(design, file_type, keep=keep)
                except BusyError as error:  # nothing happened
                    wait_s = min(error.retry_after_s or BUSY_S, BUSY_MAX_S)
                    await trio.sleep(wait_s * self._scale)
        raise BusyError("the rate limit was used up by others for too long", hint="try again later")

    async def _post(self, design: Shortcut, file_type: str, *, keep: bool) -> Export:
        """One order. What is under way when it is cancelled is waited for: a row without an answer
        can never be warned from one with."""
        assert design.version_id is not None
        export = Export(design, file_type, "posting", 0.0, keep=keep)
        with trio.CancelScope() as scope:

            async def before_sending() -> None:
                nonlocal export
                scope.shield, scope.deadline = True, trio.current_time() + ANSWER_S
                export = replace(export, since_s=wall_time_s())
                await self.put(export)
                self.posts += 1

            try:
                job_id = await self.calls.order(
                    design.project_id, design.version_id, file_type, before_sending
                )
            except UnknownOutcomeError as error:
                await self._in_doubt(export)
                raise _unknown(error.message) from None
            except (BusyError, OfflineError, SignedOutError, TokenRefusedError):
                await self.forget(export.key)
                raise
            except (AccessError, BadInputError, GoneError) as error:
                await self.put(_failed(export, error.message))
                raise
            except DriveError:
                await self.forget(export.key)
                raise
            export = replace(export, state="posted", job_id=job_id)
            try:
                await self.put(export)
            except DriveError as error:  # this process knows, and goes on; the next one will not
                log.warning("%s", error.message)
            return export
        with trio.CancelScope(shield=True):
            await self._in_doubt(export)
        raise _unknown(f"no answer within {ANSWER_S:.0f} s")

    async def _in_doubt(self, export: Export) -> None:
        await self.put(replace(export, state="doubt"))

    async def warned(self, keys: Iterable[Key]) -> None:
        """A person has read that these are in doubt: not sooner, for a command that was killed has
        told nobody anything."""
        for key in keys:
            async with self._alone(key):
                export = await self.get(key)
                if export is not None and export.state == "doubt" and not export.warned_s:
                    await self.put(replace(export, warned_s=wall_time_s()))

    # The job

    async def _finished(self, export: Export, until: float) -> Export:
        polls, trouble = 0, ""
        self._waiting += 1
        try:
            while True:
                await trio.sleep(poll_pause_s(polls, self._waiting, self._scale))
                polls += 1
                try:
                    found = await self._look(export)
                except (OfflineError, SignedOutError):
                    raise
                except (UnreachableError, BusyError, DeadlineError, BadResponseError) as error:
                    trouble = error.message  # the job goes on, whoever looks
                else:
                    if found is not None:
                        return found
                    trouble = ""
                if trio.current_time() > until:
                    raise DeadlineError(
                        trouble or "the service still makes it",
                        hint="the same command goes on waiting for it",
                    )
        finally:
            self._waiting -= 1

    async def _look(self, export: Export) -> Export | None:
        """The export if it is ready; None while it is not. DriveError if it failed."""
        project_id = export.design.project_id
        async with self._looks:
            with deadline(self._timeout_s, "look at an export"):
                try:
                    job = await self.calls.job(project_id, export.job_id)
                    if job.status == "waiting":
                        return None
                    if job.status == "failed":
                        reason = f"the service could not make it ({job.words})"
                        raise await self._fail(export, reason)
                    storage_id = await self.calls.result(project_id, job.download_id)
                except GoneError:
                    raise await self._fail(
                        export, "the service forgot it before it was fetched"
                    ) from None
        ready = replace(export, state="ready", since_s=wall_time_s(), storage_id=storage_id)
        await self.put(ready)
        return ready

    async def _fail(self, export: Export, reason: str) -> DriveError:
        await self.put(_failed(export, reason))
        return DriveError(reason, hint="the same command orders it anew")


def _failed(export: Export, reason: str) -> Export:
    return replace(export, state="failed", since_s=wall_time_s(), reason=reason)


def _unknown(message: str) -> InDoubtError:
    return InDoubtError(
        message, hint="nobody can tell whether the service makes it: a minute later it may be asked"
        " for anew",
    )  # fmt: skip
