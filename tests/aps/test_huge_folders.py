"""A folder of 100 000 entries under the published rate: virtual time, pages of two entries."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trio

import dmfs.aps.paging
from dmfs.aps.client import BULK_FROM_PAGE, Aps
from dmfs.aps.contents import Contents
from dmfs.aps.page_shelf import KEEP_S
from dmfs.auth.token_endpoint import App
from dmfs.auth.token_sources import TwoLegged
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import BusyError, DeadlineError
from dmfs.http.client import Request, Response
from dmfs.http.engines import open_engines
from dmfs.http.json_client import JsonClient
from dmfs.http.tls import ca_bundle
from dmfs.model import Child, Folder, FolderId, HubId, Project, ProjectId
from dmfs.namespace.listing_store import ListingStore
from dmfs.namespace.page_store import PageStore
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.ratelimit.limits import SHARE, Priority, Rate
from dmfs.ratelimit.priority import current_priority
from dmfs.system.concurrency import deadline
from tests.aps.test_client import HQ, walk
from tests.support.answers import item, version
from tests.support.fake_http import API_URL
from tests.support.helpers import a_file, real, virtual

DEADLINE_S = 28.5
HUGE = Folder(FolderId("huge"), ProjectId("b.p"), HubId("b.h"), "Huge", object_count=100_000)
OTHER = Folder(FolderId("other"), ProjectId("b.p"), HubId("b.h"), "Other", object_count=2)
PER_PAGE = 2


class Service:
    """Each folder has items; pages show two of them."""

    def __init__(self) -> None:
        self.items = {"huge": [f"i{n}" for n in range(500 * PER_PAGE)], "other": ["x"]}
        self.pages: Counter[tuple[str, int]] = Counter()

    async def send(self, request: Request) -> Response:
        split = urlsplit(request.url)
        name = split.path.split("/")[-2]
        number = int(parse_qs(split.query).get("page[number]", ["0"])[0])
        self.pages[name, number] += 1
        await trio.sleep(0.5)
        names = self.items[name]
        shown = names[number * PER_PAGE : (number + 1) * PER_PAGE]
        answer: dict[str, Any] = {
            "data": [item(each, f"urn:{each}?version=1") for each in shown],
            "included": [version(item=each, name=f"{each}.dwg") for each in shown],
        }
        if (number + 1) * PER_PAGE < len(names):
            query = f"page[number]={number + 1}&page[limit]=200"
            answer["links"] = {"next": {"href": f"{API_URL}{split.path}?{query}"}}
        return Response(200, {}, json.dumps(answer).encode())


class Tokens:
    async def token(self) -> str:
        return "token"

    async def renew(self, refused: str) -> str:
        return "token"


class Shelf:
    """A disk of the test's own."""

    def __init__(self) -> None:
        self.saved: dict[str, list[Contents]] = {}

    async def load(self, project: Project, folder_id: str, max_age_s: float) -> list[Contents]:
        return self.saved.get(folder_id, [])

    async def save(self, project: Project, folder_id: str, pages: list[Contents]) -> None:
        self.saved[folder_id] = pages


def aps_over(service: Service, limiter: RateLimiter, shelf: Shelf | None = None) -> Aps:
    client = JsonClient(API_URL, service, limiter)
    return Aps(client, Tokens(), url_minutes=60, backing=shelf)


def published() -> RateLimiter:
    return RateLimiter({"contents": Rate(300, 60)})


async def listed(aps: Aps, folder: Folder) -> list[str]:
    with deadline(DEADLINE_S, "list"):
        children = await aps.children(folder)
    return [child.name for child in children]


@virtual
async def test_a_hundred_thousand_entries_take_two_windows_and_two_tries() -> None:
    service, began = Service(), trio.current_time()
    aps = aps_over(service, published())
    with pytest.raises(BusyError) as caught:
        await listed(aps, HUGE)
    first = service.pages.total()
    assert first == int(300 * SHARE[Priority.BULK])
    assert "come back in" in caught.value.hint
    assert f"{first} of about 500 pages" in caught.value.message
    assert caught.value.retry_after_s is not None
    await trio.sleep(caught.value.retry_after_s)
    names = await listed(aps, HUGE)
    assert names == [f"i{n}.dwg" for n in range(500 * PER_PAGE)]
    assert trio.current_time() - began <= 2 * 61
    assert service.pages.total() == 501, "only what was missing, and one page to see a change"


@virtual
async def test_everybodys_other_folders_go_on_meanwhile() -> None:
    service = Service()
    aps = aps_over(service, published())
    with pytest.raises(BusyError):
        await listed(aps, HUGE)
    began = trio.current_time()
    for _ in range(300 - int(300 * SHARE[Priority.BULK])):
        assert await listed(aps, OTHER) == ["x.dwg"]
    assert trio.current_time() - began <= 45 * 0.5 + 0.1


@virtual
async def test_another_process_goes_on_from_the_pages_that_came() -> None:
    service, shelf, limiter = Service(), Shelf(), published()
    with pytest.raises(BusyError):
        await listed(aps_over(service, limiter, shelf), HUGE)
    await trio.sleep(61)
    assert len(await listed(aps_over(service, limiter, shelf), HUGE)) == 500 * PER_PAGE
    assert service.pages.total() == 501
    assert shelf.saved == {"huge": []}, "nothing is left over"


