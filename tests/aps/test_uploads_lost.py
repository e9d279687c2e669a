"""Answers that are lost, damaged or late, over sockets: each change is sent once all the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from dmfs.errors import (
    BadResponseError,
    BusyError,
    DeadlineError,
    DriveError,
    UnknownOutcomeError,
    UnreachableError,
    UrlRefusedError,
)
from dmfs.system.concurrency import deadline
from tests.aps.changes import CHANGES
from tests.aps.conftest import numbers
from tests.aps.wire import wire_to
from tests.emulator.place import Place
from tests.emulator.writer import Writer
from tests.support.helpers import real

BEFORE: dict[str, dict[str, Any]] = {
    "reset_before_effect": {}, "malformed_json": {}, "html_200": {},
    "status": {"status": 500, "shape": "jsonapi"},
}  # fmt: skip
AFTER: dict[str, dict[str, Any]] = {
    "reset_before_headers": {}, "reset_after_headers": {}, "truncated_json": {},
    "status": {"status": 504, "shape": "jsonapi", "after_effect": True},
    "malformed_json": {"after_effect": True},
}  # fmt: skip


@pytest.mark.parametrize("route", CHANGES)
def test_a_lost_answer_is_unknown_whether_it_happened_or_not(place: Place, route: str) -> None:
    """Before the effect and after it: the same error, one call, and the truth is at the service."""

    @real
    async def body() -> None:
        async with wire_to(place) as wire:
            for effect, kinds in ((False, BEFORE), (True, AFTER)):
                for kind, params in kinds.items():
                    fresh = Place(place.emulator, next(numbers))
                    wire.place = fresh
                    change = await CHANGES[route](wire)
                    place.emulator.fault(kind, route=route, **params)
                    before = wire.counts().get(route, 0)
                    with pytest.raises(UnknownOutcomeError):
                        await change.send()
                    assert wire.counts()[route] == before + 1, kind
                    if route != "storage":
                        assert change.happened() is effect, kind
                    place.emulator.clear_faults()

    body()


async def _arrives(is_counted: Callable[[], bool]) -> bool:
    with trio.move_on_after(1.0):
        while not is_counted():
            await trio.sleep(0.01)
    return is_counted()


@pytest.mark.parametrize("route", CHANGES)
def test_a_deadline_that_passes_meanwhile_says_nothing_either(place: Place, route: str) -> None:
    @real
    async def body() -> None:
        async with wire_to(place) as wire:
            change = await CHANGES[route](wire)
            place.emulator.fault("stall_before_headers", route=route, seconds=None)
            before = wire.counts().get(route, 0)
            for seconds in (0.3, 1.0, 3.0, 9.0):  # the machine may be too busy to send it sooner
                with pytest.raises(DeadlineError), deadline(seconds, "save"):
                    await change.send()
                if await _arrives(lambda: wire.counts().get(route, 0) > before):
                    break
            assert wire.counts()[route] == before + 1
            if route != "storage":
                assert change.happened()

    body()


@pytest.mark.parametrize("route", CHANGES)
def test_a_429_and_a_401_are_no_answers_to_fear(place: Place, route: str) -> None:
    @real
    async def body() -> None:
        async with wire_to(place) as wire:
            change = await CHANGES[route](wire)
            place.emulator.fault("status", route=route, status=429, shape="gateway", retry_after=0)
            place.emulator.expire_tokens()
            before = wire.counts().get(route, 0)
            await change.send()
            assert wire.session.renewals == 1
            assert wire.counts()[route] == before + 3
            wire.place.writer = Writer(place.emulator, place.project["id"])
            if route != "storage":
                assert change.happened()

    body()


async def refusing(url: str) -> None:
    """Until it does: the order to do so is answered first, on a connection that is dropped then."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    with trio.fail_after(20):
        while True:
            try:
                await (await trio.open_tcp_stream(parts.hostname, parts.port)).aclose()
            except OSError:
                return


@real
async def test_without_a_connection_nothing_was_sent(place: Place) -> None:
    async with wire_to(place) as wire:
        change = await CHANGES["items_post"](wire)
        place.emulator.refuse("api", 0.5)
        await refusing(place.emulator.api_url)
        with pytest.raises(UnreachableError) as caught:
            await change.send()
        assert not isinstance(caught.value, UnknownOutcomeError)
        await trio.sleep(0.6)
        assert not change.happened()


