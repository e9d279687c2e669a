"""One event loop in a thread of its own, for callers that have none or another one.

A process has at most one. It is a daemon thread: a program that ends does not wait for it. A forked
child has no thread of its parent's; there a loop is begun anew (see ``sessions``).
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

import trio

T = TypeVar("T")
START_S = 30.0


class _Call:
    """One piece of work, from the thread that waits for it."""

    def __init__(self, work: Callable[[], Awaitable[Any]]) -> None:
        self.done: Future[Any] = Future()
        self._work = work
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        try:
            with self._scope:
                self.done.set_result(await self._work())
        except Exception as error:  # noqa: BLE001 - it comes out where it was called
            self.done.set_exception(error)
        except BaseException:
            self.done.set_exception(CancelledError())
            raise
        else:
            if not self.done.done():
                self.done.set_exception(CancelledError())

    def cancel(self) -> None:
        self._scope.cancel()


class Loop:
    """A running loop. Its verbs are for other threads."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._stop: trio.Event | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._thread = threading.Thread(
            target=trio.run, args=(self._main,), name="dmfs", daemon=True
        )
        self._thread.start()
        if not self._ready.wait(START_S):
            raise RuntimeError("the event loop of dmfs does not start")

    async def _main(self) -> None:
        async with trio.open_nursery() as nursery:
            self._token, self._nursery, self._stop = (
                trio.lowlevel.current_trio_token(), nursery, trio.Event(),
            )  # fmt: skip
            self._ready.set()
            await self._stop.wait()
            nursery.cancel_scope.cancel()

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` on the loop and wait for it. Its error comes out; a KeyboardInterrupt here
        cancels it. RuntimeError on the loop itself, which would wait for itself."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("a callback of dmfs cannot call dmfs: it runs on its event loop")
        assert self._token is not None
        call = _Call(work)
        self._token.run_sync_soon(self._begin, call)
        try:
            return call.done.result()  # type: ignore[no-any-return]
        except BaseException:
            if not call.done.done():
                self._token.run_sync_soon(call.cancel)
            raise

    def _begin(self, call: _Call) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(call.run)

    @property
    def nursery(self) -> trio.Nursery:
        """Of the loop, for what shall live as long. On the loop alone."""
        assert self._nursery is not None
        return self._nursery

    def end(self, timeout_s: float) -> None:
        """Cancel all work, and wait for the thread so long."""
        if self._token is not None and self._stop is not None:
            try:
                self._token.run_sync_soon(self._stop.set)
            except trio.RunFinishedError:
                return
            self._thread.join(timeout_s)