@virtual
async def test_a_deadline_that_passes_loses_no_page_either() -> None:
    service = Service()
    aps = aps_over(service, RateLimiter())
    with trio.move_on_after(3.2):
        await aps.children(HUGE)
    first = service.pages.total()
    assert len(await listed(aps, HUGE)) == 500 * PER_PAGE
    assert service.pages.total() <= 501 + 20 < first + 500


@pytest.mark.parametrize(
    "change",
    [lambda items: items.pop(0), lambda items: items.insert(0, "new"), lambda items: items.clear()],
)
def test_a_folder_that_changed_between_two_tries_is_listed_anew(
    change: Callable[[list[str]], Any],
) -> None:
    """Entries move from page to page: what moved into a page that is kept would look deleted."""

    @virtual
    async def body() -> None:
        service = Service()
        aps = aps_over(service, RateLimiter())
        with trio.move_on_after(3.2):
            await aps.children(HUGE)
        change(service.items["huge"])
        assert await listed(aps, HUGE) == [f"{each}.dwg" for each in service.items["huge"]]

    body()


@virtual
async def test_pages_are_kept_for_a_while_only() -> None:
    service = Service()
    aps = aps_over(service, RateLimiter())
    with trio.move_on_after(3.2):
        await aps.children(HUGE)
    await trio.sleep(KEEP_S)
    service.pages.clear()
    await listed(aps, HUGE)
    assert service.pages.total() == 500


@virtual
async def test_a_sign_in_that_stalls_is_waited_for_once_not_by_each_folder() -> None:
    class Stalled(Tokens):
        stalls = True

        async def token(self) -> str:
            if self.stalls:
                await trio.sleep_forever()
            return "token"

    tokens = Stalled()
    aps = Aps(JsonClient(API_URL, Service(), RateLimiter()), tokens, url_minutes=60)
    began = trio.current_time()
    for _ in range(100):
        with pytest.raises(DeadlineError):
            await listed(aps, OTHER)
    assert trio.current_time() - began <= DEADLINE_S * 1.2
    tokens.stalls = False
    await trio.sleep(15)
    assert await listed(aps, OTHER) == ["x.dwg"]


@virtual
async def test_only_the_many_pages_of_a_huge_folder_make_room_for_others() -> None:
    """The first pages go at the caller's priority: most folders have no more."""

    class Noted(Service):
        async def send(self, request: Request) -> Response:
            number = int(parse_qs(urlsplit(request.url).query).get("page[number]", ["0"])[0])
            levels[number] = current_priority().level
            return await super().send(request)

    levels: dict[int, Priority] = {}
    await listed(aps_over(Noted(), RateLimiter()), HUGE)
    asked = current_priority().level
    assert asked < Priority.BULK
    assert len(levels) == 500
    for number, level in levels.items():
        assert level is (asked if number < BULK_FROM_PAGE else Priority.BULK), number


@real
async def test_the_services_own_limits_are_kept_to_over_real_sockets(
    emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_engines(ca_bundle("")) as engines, trio.open_nursery() as nursery:
        limiter = RateLimiter({"contents": Rate(9, 2.0)})
        wire = JsonClient(emulator.api_url, engines, limiter)
        tokens = TwoLegged(wire, nursery, App("emulator-app", "emulator-secret"), "data:read")
        aps = Aps(wire, tokens, url_minutes=60)
        place = await walk(aps, HQ, "Quirks", "Project Files", "Names")
        whole = {child.name for child in await aps.children(place)}
        pages = 12
        monkeypatch.setattr(dmfs.aps.paging, "PAGE_LIMIT", -(-len(whole) // pages))
        emulator.settings(rate_limits=0.03, rate_window_s=2)
        emulator.reset()
        tries = 0
        children: list[Child] = []
        while not children:
            tries += 1
            try:
                with deadline(1.5, "list"):
                    children = await aps.children(place)
            except (BusyError, DeadlineError) as error:  # the latter on a busy machine
                await trio.sleep(error.retry_after_s or 0.5)
        assert {child.name for child in children} == whole
        assert tries > 1
        assert emulator.counts()["contents"] <= 2 * pages, "each try asks for one page again"
        assert not [each for each in emulator.calls()["log"] if each["status"] == 429]


def test_pages_on_disk(tmp_path: Path) -> None:
    project = Project(ProjectId("b.project"), HubId("b.hub"), "")
    place = FolderId("folder")
    pages = [Contents([a_file("a"), a_file("b")], [a_file("t")]), Contents([], []),
             Contents([a_file("c")], [])]  # fmt: skip

    @real
    async def body() -> None:
        store = ListingStore(tmp_path, "me")
        kept = PageStore(store, Contents)
        assert await kept.load(project, place, 60) == []
        await kept.save(project, place, pages)
        assert await kept.load(project, place, 60) == pages
        assert await kept.load(project, place, 0) == []
        await kept.save(project, place, [])
        assert await kept.load(project, place, 60) == []
        store.close()

    body()
