"""What the control socket answers: each route to a verb of the drive or to a job."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

import trio

from dmfs.control.cards import Card
from dmfs.control.exchange import Exchange
from dmfs.control.metrics_port import scrape
from dmfs.drive import Drive
from dmfs.errors import DriveError, UsageError
from dmfs.jobs.table import JOBS
from dmfs.status import status_of
from dmfs.telemetry.metrics import CONTENT_TYPE, check_available
from dmfs.telemetry.stack_report import report

log = logging.getLogger(__name__)

KEEP_ALIVE_S = 15.0
"""An answer without news gets an empty event so often: whoever reads it knows that we live."""


class Routes:
    """The answers of one mount."""

    def __init__(self, drive: Drive, card: Card) -> None:
        self._drive = drive
        self._card = card
        self._gets: Mapping[str, Callable[[Exchange], Awaitable[None]]] = {
            "/v1/status": self._status,
            "/v1/events": self._events,
            "/v1/uploads": self._uploads,
            "/v1/gauges": self._gauges,
            "/v1/trouble": self._trouble,
            "/metrics": self._metrics,
        }

    async def answer(self, exchange: Exchange) -> None:
        """One request. Errors of the drive become an answer; others are bugs."""
        get = self._gets.get(exchange.path)
        verb = exchange.path.removeprefix("/v1/")
        if get is not None and exchange.method in ("GET", "HEAD"):
            await get(exchange)
        elif verb in JOBS and exchange.path.startswith("/v1/") and exchange.method == "POST":
            await self._job(exchange, verb)
        elif get is not None or verb in JOBS:
            await exchange.refuse(405, f"{exchange.path} is not for {exchange.method}")
        else:
            known = ", ".join([*self._gets, *(f"/v1/{each}" for each in JOBS)])
            await exchange.refuse(404, f"there is no {exchange.path}", f"there is: {known}")

    async def _status(self, exchange: Exchange) -> None:
        await exchange.respond_json(200, await self.status())

    async def status(self) -> dict[str, Any]:
        """What the card says and what the drive knows."""
        return {**asdict(self._card), **await status_of(self._drive)}

    async def _gauges(self, exchange: Exchange) -> None:
        await exchange.respond_json(200, self._drive.gauges())

    async def _uploads(self, exchange: Exchange) -> None:
        writing = self._drive.writing
        if writing is None:
            await exchange.refuse(409, "this drive is mounted read-only")
            return
        from dmfs.write.care.report import report_of  # noqa: PLC0415 - with what writes

        report = report_of(writing, self._card.mountpoint)
        await exchange.respond_json(200, report.as_json(local=True))

    async def _trouble(self, exchange: Exchange) -> None:
        text = "\n".join(report(self._drive.gauges())) + "\n"
        await exchange.respond(200, "text/plain; charset=utf-8", text.encode())

    async def _metrics(self, exchange: Exchange) -> None:
        try:
            check_available()
        except DriveError as error:
            await exchange.refuse(501, error.message, error.hint)
            return
        await exchange.respond(200, CONTENT_TYPE, await scrape(self._drive))

    async def _events(self, exchange: Exchange) -> None:
        """What happened lately and, with ``?follow=1``, all that happens from now on."""
        if "follow=1" not in exchange.query.split("&"):
            await exchange.begin()
            for event in list(self._drive.activity.recent):
                await exchange.write(event)
            await exchange.write({"event": "done"})
            await exchange.end()
            return
        with self._drive.activity.listening() as listener:
            if listener is None:
                await exchange.refuse(503, "too many programs listen already")
                return
            await exchange.begin()
            while True:
                news: Mapping[str, Any] = {"event": "idle"}
                with trio.move_on_after(KEEP_ALIVE_S):  # not around the write: it would be cut off
                    news = await listener.events.receive()
                await exchange.write(news)

    async def _job(self, exchange: Exchange, verb: str) -> None:
        try:
            parameters = json.loads(exchange.body or b"{}")
        except (ValueError, RecursionError):
            parameters = None
        if not isinstance(parameters, dict):
            await exchange.refuse(400, "the body is no JSON object")
            return

        async def tell(event: Mapping[str, Any]) -> None:
            if event["event"] == "done":  # a command ends: what comes after it sees what it did
                await self._drive.changes_arrived()
            await exchange.write(event)

        await exchange.begin()
        try:
            await JOBS[verb](self._drive, parameters, tell)
        except DriveError as error:
            await exchange.write(error_event(error))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise  # who asked is gone
        except Exception:
            log.exception("bug in %s", verb)
            await exchange.write(error_event(DriveError(f"{verb} failed: a bug in dmfs")))
        await exchange.end()


def error_event(error: DriveError) -> dict[str, Any]:
    """The last line of a job that failed."""
    return {
        "event": "error",
        "message": error.message,
        "hint": error.hint,
        "errno": errno.errorcode.get(error.errno, str(error.errno)),
        "usage": isinstance(error, UsageError),
    }
