"""Asking for pictures: once, within a quota, not for long, and not again where there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from dmfs.aps.pictures.links import PictureLinks
from dmfs.aps.questions.thumbnail import SIZES, Subject
from dmfs.emulator.thumbnails.pictures import heavy_png, jpeg, png
from dmfs.errors import BadResponseError, BusyError, OfflineError, SignedOutError
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import current_priority
from dmfs.thumbnails.store import PictureStore
from dmfs.thumbnails.thumbnails import (
    ANSWER_S,
    FAILED_S,
    NONE_S,
    PAUSE_S,
    QUEUE_MAX,
    QUEUE_S,
    STAYS_S,
    Thumbnails,
)
from tests.support.helpers import virtual
from tests.thumbnails.subjects import a_file

PICTURE = png("x?version=1", 200)
SMALL = png("x?version=1", 100)
WAIT_S = 27.0


class Service:
    """Answers in turn, the last answer for ever: bytes, an error, ``silence``, or seconds of a
    wait for the quota."""

    def __init__(self, *answers: Any) -> None:
        self.links = PictureLinks()
        self.answers = list(answers)
        self.calls: list[tuple[str, int]] = []
        self.levels: set[Priority] = set()
        self.wanted: list[bool] = []
        self.looks: list[str] = []
        self.may_end = False
        """Whether a look ends with its first asker."""
        self.look_s = 0.0
        """Before the service answers where pictures are."""

    async def learn_pattern(self, subject: Subject, before_sending: Any) -> None:
        await self._look("pattern", before_sending)
        self.links.suppose(subject.project_id)

    async def learn_regions(self, before_sending: Any) -> None:
        await self._look("regions", before_sending)

    async def _look(self, what: str, before_sending: Any) -> None:
        self.looks.append(what)
        self.may_end |= current_priority().may_end
        await before_sending()
        await trio.sleep(self.look_s)

    async def picture(self, subject: Subject, size: int, before_sending: Any) -> bytes:
        given = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        self.levels.add(current_priority().level)
        if isinstance(given, float):
            until = trio.current_time() + given
            while trio.current_time() < until:
                await trio.sleep(max(1.0, given / 100))
                self.wanted.append(current_priority().wanted)
            given = PICTURE
        await before_sending()
        self.calls.append((subject.version_id, size))
        await trio.sleep(0.1)
        if given == "silence":
            await trio.sleep_forever()
        if isinstance(given, Exception):
            raise given
        return bytes(given)


@asynccontextmanager
async def thumbnails(service: Service, **more: Any) -> AsyncIterator[Thumbnails]:
    async with trio.open_nursery() as nursery:
        values: dict[str, Any] = {"is_away": lambda: False, "wait_s": WAIT_S} | more
        yield Thumbnails(service, None, nursery, **values)
        nursery.cancel_scope.cancel()


@virtual
async def test_many_who_ask_at_once_cost_one_call():
    service = Service(PICTURE)
    got: list[bytes | None] = []
    async with thumbnails(service) as pictures:

        async def ask() -> None:
            got.append(await pictures.of(a_file()))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
        assert await pictures.of(a_file()) == PICTURE
        assert await pictures.of(a_file(number=2)) == PICTURE
    assert got == [PICTURE] * 20
    assert service.calls == [(a_file().version_id, 200), (a_file(number=2).version_id, 200)]
    assert service.levels == {Priority.AHEAD}
    assert pictures.gauges()["thumbnails.fetched"] == 2
    assert pictures.gauges()["thumbnails.waiting"] == 0


@virtual
async def test_none_yet_is_remembered_for_ten_minutes():
    service = Service(b"", PICTURE)
    async with thumbnails(service) as pictures:
        assert await pictures.of(a_file()) is None
        await trio.sleep(NONE_S - 1)
        assert await pictures.of(a_file()) is None
        assert len(service.calls) == 1
        await trio.sleep(2)
        assert await pictures.of(a_file()) == PICTURE
    assert NONE_S == 600


@pytest.mark.parametrize(
    "first", [jpeg(), heavy_png("x", 200), PICTURE[:-20], b"<html>", BadResponseError("too long")]
)
def test_what_is_no_png_that_fits_is_asked_for_in_a_smaller_size(first):
    @virtual
    async def run() -> None:
        service = Service(first, SMALL)
        async with thumbnails(service) as pictures:
            assert await pictures.of(a_file()) == SMALL
        assert [size for _, size in service.calls] == [200, 100] == list(SIZES)
        hopeless = Service(first)
        async with thumbnails(hopeless) as pictures:
            assert await pictures.of(a_file()) is None
            assert await pictures.of(a_file()) is None
        assert len(hopeless.calls) == 2

    run()


@virtual
async def test_a_silent_service_costs_each_asker_five_seconds_and_then_nobody():
    service = Service("silence")
    async with thumbnails(service) as pictures:
        for number in range(2):
            began = trio.current_time()
            assert await pictures.of(a_file(number=number)) is None
            assert trio.current_time() - began == pytest.approx(ANSWER_S)
        began = trio.current_time()
        for number in range(2, 200):
            assert await pictures.of(a_file(number=number)) is None
        assert trio.current_time() == began
        assert len(service.calls) == 2
        service.answers = [PICTURE]
        await trio.sleep(PAUSE_S + 1)
        assert await pictures.of(a_file(number=2)) == PICTURE
        assert await pictures.of(a_file(number=0)) is None
        await trio.sleep(FAILED_S)
        assert await pictures.of(a_file(number=0)) == PICTURE
    assert ANSWER_S == 5


@pytest.mark.parametrize("error", [OfflineError("gone"), SignedOutError("out")])
def test_an_error_is_no_picture_and_no_error_of_the_asker(error):
    @virtual
    async def run() -> None:
        async with thumbnails(Service(error)) as pictures:
            assert await pictures.of(a_file()) is None
            assert pictures.gauges()["thumbnails.failed"] == 1

    run()


@virtual
async def test_offline_nothing_is_asked():
    service = Service(PICTURE)
    away = True
    async with thumbnails(service, is_away=lambda: away) as pictures:
        assert await pictures.of(a_file()) is None
        assert service.calls == []
        away = False
        assert await pictures.of(a_file()) == PICTURE
        away = True
        assert await pictures.of(a_file()) == PICTURE


@virtual
async def test_who_waits_too_long_for_the_quota_may_come_again_and_finds_it():
    service = Service(60.0)
    async with thumbnails(service) as pictures:
        began = trio.current_time()
        for _ in range(2):
            with pytest.raises(BusyError, match="quota"):
                await pictures.of(a_file())
            await trio.sleep(1)
        assert trio.current_time() - began == pytest.approx(2 * (WAIT_S + 1))
        assert await pictures.of(a_file()) == PICTURE
        assert len(service.calls) == 1
        assert all(service.wanted)


@virtual
async def test_a_question_that_nobody_comes_back_for_leaves_the_queue():
    service = Service(60.0)
    async with thumbnails(service) as pictures:
        with trio.move_on_after(5):
            await pictures.of(a_file())
        await trio.sleep(STAYS_S - 3)
        assert all(service.wanted)
        await trio.sleep(5)
        assert not service.wanted[-1]


@virtual
async def test_the_queue_has_an_end():
    service = Service(10_000.0)
    refused = 0
    async with thumbnails(service) as pictures:

        async def ask(number: int) -> None:
            nonlocal refused
            try:
                await pictures.of(a_file(number=number))
            except BusyError:
                refused += trio.current_time() == began

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(QUEUE_MAX + 7):
                nursery.start_soon(ask, number)
        assert refused == 7
        assert pictures.gauges()["thumbnails.waiting"] == QUEUE_MAX
        await trio.sleep(QUEUE_S)
        assert pictures.gauges()["thumbnails.waiting"] == 0
    assert service.calls == []


@virtual
async def test_what_cannot_have_one_is_not_asked_for():
    service = Service(PICTURE)
    async with thumbnails(service) as pictures:
        assert await pictures.of(a_file("notes.txt")) is None
    assert service.calls == []


@virtual
async def test_where_pictures_are_is_looked_up_once_for_all_and_on_a_time_of_its_own():
    """The quota of pictures is waited for after it: the time for an answer has not begun."""
    service = Service(2 * ANSWER_S)
    service.look_s = ANSWER_S - 1
    got: list[bytes | None] = []
    async with thumbnails(service) as pictures:

        async def ask(number: int) -> None:
            got.append(await pictures.of(a_file(number=number)))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ask, number)
    assert got == [PICTURE] * 20
    assert sorted(service.looks) == ["pattern", "regions"]


@virtual
async def test_who_leaves_does_not_end_the_look_that_others_wait_for():
    service = Service(PICTURE)
    service.look_s = ANSWER_S - 1
    async with thumbnails(service) as pictures, trio.open_nursery() as nursery:

        async def ask_and_leave() -> None:
            with trio.move_on_after(0.5):
                await pictures.of(a_file(number=1))

        nursery.start_soon(ask_and_leave)
        await trio.sleep(0.1)
        assert await pictures.of(a_file(number=2)) == PICTURE
    assert service.looks == ["pattern", "regions"]
    assert not service.may_end


@virtual
async def test_a_hub_of_which_no_region_is_told_is_not_asked_about_again():
    service = Service(PICTURE)
    async with thumbnails(service) as pictures:
        for number in range(3):
            assert await pictures.of(a_file(number=number)) == PICTURE
    assert service.looks == ["pattern", "regions"]


@virtual
async def test_links_are_written_only_when_they_changed(monkeypatch, tmp_path):
    service, written = Service(PICTURE), []

    async def load(*_: object) -> None:
        return None

    async def save_links(_: PictureStore, links: object) -> None:
        written.append(links)

    for name in ("load", "load_links", "save"):
        monkeypatch.setattr(PictureStore, name, load)
    monkeypatch.setattr(PictureStore, "save_links", save_links)
    monkeypatch.setattr(PictureLinks, "add", lambda *_: None)
    async with trio.open_nursery() as nursery:
        store = PictureStore(tmp_path, "ada")
        pictures = Thumbnails(service, store, nursery, is_away=lambda: False, wait_s=WAIT_S)
        for number in range(4):
            assert await pictures.of(a_file(number=number)) == PICTURE
        nursery.cancel_scope.cancel()
    assert len(written) == 1


@virtual
async def test_a_look_that_is_not_answered_is_no_picture_for_now():
    service = Service(PICTURE)
    service.look_s = ANSWER_S + 1
    async with thumbnails(service) as pictures:
        began = trio.current_time()
        assert await pictures.of(a_file()) is None
        assert trio.current_time() - began == pytest.approx(ANSWER_S)
        assert pictures.gauges()["thumbnails.failed"] == 1
    assert service.calls == []