@real
async def test_a_late_effect_comes_after_the_error(place: Place) -> None:
    async with wire_to(place) as wire:
        change = await CHANGES["versions_post"](wire)
        place.emulator.fault("late_effect", route="versions_post", seconds=0.2)
        with pytest.raises(UnknownOutcomeError):
            await change.send()
        assert not change.happened()
        with trio.fail_after(20):
            while not change.happened():
                await trio.sleep(0.05)


@real
async def test_a_size_that_differs_is_an_error(place: Place) -> None:
    async with wire_to(place) as wire:
        change = await CHANGES["complete"](wire)
        place.emulator.fault("wrong_size", route="complete", by=1)
        with pytest.raises(DriveError, match="6 bytes of 5"):
            await change.send()


BYTES = b"part" * 300_000


@pytest.mark.parametrize(
    ("kind", "params", "error"),
    [
        ("request_timeout", {}, UnreachableError), ("slow_down", {}, BusyError),
        ("expired_url", {}, UrlRefusedError), ("reset_mid_upload", {}, UnreachableError),
        ("stall_mid_upload", {"seconds": None}, UnreachableError),
        ("status", {"status": 500, "shape": "xml", "code": "InternalError"}, BusyError),
        ("status", {"status": 404, "shape": "xml", "code": "NoSuchUpload"}, BadResponseError),
        ("status", {"status": 400, "shape": "xml", "code": "BadDigest"}, BadResponseError),
        ("reset_before_headers", {}, UnreachableError),
        ("reset_before_effect", {}, UnreachableError),
    ],
)  # fmt: skip
def test_a_part_that_fails_can_be_sent_again(
    place: Place, kind: str, params: dict[str, Any], error: type[DriveError]
) -> None:
    @real
    async def body() -> None:
        async with wire_to(place) as wire:
            storage = await wire.uploads.storage(wire.project_id, wire.folder, "a.txt")
            urls = await wire.uploads.part_urls(storage, first=1, count=1)
            place.emulator.fault(kind, route="cdn_put", **params)
            with pytest.raises(DriveError) as caught:
                await wire.put(urls.urls[0], BYTES)
            assert type(caught.value) is error
            etag = await wire.put(urls.urls[0], BYTES)
            size = await wire.uploads.complete(storage, urls.upload_key, len(BYTES), [etag])
            assert size == len(BYTES)

    body()


@real
async def test_what_arrived_is_known_by_its_etag(place: Place) -> None:
    right = hashlib.md5(BYTES, usedforsecurity=False).hexdigest()
    async with wire_to(place) as wire:
        storage = await wire.uploads.storage(wire.project_id, wire.folder, "a.txt")
        urls = await wire.uploads.part_urls(storage, first=1, count=1)
        place.emulator.fault("corrupt_upload", route="cdn_put")
        assert await wire.put(urls.urls[0], BYTES) not in (right, "")
        place.emulator.fault("no_etag", route="cdn_put")
        assert await wire.put(urls.urls[0], BYTES) == ""
        place.emulator.settings(etag_form="opaque")
        etag = await wire.put(urls.urls[0], BYTES)
        assert etag not in (right, "")
        assert await wire.uploads.complete(storage, urls.upload_key, len(BYTES), [etag])


@real
async def test_an_accelerated_host_that_is_shut_off_has_another_beside_it(place: Place) -> None:
    async with wire_to(place) as wire:
        place.emulator.settings(accelerate_base="http://127.0.0.1:9")
        storage = await wire.uploads.storage(wire.project_id, wire.folder, "a.txt")
        urls = await wire.uploads.part_urls(storage, first=1, count=2)
        with pytest.raises(UnreachableError):
            await wire.put(urls.urls[0], b"x")
        urls = await wire.uploads.part_urls(
            storage, first=1, count=1, upload_key=urls.upload_key, accelerate=False
        )
        assert await wire.put(urls.urls[0], b"x")


@real
async def test_urls_expire_and_are_renewed_by_the_key(place: Place) -> None:
    async with wire_to(place) as wire:
        storage = await wire.uploads.storage(wire.project_id, wire.folder, "a.txt")
        urls = await wire.uploads.part_urls(storage, first=1, count=2)
        place.emulator.expire_urls()
        with pytest.raises(UrlRefusedError):
            await wire.put(urls.urls[0], b"x")
        again = await wire.uploads.part_urls(storage, first=1, count=1, upload_key=urls.upload_key)
        assert again.upload_key == urls.upload_key
        etag = await wire.put(again.urls[0], b"x")
        assert await wire.uploads.complete(storage, urls.upload_key, 1, [etag]) == 1
